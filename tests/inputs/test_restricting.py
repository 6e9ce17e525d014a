"""Only what the layers need is asked for, which is known after the samples were opened."""

from __future__ import annotations

import sys
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from kprobe.errors import InputError
from kprobe.inputs import ModelInput, SampleSpec, open_samples

ROWS = np.arange(22.0, dtype="float32").reshape(11, 2)
LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None, 2), "float32")
MASK = ModelInput("mask", (None, 2), "float32", optional=True)
TEXT = ModelInput("text", (None,), "string")
INNER = ModelInput("block@1", (None, 3), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", ROWS)
    np.save("b.npy", -ROWS)


def open_here(given, *inputs, **options):
    feeds = options.pop("feeds", ())
    return open_samples(SampleSpec(inputs=given, **options), inputs, feeds=feeds)


def test_an_input_without_a_source_may_be_unneeded():
    with open_here("right=b.npy", LEFT, RIGHT) as samples:
        assert samples.given == ["right"]
        samples.restrict({"right"})
        ((_, batch),) = samples.batches(11)
    np.testing.assert_array_equal(batch["right"], -ROWS)


def test_every_needed_input_without_a_source_is_listed():
    with open_here("left=a.npy", LEFT, RIGHT, TEXT) as samples, pytest.raises(InputError) as caught:
        samples.restrict(["left", "right", "text"])
    assert caught.value.faults == (
        "expected a source for every input that these layers need, received none for "
        "right (None, 2) float32, text (None,) string",
    )
    assert caught.value.hint == 'add inputs={"right": ...} and inputs={"text": ...}'


def test_an_optional_input_may_be_left_out_though_it_is_needed():
    with open_here("left=a.npy", LEFT, MASK) as samples:
        samples.restrict(["left", "mask"])
        assert samples.given == ["left"]
    with open_here(["left=a.npy", "mask=b.npy"], LEFT, MASK) as samples:
        samples.restrict(["left", "mask"])
        assert samples.given == ["left", "mask"]


def test_what_is_not_needed_is_closed():
    with open_here(["left=a.npy", "right=b.npy"], LEFT, RIGHT) as samples:
        left = samples.sources["left"]
        samples.restrict(["right"])
        assert left._file.closed
        assert [told["input"] for told in samples.identity()] == ["right"]
        assert samples.names()[0] == b"b.npy[0]"
        assert list(samples.peek(1)) == list(samples.specs()) == ["right"]


def test_rows_are_counted_among_what_remains():
    np.save("few.npy", ROWS[:4])
    for needed, rows in (["left"], 4), (["right"], 11):
        with open_here(["left=few.npy", "right=b.npy"], LEFT, RIGHT) as samples:
            samples.restrict(needed)
            assert samples.rows == rows
    with (
        open_here(["left=few.npy", "right=b.npy"], LEFT, RIGHT) as samples,
        pytest.raises(InputError, match=r"received 4 from few\.npy, 11 from b\.npy"),
    ):
        samples.restrict(["left", "right"])


def test_random_rows_stay_the_same_whichever_inputs_are_needed():
    with open_here((), LEFT, RIGHT, random=5) as samples:
        samples.restrict(["left", "right"])
        both = samples.peek(5)
    for name in ("left", "right"):
        with open_here((), LEFT, RIGHT, random=5) as samples:
            samples.restrict([name])
            np.testing.assert_array_equal(samples.peek(5)[name], both[name])
    assert (both["left"] != both["right"]).all()


def test_random_samples_leave_out_what_is_optional():
    with open_here((), LEFT, MASK) as samples:
        samples.restrict(["left", "mask"])
        assert samples.given == ["left"]


def test_what_cannot_be_made_up_matters_where_it_is_needed():
    with open_here((), LEFT, TEXT) as samples:
        samples.restrict(["left"])
        assert samples.random
    with open_here((), LEFT, TEXT) as samples, pytest.raises(InputError) as caught:
        samples.restrict(["left", "text"])
    assert caught.value.faults == (
        "input 'text' expects string, and random values can be numbers only",
    )


@pytest.mark.parametrize(
    "feeds",
    [["block@1=inner.npy"], {"block@1": "inner.npy"}, {"block@1": np.ones((11, 3), "f4")}],
)
def test_feeds_stand_behind_the_inputs(feeds):
    np.save("inner.npy", np.ones((11, 3), "float32"))
    with open_here("a.npy", LEFT, INNER, feeds=feeds) as samples:
        samples.restrict(["left", "block@1"])
        assert samples.given == ["left", "block@1"]
        assert samples.peek(2)["block@1"].tolist() == [[1, 1, 1]] * 2
    with open_here((), LEFT, RIGHT, INNER, feeds=feeds) as samples:
        samples.restrict(["block@1"])
        assert (samples.given, samples.rows) == (["block@1"], 11)
    with (
        open_here((), LEFT, RIGHT, random=11) as alone,
        open_here((), LEFT, RIGHT, INNER, feeds=feeds, random=11) as samples,
    ):
        samples.restrict(["right", "block@1"])
        np.testing.assert_array_equal(samples.peek(3)["right"], alone.peek(3)["right"])


def test_labels_stay_where_their_folder_is_not_needed():
    for name in ("cat/a", "ant/b"):
        Path(f"tree/{name}").parent.mkdir(parents=True)
        PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(f"tree/{name}.png")
    image = ModelInput("image", (None, 4, 4, 3), "float32")
    np.save("two.npy", ROWS[:2])
    for other, fits in (("two.npy", True), ("a.npy", False)):
        given = ["image=tree", f"left={other}"]
        with open_here(given, image, LEFT, labels_from_folders=True) as samples:
            if fits:
                samples.restrict(["left"])
                assert samples.labels.indices.tolist() == [0, 1]
            else:
                with pytest.raises(InputError, match=r"received 2 labels and 11 from a\.npy"):
                    samples.restrict(["left"])


def test_no_end_is_told_as_such():
    endless = partial(repeat, ROWS)
    with open_here({"left": endless}, LEFT) as samples:
        samples.restrict(["left"])
        assert (samples.rows, samples.most) == (None, float("inf"))
        first = next(samples.batches(sys.maxsize.bit_length()))
        assert len(first[1]["left"]) == 63
        with pytest.raises(ValueError, match="nobody knows"):
            samples.names()
        assert len(samples.names(0, 10**13)) == 10**13
    with open_here({"left": endless}, LEFT, limit=20) as samples:
        assert (samples.rows, samples.most) == (None, 20)
        assert [len(batch["left"]) for _, batch in samples.batches(8)] == [8, 8, 4]
        assert [len(batch["left"]) for _, batch in samples.first(5).batches(8)] == [5]
