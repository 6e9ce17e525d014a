"""Functions of a model's layers: what they blame, what they ask for, what may be left out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 3, 4)).astype("float32")


# --- Loops that can't be put together -------------------------------------------------------


def make_growing(k):
    """A layer whose loop calls `inner` on one more column each time."""

    class Growing(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = k.layers.Activation("relu", name="inner")

        def call(self, x):
            def body(i, total):
                return i + 1, total + tf.reduce_sum(self.inner(x[:, : i + 1]), 1, keepdims=True)

            start = tf.zeros_like(x[:, :1])
            return tf.while_loop(lambda i, _: i < 3, body, (tf.constant(0), start))[1]

        def compute_output_shape(self, shape):
            return (shape[0], 1)

    x = k.Input((4,), name="x")
    h = k.layers.Dense(4, name="dense")(x)
    return k.Model(x, Growing(name="u")(h))


@KERASES
@pytest.mark.parametrize(
    "layers",
    [
        ["dense:kernel", "u/inner"],
        ["dense:kernel", "dense", "dense:bias", "u/inner"],
        ["u/inner", "dense:kernel"],
        ["dense:kernel", "odd=u/inner", "u"],
    ],
)
def test_the_tensor_that_can_not_be_had_is_blamed(k, layers):
    function = kprobe.function(make_growing(k), layers)
    with pytest.raises(kprobe.KprobeError) as caught:
        function(A)
    assert str(caught.value) == (
        "u/inner has another shape in each iteration of its loop, and the iterations can't be put "
        "together; leave it out"
    )
    with pytest.raises(kprobe.KprobeError, match=r"^u/inner has another shape in each iteration"):
        kprobe.activations(make_growing(k), [one for one in layers if one != "u"], A)


# --- What is asked for ----------------------------------------------------------------------


def make_siamese(k):
    left, right = k.Input((4,), name="left"), k.Input((4,), dtype="int32", name="right")
    doubled = k.layers.Rescaling(2.0, name="doubled")(left)
    embedded = k.layers.Embedding(9, 1, name="embedded")(right)
    flat = k.layers.Flatten(name="flat")(embedded)
    return k.Model([left, right], k.layers.Subtract(name="difference")([doubled, flat]))


@KERASES
def test_it_asks_for_what_its_layers_need_and_takes_the_rest_all_the_same(k):
    model, other = make_siamese(k), np.ones((3, 4), "int32")
    function = kprobe.function(model, "doubled")
    assert function.feeds == ["left"]
    for given in ([A], [{"left": A}], [{"left": A, "right": other}], [{"left": A, "right": "?"}]):
        np.testing.assert_array_equal(function(*given)["doubled"], 2 * A)
    np.testing.assert_array_equal(function(left=A, right=other)["doubled"], 2 * A)
    assert kprobe.function(model, "flat").feeds == ["right"]
    assert kprobe.function(model, "difference").feeds == ["left", "right"]
    assert kprobe.function(model, "embedded:embeddings").feeds == []


@KERASES
def test_an_input_that_is_missing_is_named_with_shape_and_dtype(k):
    function = kprobe.function(make_siamese(k), "difference")
    for call in (lambda: function(A), lambda: function(left=A), lambda: function({"left": A})):
        with pytest.raises(kprobe.KprobeError) as caught:
            call()
        assert str(caught.value) == (
            "expected an array for every input that these layers need, received none for "
            "right (None, 4) int32; give it by its name: right=..."
        )
    with pytest.raises(kprobe.KprobeError) as caught:
        function()
    assert str(caught.value).endswith(
        "received none for left (None, 4) float32, right (None, 4) int32; give left=..., right=..."
    )
    with pytest.raises(
        kprobe.KprobeError, match=r"^expected an array for left, right, received lft"
    ):
        function(lft=A)


# --- Optional inputs, which Keras 3 has -----------------------------------------------------

calls = []


class Maybe(keras.layers.Layer):
    """Twice x, and what there is of y and z."""

    def call(self, x, y=None, z=None):
        calls.append((y is not None, z is not None))
        x = x * 2
        x = x if y is None else x + y
        return x if z is None else x * z


def make_optional():
    a = keras.Input((4,), name="a")
    b = keras.Input((4,), name="b", optional=True)
    c = keras.Input((4,), name="c", optional=True)
    layer = Maybe(name="maybe")
    return keras.Model([a, b, c], keras.layers.ReLU(name="relu")(layer(a, b, c)))


def run_eagerly(model, a, b=None, c=None):
    return model.get_layer("maybe")(a, b, c).numpy()


def test_an_optional_input_may_be_left_out():
    model, c = make_optional(), A + B
    function = kprobe.function(model, "maybe")
    assert function.feeds == ["a", "b", "c"]
    assert function.optional == ["b", "c"]
    assert "(a, b=None, c=None) -> maybe" in repr(function)
    for given, expected in (
        (function(A), run_eagerly(model, A)),
        (function({"a": A}), run_eagerly(model, A)),
        (function(A, B), run_eagerly(model, A, B)),
        (function(A, None, c), run_eagerly(model, A, None, c)),
        (function(a=A, c=c), run_eagerly(model, A, None, c)),
        (function({"a": A, "b": None, "c": None}), run_eagerly(model, A)),
        (function(A, B, c), run_eagerly(model, A, B, c)),
    ):
        np.testing.assert_array_equal(given["maybe"], expected)
    with pytest.raises(kprobe.KprobeError, match=r"received none for a \(None, 4\) float32"):
        function(b=B)
    with pytest.raises(kprobe.KprobeError, match=r"received none for a \(None, 4\) float32"):
        function(None, B)


def test_the_model_is_traced_once_for_each_set_of_inputs_when_that_comes():
    function = kprobe.function(make_optional(), "relu")
    calls.clear()
    for _ in range(3):
        function(A)
        function(A, B, A)
        function(a=A, c=B)
    assert calls == [(False, False), (False, True)]


def test_what_is_fed_and_replaced_stays_so_without_them():
    model = make_optional()
    fed = kprobe.function(model, "relu", feeds="maybe")
    np.testing.assert_array_equal(fed(A)["relu"], np.maximum(A, 0))
    replaced = kprobe.function(model, "relu,relu:in", replace={"maybe": "zero"})
    np.testing.assert_array_equal(replaced(A)["relu"], np.zeros_like(A))
    np.testing.assert_array_equal(replaced(A, B)["relu"], np.zeros_like(A))


def test_layers_and_aliases_are_found_again_without_them():
    model = make_optional()
    function = kprobe.function(model, [model.get_layer("relu"), "twice=maybe"])
    received = function(A)
    assert list(received) == ["relu", "twice"]
    np.testing.assert_array_equal(received["twice"], 2 * A)
    np.testing.assert_array_equal(received["relu"], np.maximum(2 * A, 0))


def make_integers():
    i = keras.Input((3,), dtype="int32", name="i")
    return keras.Model(i, keras.layers.Lambda(lambda x: x + 1, name="next")(i))


@pytest.mark.parametrize("value", [2**32 + 1, 2**31, -(2**31) - 1])
def test_integers_are_not_wrapped_round(value):
    function = kprobe.function(make_integers(), "next")
    with pytest.raises(kprobe.KprobeError, match="i: expected int32, from -2147483648 to"):
        function(np.full((1, 3), value))
    np.testing.assert_array_equal(function(np.full((1, 3), 2**31 - 2))["next"], 2**31 - 1)


def make_sum():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    return keras.Model([a, b], keras.layers.Add(name="sum")([a, b]))


def test_arrays_of_several_lengths_are_not_spread():
    function = kprobe.function(make_sum(), "sum")
    rows = np.ones((4, 3), "float32")
    with pytest.raises(
        kprobe.KprobeError, match="as many rows for every input, received 4 of a, 1"
    ):
        function(rows, rows[:1])


def test_an_array_is_given_once():
    function = kprobe.function(make_sum(), "sum")
    rows = np.ones((4, 3), "float32")
    with pytest.raises(kprobe.KprobeError, match="expected one array for a, received two"):
        function(rows, a=rows, b=rows)
    with pytest.raises(kprobe.KprobeError, match="expected one array for b, received two"):
        function({"a": rows, "b": rows}, b=rows)


def test_rows_that_are_no_array_are_refused():
    with pytest.raises(kprobe.KprobeError, match="a: expected rows of one shape"):
        kprobe.function(make_sum(), "sum")([[1, 2, 3], [4]], np.ones((2, 3)))


@pytest.mark.parametrize("replace", [5, {"sum": 0}, ["sum"]])
def test_what_replaces_nothing_is_refused(replace):
    with pytest.raises(kprobe.KprobeError, match="replace: expected zero, mean or noise:STD"):
        kprobe.function(make_sum(), "sum", replace=replace)


def test_threads_make_functions_at_a_time():
    models = [make_sum() for _ in range(4)]
    rows = np.ones((2, 3), "float32")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda m: kprobe.function(m, "sum")(rows, rows)["sum"], models * 3))
    assert all(np.array_equal(result, 2 * rows) for result in results)


def test_a_model_that_ends_the_program_is_told():
    class Ends(keras.layers.Layer):
        def call(self, x):
            if self.built:
                raise SystemExit(7)
            return x

        def compute_output_shape(self, shape):
            return shape

    x = keras.Input((3,), name="x")
    layer = Ends(name="ends")
    layer.built = False
    model = keras.Model(x, layer(x))
    layer.built = True
    with pytest.raises(kprobe.KprobeError, match="can't be traced: SystemExit"):
        kprobe.function(model, "ends")
