"""Local errors: a fault shows in the layer where it is, and everywhere else there is exactly 0."""

from __future__ import annotations

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.models.load import load_source
from kprobe.pipeline.comparing.local import LocalErrors, LocalPair, LocalSide
from kprobe.pipeline.planning.job import Job, make_parts
from kprobe.pipeline.planning.plan_session import plan_session
from kprobe.session.loading import load
from kprobe.session.open_session import open_session

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)


def make_side(model, inputs, layers=None, **settings):
    """Plan a model's layers; give the side, the addresses, and the bytes of a row of each."""
    settings = {"model": model, "layers": layers, "inputs": inputs, **settings}
    job = Job(**make_parts(settings, "model", "samples", "selection", "compute"))
    with contextlib.ExitStack() as opened:
        loaded = load(job.model, job.compute)
        session, samples = open_session(loaded, job.compute, job.samples, opened)
        plan = plan_session(job, session, samples, {}, opened)
        addresses = [column.attrs["addresses"] for column in plan.fetched]
        sizes = [column.row_bytes for column in plan.fetched]
        return LocalSide(session, plan.computation), addresses, sizes


def pair_by_address(a, b):
    """Pair what has an address in common."""
    places = {name: number for number, names in enumerate(b) for name in names}
    found = [
        (n, next((places[x] for x in names if x in places), None)) for n, names in enumerate(a)
    ]
    return [(one, other) for one, other in found if other is not None]


class Compared:
    """Two models run locally over a batch: what there is of each address of A.

    Sides that were planned before are taken from `planned`, where it is given, by the model.
    """

    def __init__(self, a, b, inputs, *, of_a=None, of_b=None, planned=None, **options):
        planned = {} if planned is None else planned
        for model, settings in ((a, of_a), (b, of_b)):
            if model not in planned:
                planned[model] = make_side(model, inputs, **(settings or {}))
        (side_a, addresses, sizes), (side_b, others, _) = planned[a], planned[b]
        numbers = pair_by_address(addresses, others)
        pairs = [LocalPair(one, other, sizes[one]) for one, other in numbers]
        batch = inputs if isinstance(inputs, dict) else {next(iter(side_b.session.specs)): inputs}
        rows = len(next(iter(batch.values())))
        self.local = LocalErrors(side_a, side_b, pairs, batch_size=rows, **options)
        self.names = [addresses[one][0] for one, _ in numbers]
        self.unequal = self.local.check_closure(batch, batch)
        found = [rows for group in self.local.run(batch, batch) for rows in group]
        self.order = [self.names[rows.pair] for rows in found]
        self.rows = {self.names[rows.pair]: rows for rows in found}
        self.reasons = {self.names[n]: reason for n, reason in self.local.reasons.items()}
        self.local.restore()

    @property
    def errors(self):
        """By address the RMS of the local error over the standard deviation."""
        return {
            name: measure(rows.own_a, rows.own_b)
            for name, rows in self.rows.items()
            if rows.own_a is not None
        }

    @property
    def born(self):
        """Where there is a local error at all."""
        return [name for name, error in self.errors.items() if error]


def measure(a, b):
    difference = np.asarray(b, "float64") - np.asarray(a, "float64")
    return float(np.sqrt(np.mean(difference**2)) / (np.std(np.asarray(a, "float64")) or 1))


def copy(model):
    """Give a model of its own with the same weights."""
    made = type(model).from_config(model.get_config())
    made.set_weights(model.get_weights())
    return made


def find_layer(model, name):
    """Find a layer, in nested models too."""
    for layer in model.layers:
        if layer.name == name:
            return layer
        if hasattr(layer, "layers") and (found := find_layer(layer, name)):
            return found
    return None


def change_a_weight(layer):
    """Move one weight of the kernel by 1e-3 of the largest."""
    kernel, *rest = layer.get_weights()
    kernel = kernel.copy()
    place = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    kernel[place] *= 1.001
    layer.set_weights([kernel, *rest])


def change_all_weights(layer):
    """Make the kernel larger by 0.1 %."""
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel * np.float32(1.001), *rest])


def change_epsilon(layer):
    layer.epsilon = 0.01


def make_transformer(k):
    words = k.Input((6,), dtype="int32", name="words")
    x = k.layers.Embedding(20, 8, name="embedding")(words)
    for block in range(2):
        attended = k.layers.MultiHeadAttention(2, 4, name=f"attention_{block}")(x, x)
        x = k.layers.Add(name=f"added_{block}")([x, attended])
        x = k.layers.LayerNormalization(name=f"norm_{block}")(x)
        x = k.layers.Dense(8, activation="gelu", name=f"dense_{block}")(x)
    x = k.layers.GlobalAveragePooling1D(name="pool")(x)
    return k.Model(words, k.layers.Dense(3, activation="softmax", name="classes")(x))


def make_recurrent(k):
    x = k.Input((5, 4), name="x")
    y = k.layers.LSTM(6, return_sequences=True, name="lstm_0")(x)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    y = k.layers.LSTM(4, activation="relu", name="lstm_1")(y)
    return k.Model(x, k.layers.Dense(2, name="classes")(y))


def make_nested(k):
    part = k.Input((8, 8, 3), name="part")
    y = k.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv_0")(part)
    y = k.layers.BatchNormalization(name="bn_0")(y)
    y = k.layers.ReLU(name="relu_0")(y)
    y = k.layers.Conv2D(3, 3, padding="same", name="conv_1")(y)
    inner = k.Model(part, y, name="inner")
    x = k.Input((8, 8, 3), name="x")
    y = k.layers.Add(name="added")([x, inner(k.layers.Rescaling(0.5, name="half")(x))])
    y = k.layers.Conv2D(2, 1, name="last")(y)
    return k.Model(x, k.layers.Flatten(name="flat")(y))


MAKE = {"transformer": make_transformer, "recurrent": make_recurrent, "nested": make_nested}
INPUTS = {
    "transformer": RNG.integers(0, 20, (4, 6)).astype("int32"),
    "recurrent": RNG.normal(size=(4, 5, 4)).astype("float32"),
    "nested": RNG.normal(size=(4, 8, 8, 3)).astype("float32"),
}
PLANTED = [
    ("transformer", "embedding", change_all_weights, ["embedding"]),
    ("transformer", "attention_1", change_all_weights, ["attention_1", "attention_1/query"]),
    ("transformer", "norm_0", change_epsilon, ["norm_0"]),
    ("recurrent", "lstm_0", change_a_weight, ["lstm_0"]),
    ("nested", "conv_0", change_a_weight, ["inner/conv_0"]),
    ("nested", "bn_0", change_epsilon, ["inner/bn_0"]),
    # What the nested model gives is its last layer's tensor.
    ("nested", "conv_1", change_all_weights, ["inner", "inner/conv_1"]),
    ("nested", "last", change_a_weight, ["last"]),
]


@KERASES
@pytest.mark.parametrize("kind", list(MAKE))
def test_a_planted_fault_shows_in_its_layer_alone(k, kind):
    a = MAKE[kind](k)
    x = INPUTS[kind]
    planned = {}
    equal = Compared(a, copy(a), x, planned=planned)
    assert equal.born == []
    assert equal.unequal == {}
    for _, name, change, expected in [fault for fault in PLANTED if fault[0] == kind]:
        b = copy(a)
        change(find_layer(b, name))
        compared = Compared(a, b, x, planned=planned)
        assert set(compared.born) <= set(expected), (name, change)
        assert compared.born, (name, change)
        assert compared.unequal == {}


SAMPLE_MODELS = [
    ("digits_cnn.keras", "digits.npz", {"scan": "scan"}, "conv2", change_a_weight),
    ("digits_cnn.keras", "digits.npz", {"scan": "scan"}, "bn1", change_epsilon),
    ("shapes_rpn.h5", "shapes.npz", {"image": "image"}, "conv4_2", change_a_weight),
    ("shapes_rpn.h5", "shapes.npz", {"image": "image"}, "conv1_1", change_all_weights),
]


@pytest.mark.parametrize(("file", "data", "names", "layer", "change"), SAMPLE_MODELS)
def test_a_fault_in_a_sample_model_shows_in_its_layer_alone(
    samples, file, data, names, layer, change
):
    a, b = load_source(samples / file), load_source(samples / file)
    change(b.get_layer(layer))
    with np.load(samples / data) as arrays:
        inputs = {name: arrays[key][:3] for name, key in names.items()}
    compared = Compared(a, b, inputs)
    assert compared.born == [layer]
    assert compared.unequal == {}
    running = [n for n, rows in compared.rows.items() if (rows.a != rows.b).any()]
    assert len(running) > 1


def test_a_fault_before_a_layer_of_the_users_own_shows_where_it_is(samples):
    options = {"custom_objects": str(samples / "roi_layer.py")}
    a, b = (kprobe.load_model(samples / "shapes_roi.keras", **options) for _ in range(2))
    change_a_weight(b.get_layer("conv4_2"))
    with np.load(samples / "shapes.npz") as arrays:
        compared = Compared(a, b, arrays["image"][:3])
    assert compared.born == ["conv4_2"]
    assert {"ROI[0]", "ROI[1]", "ROI[2]"} <= set(compared.errors)
    assert compared.unequal == {}


def test_a_shared_layer_shows_it_in_each_of_its_calls(siamese, samples, digits):
    b = copy(siamese)
    layer = next(one for one in b.get_layer("encoder").layers if one.get_weights())
    change_a_weight(layer)
    compared = Compared(siamese, b, {"left": digits[:3], "right": digits[3:6]})
    assert compared.born == [f"encoder@{call}/{layer.name}" for call in (0, 1)]
    assert compared.unequal == {}


@KERASES
def test_the_values_are_those_of_the_layers_by_themselves(k):
    a = make_nested(k)
    b = copy(a)
    change_all_weights(find_layer(b, "conv_0"))
    change_epsilon(find_layer(b, "bn_0"))
    change_a_weight(find_layer(b, "last"))
    x = INPUTS["nested"]
    compared = Compared(a, b, x)
    assert compared.born == ["inner/conv_0", "inner/bn_0", "last"]
    inner = [find_layer(a, name) for name in ("conv_0", "bn_0", "relu_0", "conv_1")]
    values = [0.5 * x]
    for layer in inner:
        values.append(np.asarray(layer(values[-1])))
    added = x + values[-1]
    given = {"inner/conv_0": values[0], "inner/bn_0": values[1], "last": added}
    for address, before in given.items():
        name = address.rpartition("/")[2]
        for model, own in ((a, "own_a"), (b, "own_b")):
            expected = np.asarray(find_layer(model, name)(before))
            made = getattr(compared.rows[address], own)
            np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6, err_msg=address)
    for model, side in ((a, "a"), (b, "b")):
        expected = model.predict(x, verbose=0)
        made = getattr(compared.rows["flat"], side)
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "memory"), [("transformer", 1), ("recurrent", 1), ("nested", 1), ("nested", 30_000)]
)
def test_groups_give_what_one_run_gives(kind, memory):
    a = MAKE[kind](keras)
    b = copy(a)
    change_all_weights(next(one for one in b.layers if one.get_weights()))
    planned = {}
    whole = Compared(a, b, INPUTS[kind], planned=planned)
    grouped = Compared(a, b, INPUTS[kind], memory=memory, planned=planned)
    assert len(grouped.local._b.groups) > 1
    assert grouped.order == whole.order
    assert grouped.unequal == {}
    for name, rows in whole.rows.items():
        for field in ("a", "b", "own_a", "own_b"):
            one, other = getattr(rows, field), getattr(grouped.rows[name], field)
            np.testing.assert_array_equal(other, one, err_msg=f"{name} {field}")


def make_rounding(k, policy):
    """Six layers, one of them in another precision."""
    x = k.Input((16,), name="x")
    y = x
    for number in range(6):
        own = policy if number == 2 else "float32"
        y = k.layers.Dense(16, activation="tanh", dtype=own, name=f"dense_{number}")(y)
    return k.Model(x, y)


@KERASES
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_layer_of_another_precision_lends_its_neighbour_nothing(k, policy):
    a, b = make_rounding(k, "float32"), make_rounding(k, policy)
    b.set_weights(a.get_weights())
    compared = Compared(a, b, RNG.normal(size=(4, 16)).astype("float32"))
    assert compared.born == ["dense_2"]
    assert compared.unequal == {}
    behind = compared.rows["dense_3"]
    # A's own value wouldn't serve: it comes of what wasn't rounded.
    assert measure(behind.a, behind.own_b) > 1e-5
    layer = a.get_layer("dense_3")
    rounded = tf.cast(
        tf.cast(compared.rows["dense_2"].a, b.get_layer("dense_2").compute_dtype), "float32"
    )
    expected = np.asarray(layer(rounded))
    np.testing.assert_allclose(behind.own_a, expected, rtol=1e-5, atol=1e-6)


def test_positions_and_conditions_are_fed_too():
    x = keras.Input((5,), name="x")
    y = keras.layers.Dense(4, name="dense")(x)
    best = keras.ops.argmax(y, -1)
    large = keras.ops.greater(y, 0)
    made = keras.layers.Embedding(4, 3, name="embedding")(best)
    kept = keras.ops.where(large, y, -y)
    a = keras.Model(x, [made, kept])
    b = copy(a)
    change_all_weights(b.get_layer("dense"))
    kernel, bias = b.get_layer("dense").get_weights()
    b.get_layer("dense").set_weights([-kernel, bias])  # another is the best
    compared = Compared(a, b, RNG.normal(size=(6, 5)).astype("float32"))
    assert {str(rows.own_b.dtype) for rows in compared.rows.values()} >= {"bool", "int32"}
    assert compared.born == ["dense"]
    assert (compared.rows["embedding"].a != compared.rows["embedding"].b).any()


class Looping(keras.layers.Layer):
    """A layer inside a loop, which can't be fed."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.Dense(3, name="inner")

    def build(self, shape):
        self.inner.build((None, shape[-1]))

    def call(self, x):
        return tf.map_fn(lambda row: self.inner(row[tf.newaxis])[0], x)


def test_what_lies_in_a_loop_has_running_values_only():
    def make():
        x = keras.Input((3,), name="x")
        y = keras.layers.Dense(3, name="before")(x)
        return keras.Model(x, keras.layers.Dense(2, name="behind")(Looping(name="loop")(y)))

    a, b = make(), make()
    b.set_weights(a.get_weights())
    change_all_weights(b.get_layer("loop").inner)
    compared = Compared(a, b, RNG.normal(size=(4, 3)).astype("float32"))
    assert compared.born == ["loop"]
    assert compared.reasons == {
        "loop/inner": "lies in a loop, a branch or a function, where nothing can be fed"
    }
    rows = compared.rows["loop/inner"]
    assert rows.own_a is None
    assert rows.own_b is None
    assert (rows.a != rows.b).any()


@KERASES
def test_masks_are_noted_and_those_of_equal_layers_are_equal(k):
    words = k.Input((6,), dtype="int32", name="words")
    x = k.layers.Embedding(9, 4, mask_zero=True, name="embedding")(words)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    x = k.layers.LSTM(3, activation="relu", return_sequences=True, name="lstm")(x)
    a = k.Model(words, k.layers.LSTM(2, activation="relu", name="last")(x))
    b = copy(a)
    change_a_weight(b.get_layer("lstm"))
    compared = Compared(a, b, RNG.integers(0, 9, (5, 6)).astype("int32"))
    assert compared.born == ["lstm"]
    (note,) = compared.local.notes
    assert note.startswith("the masks of embedding")


def test_different_dtypes_of_whole_numbers_and_numbers_are_not_fed():
    def make(dtype):
        x = keras.Input((4,), name="x")
        y = keras.layers.Lambda(lambda v: tf.cast(v * 8, dtype), name="cast")(x)
        return keras.Model(x, keras.layers.Lambda(lambda v: tf.cast(v, "float32"), name="back")(y))

    x = np.arange(8, dtype="float32").reshape(2, 4)
    compared = Compared(make("int32"), make("float64"), x)
    assert compared.reasons == {"cast": "holds int32 on one side and float64 on the other"}
    assert compared.born == []


def test_axes_in_another_order_are_turned_before_they_are_fed():
    x = keras.Input((4, 5, 2), name="x")
    y = keras.layers.Rescaling(3.0, name="scaled")(x)
    a = keras.Model(x, keras.layers.Rescaling(1.0, 1.0, name="moved")(y))
    i = keras.Input((2, 4, 5), name="x")
    y = keras.layers.Rescaling(3.0, name="scaled")(i)
    b = keras.Model(i, keras.layers.Rescaling(1.0, 2.0, name="moved")(y))
    values = RNG.normal(size=(3, 4, 5, 2)).astype("float32")
    turned = values.transpose(0, 3, 1, 2).copy()
    side_a, _, sizes = make_side(a, values)
    side_b, _, _ = make_side(b, turned)
    pairs = [LocalPair(n, n, sizes[n], (0, 3, 1, 2)) for n in range(2)]
    local = LocalErrors(side_a, side_b, pairs, batch_size=3)
    assert local.check_closure({"x": values}, {"x": turned}) == {}
    [[scaled, moved]] = local.run({"x": values}, {"x": turned})
    np.testing.assert_array_equal(scaled.own_a, scaled.own_b)
    np.testing.assert_array_equal(scaled.a, 3 * values)
    np.testing.assert_allclose(moved.own_b - moved.own_a, np.ones_like(turned), rtol=1e-6)


def test_a_layer_that_draws_shows_nothing_in_training():
    x = keras.Input((8,), name="x")
    y = keras.layers.Dense(8, name="dense_0")(x)
    y = keras.layers.Dropout(0.5, seed=1, name="drop_0")(y)
    y = keras.layers.Dense(8, name="dense_1")(y)
    a = keras.Model(x, keras.layers.Dropout(0.5, seed=2, name="drop_1")(y))
    b = copy(a)
    # All: what a single one is multiplied with may be dropped in each row.
    change_all_weights(b.get_layer("dense_1"))
    training = {"training": True}
    data = RNG.normal(size=(4, 8)).astype("float32")
    for memory in (1 << 30, 1):
        compared = Compared(a, b, data, of_a=training, of_b=training, memory=memory)
        assert compared.born == ["dense_1"]
        assert (compared.rows["drop_0"].own_b == 0).any()
