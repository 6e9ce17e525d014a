"""Tensors in loops that have another shape in each iteration, and can't be stacked."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from probing import KERASES, wrap

import kprobe
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

STEPS = np.random.default_rng(0).normal(size=(5, 7, 4)).astype("float32")
REASON = "has another shape in each iteration of its loop, and the iterations can't be put together"


def grow(x):
    def body(i, total):
        grown = tf.square(x[:, :i], name="grown") + tf.exp(x[:, :i], name="other")
        return i + 1, total + tf.reduce_sum(grown, axis=1, name="even")

    return tf.while_loop(lambda i, _: i < 4, body, (1, tf.zeros_like(x[:, 0])))[1]


def positive(x):
    """The positive values of each sample: as many as there are."""
    return tf.map_fn(lambda row: tf.reduce_sum(tf.boolean_mask(row, row > 0, name="kept")), x)


@KERASES
@pytest.mark.parametrize("inlined", [False, True], ids=["layer", "tf.function"])
@pytest.mark.parametrize("rows", [5, 300], ids=["as it is", "frozen"])
def test_what_a_pattern_names_and_cannot_be_stacked_is_left_out_alone(k, inlined, rows, tmp_path):
    model = wrap(k, tf.function(grow) if inlined else grow)
    data = np.resize(STEPS, (rows, 7, 4))
    layers = ["probe//*grown", "probe//*other", "probe//*even", "probe"]
    inner = "PartitionedCall/while" if inlined else "while"
    job = make_job(model=model, layers=layers, inputs=data, output=tmp_path / "acts.h5")
    with plan_job(job) as ready:
        assert ready.computation.engine.frozen == (rows == 300)
        assert sorted(ready.left_out) == [
            f"probe//{inner}/grown {REASON}",
            f"probe//{inner}/other {REASON}",
        ]
    kprobe.dump(model, layers, inputs=data, output=tmp_path / "acts.h5")
    with kprobe.open_dump(tmp_path / "acts.h5") as file:
        computed = {address: file[address][:] for address in file}
    expected = [(data[:, :i] ** 2 + np.exp(data[:, :i])).sum(axis=1) for i in (1, 2, 3)]
    even = np.moveaxis(expected, 0, 1)
    np.testing.assert_allclose(computed[f"probe//{inner}/even"], even, rtol=1e-5)
    np.testing.assert_allclose(computed["probe"], even.sum(axis=1), rtol=1e-5, atol=1e-5)
    assert len(computed) == 2


@KERASES
def test_by_its_name_it_is_an_error_that_names_it(k, tmp_path):
    layers = ["probe//while/other", "probe//while/even", "probe//*grown"]
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(wrap(k, grow), layers, inputs=STEPS, output=tmp_path / "acts.h5")
    assert caught.value.faults == (f"probe//while/other {REASON}",)
    assert not list(tmp_path.iterdir())
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(wrap(k, grow), "probe//while/even,probe//while/grown")(STEPS)
    assert caught.value.faults == (f"probe//while/grown {REASON}",)


@KERASES
def test_samples_that_differ_only_later_end_the_run_with_the_name(k, tmp_path):
    model = wrap(k, positive)
    data = np.abs(np.resize(STEPS, (100, 7, 4)))
    layers = ["probe//*kept/GatherV2", "probe"]
    kprobe.dump(model, layers, inputs=data, output=tmp_path / "even.h5")
    with kprobe.open_dump(tmp_path / "even.h5") as file:
        (address,) = set(file) - {"probe"}
        np.testing.assert_array_equal(file[address][:], data.reshape(100, 28))
    data[90] = -1
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(model, layers, inputs=data, output=tmp_path / "acts.h5")
    assert caught.value.faults == (f"{address} {REASON}",)
