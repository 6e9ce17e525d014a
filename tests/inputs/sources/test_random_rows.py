"""Random samples fit any input, and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

IMAGE = ModelInput("image", (None, 6, 6, 3), "float32")


def read(inputs, batch_size=64, **options):
    with open_all(None, inputs, **options) as samples:
        batches = [batch for _, batch in samples.batches(batch_size)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_no_source_gives_eight_random_rows():
    with open_all(None, [IMAGE]) as samples:
        assert samples.random
        assert samples.rows == 8
        assert samples.names()[7] == b"random[7]"
        assert samples.identity() == [
            {
                "input": "image",
                "source": "random",
                "seed": 0,
                "values": "uniform from 0 to 1",
                "rows": 8,
                "shape": [6, 6, 3],
                "dtype": "float32",
            }
        ]


def test_a_row_does_not_depend_on_batch_size_or_count():
    one = read([IMAGE], batch_size=1, random=10)["image"]
    many = read([IMAGE], batch_size=7, random=20)["image"]
    np.testing.assert_array_equal(one, many[:10])
    with open_all(None, [IMAGE], random=20) as samples:
        np.testing.assert_array_equal(samples.peek(3)["image"], one[:3])
        ((_, batch),) = samples.batches(5, start=4, stop=9)
    np.testing.assert_array_equal(batch["image"], one[4:9])


def test_rows_inputs_and_seeds_differ():
    pair = [ModelInput("a", (None, 9), "float32"), ModelInput("b", (None, 9), "float32")]
    rows = read(pair)
    assert not np.array_equal(rows["a"], rows["b"])
    assert not np.array_equal(rows["a"][0], rows["a"][1])
    assert not np.array_equal(rows["a"], read(pair, seed=1)["a"])
    np.testing.assert_array_equal(rows["a"], read(pair)["a"])


@pytest.mark.parametrize(
    ("dtype", "gives", "low", "high"),
    [
        ("float16", "float16", 0, 1),
        ("bfloat16", "float32", 0, 1),
        ("float64", "float64", 0, 1),
        ("uint8", "uint8", 0, 255),
        ("int32", "int32", 0, 1),
        ("int64", "int64", 0, 1),
        ("uint16", "uint16", 0, 1),
        ("bool", "bool", 0, 1),
    ],
)
def test_values_are_of_the_kind_that_every_model_takes(dtype, gives, low, high):
    values = read([ModelInput("x", (None, 500), dtype)])["x"]
    assert values.dtype == gives
    assert values.min() >= low
    assert values.max() <= high
    assert values.max() > high * 0.9
    assert values.min() <= high * 0.1


def test_complex_inputs_get_complex_values():
    values = read([ModelInput("x", (None, 5), "complex64")])["x"]
    assert values.dtype == "complex64"
    assert values.imag.any()


def test_axes_of_any_length_get_64():
    assert read([ModelInput("x", (None, None, 3), "float32")])["x"].shape == (8, 64, 3)


def test_strings_cannot_be_made_up():
    with pytest.raises(InputError) as caught:
        open_all(None, [ModelInput("text", (None, 1), "string")])
    assert caught.value.faults == (
        "input 'text' expects string, and random values can be numbers only",
    )
    assert caught.value.hint == "give samples with inputs"


def test_random_and_given_samples_exclude_each_other():
    with pytest.raises(InputError) as caught:
        open_all(["a.npy"], [IMAGE], random=3)
    assert caught.value.faults[0] == (
        "expected inputs or random samples, received both: a.npy and 3 random rows"
    )


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"random": 0}, f"random: expected a whole number from 1 to {2**63 - 1}, received 0"),
        (
            {"random": 10**30},
            f"random: expected a whole number from 1 to {2**63 - 1}, received {10**30}",
        ),
        ({"limit": 0}, f"limit: expected a whole number from 1 to {2**63 - 1}, received 0"),
        ({"seed": -1}, f"seed: expected a whole number from 0 to {2**63 - 1}, received -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, fault):
    with pytest.raises(InputError) as caught:
        open_all(None, [IMAGE], **options)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize("length", [10**14, 2**62])
def test_what_no_memory_holds_is_said(length):
    inputs = [ModelInput("x", (None, None, 3), "float32")]
    with (
        open_all(None, inputs, random_shape=(2, length, 3)) as samples,
        pytest.raises(InputError, match=r"received 2 of shape \(\d+, 3\)") as caught,
    ):
        samples.peek(2)
    assert "smaller shape" in str(caught.value)
