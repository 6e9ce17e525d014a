"""Finding the axis of samples: in loops, with one batch size, where samples belong together."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
STEPS = np.random.default_rng(0).normal(size=(10, 4, 3)).astype("float32")
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(10, 4)).astype("float32")


def dump(model, layers, tmp_path, **options):
    path = tmp_path / "a.h5"
    kprobe.dump(model, layers, output=path, overwrite=True, **options)
    with kprobe.open_dump(path) as file:
        return {address: file[address][:] for address in file}


@KERASES
@pytest.mark.parametrize("rows", [8, 4])
def test_gates_in_a_model_of_one_batch_size_are_rows_of_samples(k, rows, tmp_path):
    def make(**shape):
        i = k.Input(name="seq", **shape)
        return k.Model(i, k.layers.LSTM(4, return_sequences=True, name="lstm")(i))

    free = make(shape=(4, 3))
    # As many steps and units as samples: the sizes don't tell the axes apart.
    fixed = make(batch_shape=(4, 4, 3))
    fixed.set_weights(free.get_weights())
    data = STEPS[:rows]
    expected = dump(free, "lstm//*Sigmoid*,lstm", tmp_path, inputs=data)
    computed = dump(fixed, "lstm//*Sigmoid*,lstm", tmp_path, inputs=data)
    assert len(expected) == 4
    for (address, value), other in zip(computed.items(), expected.values(), strict=True):
        assert value.shape == (rows, 4, 4), address
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)


@KERASES
def test_what_has_no_row_for_each_sample_is_refused_in_such_a_model_too(k, tmp_path):
    class Total(k.layers.Layer):
        def call(self, x):
            return x + tf.reduce_sum(x, axis=(0, 1), name="total")

    i = k.Input(batch_shape=(4, 4, 3), name="seq")
    model = k.Model(i, Total(name="sum")(i))
    with pytest.raises(kprobe.KprobeError, match="not a row for each sample"):
        dump(model, "sum//total", tmp_path, inputs=STEPS)


@KERASES
def test_a_loop_that_never_runs_gives_an_empty_row_for_each_sample(k, tmp_path):
    class Loop(k.layers.Layer):
        def call(self, x):
            def body(i, y):
                return i + 1, tf.nn.relu(y, name="never")

            return tf.while_loop(lambda i, _: i < 0, body, (0, x))[1]

    i = k.Input((4, 3), name="seq")
    model = k.Model(i, Loop(name="loop")(i))
    computed = dump(model, "loop,loop//*never", tmp_path, inputs=STEPS, batch_size=4)
    np.testing.assert_array_equal(computed["loop"], STEPS)
    (never,) = (value for address, value in computed.items() if "never" in address)
    assert never.shape == (10, 0, 4, 3)


# --- Samples that belong together -------------------------------------------------------------


def make_layer(k, call, fixed=None, features=4, **options):
    """A model of one layer, `layer`, that notes the size of every batch that runs."""
    sizes = []

    class Layer(k.layers.Layer):
        def call(self, x):
            def note(values):
                sizes.append(len(values))
                return values

            noted = tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)
            return call(noted)

        def compute_output_shape(self, shape):
            return (None, *shape[1:])

    shape = {"shape": (features,)} if fixed is None else {"batch_shape": (fixed, features)}
    x = k.Input(name="x", **shape)
    return k.Model(x, Layer(name="layer", **options)(x)), sizes


def centre(x):
    return x - tf.reduce_mean(x, 0, keepdims=True)


def centre_by(size, data):
    """What numpy makes of it, batch by batch."""
    parts = [data[row : row + size] for row in range(0, len(data), size)]
    return np.concatenate([part - part.mean(0) for part in parts])


def split(x):
    """As if each half were another device's."""
    return tf.concat([centre(half) * (n + 1) for n, half in enumerate(tf.split(x, 2))], 0)


def split_by(size, data):
    parts = [data[row : row + size // 2] for row in range(0, len(data), size // 2)]
    return np.concatenate([(p - p.mean(0)) * (n % 2 + 1) for n, p in enumerate(parts)])


def clip(x):
    """Four samples in a row are the frames of a clip."""
    clips = tf.reshape(x, (-1, 4, x.shape[1]))
    return tf.reshape(clips - clips[:, :1], (-1, x.shape[1]))


def clip_by(_size, data):
    return np.concatenate([data[row : row + 4] - data[row] for row in range(0, len(data), 4)])


WHOLES = {"centred": (centre, centre_by), "split": (split, split_by), "clips": (clip, clip_by)}
EACH = pytest.mark.parametrize("kind", WHOLES)


def close(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@KERASES
@EACH
@pytest.mark.parametrize("size", [4, 8])
def test_no_batch_is_smaller_than_was_asked_for(k, kind, size):
    call, reference = WHOLES[kind]
    data = RNG.normal(size=(16, 4)).astype("float32")
    model, sizes = make_layer(k, call)
    received = kprobe.activations(model, "layer", data, batch_size=size)
    close(received["layer"], reference(size, data))
    assert min(sizes) >= size


@pytest.mark.parametrize(
    "options",
    [
        {"audit": True},
        {"precision": "bfloat16"},
        {"training": True},
        {"exact": True},
        {"fail_on": "nan"},
        {"eager": True},
        {"stateful": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_nor_is_it_whatever_else_is_asked_for(options):
    data = RNG.normal(size=(16, 4)).astype("float32")
    model, sizes = make_layer(keras, clip)
    received = kprobe.activations(model, "layer", data, batch_size=8, **options)
    close(received["layer"], clip_by(8, data))
    assert min(sizes) >= 8


@KERASES
def test_the_last_batch_runs_as_it_is(k, tmp_path):
    model, sizes = make_layer(k, centre)
    kprobe.dump(model, "layer", inputs=DATA, output=tmp_path / "a.h5", batch_size=4)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        close(dump["layer"][:], centre_by(4, DATA))
        assert dump.attrs["batch_size"] == 4
    assert min(sizes) == 2
    # A stream's, too.
    received = kprobe.activations(model, "layer", iter([DATA[:7], DATA[7:]]), batch_size=4)
    close(received["layer"], centre_by(4, DATA))


@KERASES
@pytest.mark.parametrize(
    ("call", "fixed"), [(centre, 4), (clip, None), (split, None)], ids=["fixed", "clips", "split"]
)
def test_where_the_model_does_not_take_it_the_run_does_not_begin(k, call, fixed, tmp_path):
    data = DATA if call is not split else DATA[:9]
    model, _ = make_layer(k, call, fixed)
    options = {"output": tmp_path / "a.h5", "batch_size": 4}
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(model, "layer", inputs=data, **options)
    assert str(caught.value).endswith("take fewer: limit=8")
    assert list(tmp_path.iterdir()) == []
    kprobe.dump(model, "layer", inputs=data, limit=8, **options)
    reference = {centre: centre_by, clip: clip_by, split: split_by}[call]
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        close(dump["layer"][:], reference(4, data[:8]))


@KERASES
def test_fewer_samples_than_a_whole_are_refused(k):
    for model, _ in (make_layer(k, clip), make_layer(k, centre, fixed=4)):
        with pytest.raises(kprobe.KprobeError, match="give 4 at least"):
            kprobe.activations(model, "layer", DATA[:3], batch_size=4)


@KERASES
def test_a_batch_of_one_size_may_not_have_a_hole(k):
    model, _ = make_layer(k, centre, fixed=4)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "layer", DATA[:8], on_error="skip")
    assert str(caught.value) == (
        "the model takes batches of 4 samples only, and one that can't be read would leave a hole "
        "in its batch; leave on_error out"
    )


@KERASES
def test_without_a_size_it_is_asked_for(k):
    model, _ = make_layer(k, clip)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "layer", DATA[:8])
    assert str(caught.value).endswith(
        "where so many samples belong together, as the nodes of a graph do, say how many: "
        "batch_size=N"
    )


@KERASES
@pytest.mark.parametrize(("size", "rows"), [(3, 9), (5, 10), (8, 8), (12, 12)])
def test_random_samples_make_whole_batches_by_default(k, size, rows):
    model, sizes = make_layer(k, centre)
    received = kprobe.activations(model, "x,layer", batch_size=size)
    assert len(received["x"]) == rows
    close(received["layer"], centre_by(size, received["x"]))
    assert min(sizes) >= size
    fixed, sizes = make_layer(k, centre, fixed=size)
    received = kprobe.activations(fixed, "x,layer")
    assert len(received["x"]) == rows
    close(received["layer"], centre_by(size, received["x"]))
    assert {*sizes} == {size}


# --- What looks like rows, and is none ------------------------------------------------------


@KERASES
@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda x: tf.reduce_sum(x, 0), r"\(4,\) for 4 samples and \(4,\) for 8"),
        (lambda x: tf.reduce_mean(tf.reshape(x, (-1, 4, 4)), 1), r"\(1, 4\) .* and \(2, 4\) for 8"),
        (lambda x: tf.linalg.matmul(x, x, transpose_a=True), r"\(4, 4\) .* and \(4, 4\) for 8"),
    ],
    ids=["a sum of the batch", "a mean of each clip", "a covariance"],
)
def test_what_is_as_long_as_a_batch_by_chance_has_no_rows(k, call, shapes):
    model, _ = make_layer(k, call)
    with pytest.raises(kprobe.KprobeError, match=f"layer has shape {shapes}: not a row for each"):
        kprobe.activations(model, "layer", DATA[:8], batch_size=4)


# --- The nodes of a graph ---------------------------------------------------------------------

NODES = 30
FEATURES = RNG.normal(size=(NODES, 12)).astype("float32")
EDGES = scipy.sparse.random(NODES, NODES, 0.15, random_state=1, dtype="float32")
EDGES = (EDGES + EDGES.T + scipy.sparse.eye(NODES, dtype="float32")).tocsr()


def make_network(k, *, sparse):
    class Convolution(k.layers.Layer):
        def build(self, shapes):
            shape = (shapes[0][-1], 6)
            self.kernel = self.add_weight(name="kernel", shape=shape, initializer="random_normal")

        def call(self, inputs):
            nodes, edges = inputs
            h = tf.matmul(nodes, tf.convert_to_tensor(self.kernel))
            if isinstance(edges, tf.SparseTensor):
                return tf.nn.relu(tf.sparse.sparse_dense_matmul(edges, h))
            return tf.nn.relu(tf.matmul(edges, h))

        def compute_output_shape(self, shapes):
            return (shapes[0][0], 6)

    x = k.Input((12,), name="features")
    a = k.Input((NODES,), sparse=sparse, name="adjacency")
    first = Convolution(name="first")([x, a])
    return k.Model([x, a], Convolution(name="second")([first, a]))


@KERASES
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_graph_is_one_batch(k, sparse, tmp_path):
    model = make_network(k, sparse=sparse)
    edges = EDGES.toarray()
    given = {"features": FEATURES, "adjacency": edges}
    first, second = (np.asarray(weight) for weight in model.get_weights())
    h = np.maximum(edges @ (FEATURES @ first), 0)
    expected = {"first": h, "second": np.maximum(edges @ (h @ second), 0)}
    received = kprobe.activations(model, "first,second", given, batch_size=NODES)
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, rtol=1e-4, atol=1e-5)
    scipy.sparse.save_npz(tmp_path / "a.npz", EDGES)
    np.save(tmp_path / "x.npy", FEATURES)
    files = {"features": tmp_path / "x.npy", "adjacency": tmp_path / "a.npz"}
    kprobe.dump(model, None, inputs=files, output=tmp_path / "a.h5", batch_size=NODES)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_allclose(dump["second"][:], expected["second"], rtol=1e-4, atol=1e-5)
    with pytest.raises(kprobe.KprobeError, match="batch_size=N"):
        kprobe.activations(model, "first", given)
