"""NaN and infinity are where the layers, run one by one, put them."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

import kprobe

L = keras.layers
ROWS, BAD_ROW = 4, 2
BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
ACTIVATIONS = [
    *("relu", "relu6", "gelu", "leaky_relu", "elu", "sigmoid", "tanh"),
    *("silu", "mish", "selu", "softplus", "hard_silu"),
]
IMAGE = (6, 6, 3)

# What the graph compiler may fuse: what comes before an activation, and the shape of a sample.
KINDS = {
    "dense": ((8,), lambda x: L.Dense(16)(x)),
    "conv": (IMAGE, lambda x: L.Conv2D(8, 3)(x)),
    "depthwise": (IMAGE, lambda x: L.DepthwiseConv2D(3)(x)),
    "separable": (IMAGE, lambda x: L.SeparableConv2D(3, 3)(x)),
    "conv3d": ((5, 5, 5, 2), lambda x: L.Conv3D(3, 3)(x)),
    "conv, norm": (IMAGE, lambda x: L.BatchNormalization()(L.Conv2D(8, 3)(x))),
    "conv, two norms": (
        IMAGE,
        lambda x: L.BatchNormalization()(L.BatchNormalization()(L.Conv2D(8, 3)(x))),
    ),
    "norm": (IMAGE, lambda x: L.BatchNormalization()(x)),
    "conv, add": (IMAGE, lambda x: L.Add()([L.Conv2D(3, 3, padding="same")(x), x])),
    "dense at each step": ((5, 6), lambda x: L.TimeDistributed(L.Dense(3))(x)),
}


class Inner(L.Layer):
    """A dense layer with relu, in a function that is called in one of several ways."""

    def __init__(self, way, **options):
        super().__init__(**options)
        self.way = way

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 16), name="kernel")
        self.bias = self.add_weight(shape=(16,), name="bias")

    def compute_output_shape(self, shape):
        return (*shape[:-1], 16)

    def core(self, x):
        return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias))

    def call(self, x):
        if self.way == "loop":
            rows = tf.map_fn(lambda row: self.core(row[tf.newaxis]), x)
            return rows[:, 0]
        if self.way == "branch":
            return tf.cond(tf.size(x) > 0, lambda: self.core(x), lambda: tf.zeros_like(x))
        apart = {"_noinline": True} if self.way == "function that stays one" else {}
        return tf.function(self.core, experimental_attributes=apart)(x)


def make_samples(shape, bad):
    samples = np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32")
    samples[(BAD_ROW, *(size // 2 for size in shape))] = bad
    return samples


def find_kinds(values):
    """What is finite, NaN, and either infinity, by a number each."""
    return np.where(np.isnan(values), 2, np.where(np.isinf(values), np.sign(values), 0))


def make_trained(model):
    """Give weights values as after training: adding a bias of zero is folded away."""
    model.set_weights([w if w.ndim > 1 else w + 0.25 for w in model.get_weights()])


# A long run is frozen.
WAYS = {
    "short": lambda model, samples: kprobe.function(model, ACTIVATIONS)(samples),
    "exact": lambda model, samples: kprobe.function(model, ACTIVATIONS, exact=True)(samples),
    "long": lambda model, samples: kprobe.activations(
        model, ACTIVATIONS, np.resize(samples, (300, *samples.shape[1:]))
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_fused_kernels_swallow_nothing(kind, way):
    shape, make = KINDS[kind]
    keras.utils.set_random_seed(0)
    x = keras.Input(shape)
    # Each behind layers of its own: what several layers read isn't fused.
    model = keras.Model(x, [L.Activation(name, name=name)(make(x)) for name in ACTIVATIONS])
    make_trained(model)
    samples = np.concatenate([make_samples(shape, bad) for bad in BAD.values()])
    # Eagerly every operation has a kernel of its own.
    expected_of = dict(zip(ACTIVATIONS, model(samples), strict=True))
    computed = WAYS[way](model, samples)
    for name, expected in expected_of.items():
        got = computed[name][: len(samples)]
        np.testing.assert_array_equal(find_kinds(got), find_kinds(expected), err_msg=name)


@pytest.mark.parametrize("way", ["function", "function that stays one", "loop", "branch"])
def test_nor_do_they_in_functions(way):
    keras.utils.set_random_seed(0)
    x = keras.Input((16,))
    model = keras.Model(x, L.Activation("linear", name="after")(Inner(way, name="inner")(x)))
    make_trained(model)
    samples = make_samples((16,), np.nan)
    layer = model.get_layer("inner")
    expected = np.maximum(samples @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    got = kprobe.function(model, "after")(samples)["after"]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert np.isnan(got[BAD_ROW]).all()


@pytest.mark.parametrize("rows", [8, 300])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_dump_shows_where_nan_begins(tmp_path, rows, precision):
    """The shorter one isn't frozen, the longer one is."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8,))
    model = keras.Model(x, L.Dense(4, name="next")(L.Dense(16, "relu", name="first")(x)))
    make_trained(model)
    samples = np.random.default_rng(0).normal(size=(rows, 8)).astype("float32")
    samples[5, 3] = np.nan
    options = {"inputs": samples, "precision": precision}
    kprobe.dump(model, "first,next", output=tmp_path / "a.h5", **options)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        for name in dump.columns:
            assert np.flatnonzero(np.isnan(dump[name]).any(1)).tolist() == [5]
            assert np.isnan(dump[name][5]).all()
    with pytest.raises(kprobe.KprobeError, match="first holds NaN in sample 5 "):
        kprobe.dump(model, "next,first", output=tmp_path / "b.h5", fail_on="nan", **options)


@pytest.mark.parametrize("options", [{}, {"exact": True}])
def test_the_users_own_options_of_the_compiler_stay(options):
    """Also in other threads, and while a function is called."""
    x = keras.Input((8,))
    model = keras.Model(x, L.Dense(4, name="dense")(x))
    function = kprobe.function(model, "dense", **options)
    tf.config.optimizer.set_experimental_options({"constant_folding": False})
    before = tf.config.optimizer.get_experimental_options()
    compiled = context.context().function_call_options.config_proto_serialized
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(tf.config.optimizer.get_experimental_options())
    )
    try:
        function(np.zeros((2, 8), "float32"))
        thread.start()
        thread.join()
        assert tf.config.optimizer.get_experimental_options() == before
        assert seen == [before]
        # What their next call is compiled with, too.
        assert context.context().function_call_options.config_proto_serialized == compiled
    finally:
        tf.config.optimizer.set_experimental_options({"constant_folding": True})
