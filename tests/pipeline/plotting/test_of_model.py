"""What is drawn of a running model: what its dump holds, and no other sample is run."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.errors import InputError, KprobeError
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.plotting.of_file import open_pictured
from kprobe.pipeline.plotting.of_model import picture_model
from kprobe.pipeline.plotting.spec import PlotSpec

ROWS = 70
X = np.random.default_rng(0).normal(size=(ROWS, 6, 6, 2)).astype("float32")
LAYERS = "conv,kept,out,conv:kernel"


class Kept(keras.layers.Layer):
    """As many numbers of a sample as are above 0."""

    def call(self, x):
        return tf.boolean_mask(x, x > 0)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 2), name="x")
    conv = keras.layers.Conv2D(5, 3, name="conv")(x)
    out = keras.layers.Dense(3, name="out")(keras.layers.GlobalMaxPooling2D()(conv))
    return keras.Model(x, [out, Kept(name="kept")(conv)])


@pytest.fixture(scope="module")
def dump(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "a.h5"
    kprobe.dump(model, LAYERS, inputs=X, ragged="kept", output=path, exact=True)
    return path


def run(model, spec, *, apart=False, inputs=X, layers=LAYERS, **settings):
    ragged = ["kept"] if layers == LAYERS else []
    job = make_job(model=model, layers=layers, inputs=inputs, ragged=ragged, exact=True, **settings)
    with plan_job(job) as plan:
        pictured = picture_model(plan, spec, apart=apart)
        return [*pictured.things], pictured


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("samples", [None, 69, [3, 40, -1]])
def test_a_model_is_drawn_as_its_dump_is(model, dump, apart, samples):
    spec = PlotSpec(samples=samples)
    things, pictured = run(model, spec, apart=apart)
    with open_pictured(dump, (), spec, apart=apart) as kept:
        right = [*kept.things]
    assert [*pictured.names] == [*kept.names]
    assert [*pictured.lines][:1] == [line.replace("a.h5", "") for line in kept.lines]
    for one, other in zip(things, right, strict=True):
        assert (one.address, one.about, one.names) == (other.address, other.about, other.names)
        assert [*one.samples] == [*other.samples]
        np.testing.assert_array_equal(one.values, other.values)


def test_only_the_batches_that_are_drawn_are_run(model):
    seen = []

    def note(x):
        seen.append(x[:, 0, 0, 0].copy())
        return x

    class Noting(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)

    x = keras.Input((6, 6, 2))
    noting = keras.Model(x, Noting(name="n")(x))
    plan = plan_job(make_job(model=noting, layers="n", inputs=X, batch_size=8, streams=1))
    with plan:
        seen.clear()
        picture_model(plan, PlotSpec(samples=[41, 67]))
    shown = [X[40:42, 0, 0, 0], X[64:68, 0, 0, 0]]
    assert [len(rows) for rows in seen] == [2, 4]
    for rows, right in zip(seen, shown, strict=True):
        np.testing.assert_array_equal(rows, right)


@pytest.mark.parametrize(
    ("rows", "size", "from_start", "right"),
    [
        ([0], 32, False, [(0, 1)]),
        ([5, 6], 4, False, [(4, 7)]),
        ([5, 9], 4, False, [(4, 6), (8, 10)]),
        ([5, 7, 8], 4, False, [(4, 8), (8, 9)]),
        ([5, 13], 4, False, [(4, 6), (12, 14)]),
        ([5, 13], 4, True, [(0, 14)]),
        ([], 4, True, []),
    ],
)
def test_ranges_begin_at_batches_and_hold_all_rows(rows, size, from_start, right):
    from kprobe.pipeline.plotting.of_model import _find_ranges

    assert [*_find_ranges(rows, size, from_start=from_start)] == right


def test_a_stream_is_read_up_to_the_sample(model):
    def stream():
        for begin in range(0, ROWS, 8):
            yield X[begin : begin + 8]

    (thing,), _ = run(model, PlotSpec(samples=20), inputs=stream, layers="conv")
    (right,), _ = run(model, PlotSpec(samples=20), layers="conv")
    np.testing.assert_array_equal(thing.values, right.values)
    with pytest.raises(InputError, match="nobody knows how many samples there are"):
        run(model, PlotSpec(samples="a"), inputs=stream, layers="conv")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"samples": 70}, "expected a sample from 0 to 69, received 70"),
        ({"pca": True}, "components are of all samples: expected a dump, received a model"),
        ({"kind": "bars"}, "conv: bars: expected a row of numbers, received 4x4x5"),
        ({"samples": "nobody"}, "has no sample 'nobody'"),
    ],
)
def test_what_can_not_be_drawn_has_a_line(model, settings, line):
    with pytest.raises(KprobeError, match=line):
        run(model, PlotSpec(**settings), layers="conv")


def test_python_draws_a_model_in_memory_and_its_dump_alike(model, dump):
    figure = kprobe.plot(model, "conv", inputs=X, samples=3, channels="1,0", exact=True)
    same = kprobe.plot(dump, "conv", samples=3, channels=[1, 0])
    with kprobe.open_dump(dump) as opened:
        own = opened.plot("conv", 3, channels=[1, 0])
        right = opened["conv"][3]
    for each in (figure, same, own):
        planes = [axes.images[0].get_array() for axes in each.axes if axes.images]
        np.testing.assert_array_equal(planes, [right[..., 1], right[..., 0]])
    with pytest.raises(TypeError, match="unknown keyword 'chanels'; did you mean 'channels'"):
        kprobe.plot(dump, chanels=3)
    with pytest.raises(KprobeError, match=r"exact, inputs: expected a model, received .*a\.h5"):
        kprobe.plot(dump, inputs=X, exact=True)
