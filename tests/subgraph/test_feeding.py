"""Feeding inner tensors: what lies upstream of them isn't run, and the numbers don't change."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def dump(model, layers, path, **options):
    kprobe.dump(model, layers, output=path, overwrite=True, exact=True, **options)
    with kprobe.open_dump(path) as file:
        return {address: file[address][:] for address in file}, file.attrs


@pytest.mark.parametrize("layer", ["conv4_1", "pool2", "rpn_class_raw"])
def test_two_runs_give_what_a_single_one_gives_bit_for_bit(samples, tmp_path, layer):
    model = samples / "shapes_rpn.h5"
    whole, _ = dump(
        model, f"{layer},rpn_class", tmp_path / "a.h5", inputs=str(samples / "shapes.npz")
    )
    feed = f"{layer}={tmp_path}/a.h5:{layer}"
    tail, attrs = dump(model, f"rpn_class,{layer}", tmp_path / "b.h5", feeds=[feed])
    np.testing.assert_array_equal(tail["rpn_class"], whole["rpn_class"])
    np.testing.assert_array_equal(tail[layer], whole[layer])
    assert '"input": "' + layer in attrs["inputs"]


def test_an_operation_can_be_fed(samples, tmp_path):
    model = samples / "shapes_rpn.h5"
    before = np.linspace(-1, 1, 3 * 8 * 8 * 40, dtype="float32").reshape(3, 8, 8, 40)
    np.save(tmp_path / "before.npy", before)
    feed = f"conv5_3//BiasAdd={tmp_path}/before.npy"
    computed, _ = dump(model, "conv5_3", tmp_path / "a.h5", feeds=[feed])
    np.testing.assert_array_equal(computed["conv5_3"], np.maximum(before, 0))


def test_feeding_a_pass_through_layer_replaces_its_output_only(tmp_path):
    i = keras.Input((4,), name="x")
    dense = keras.layers.Dense(4, name="before")(i)
    dropped = keras.layers.Dropout(0.5, name="drop")(dense)
    model = keras.Model(i, keras.layers.Add(name="sum")([dense, dropped]))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "fed.npy", np.zeros_like(x))
    options = {"inputs": f"x={tmp_path}/x.npy", "feeds": [f"drop={tmp_path}/fed.npy"]}
    computed, _ = dump(model, "before,sum", tmp_path / "a.h5", **options)
    assert computed["before"].any()
    np.testing.assert_array_equal(computed["sum"], computed["before"])


@pytest.fixture(scope="module")
def chain():
    i = keras.Input((4,), name="x")
    double = keras.layers.Rescaling(2.0, name="double")(i)
    shift = keras.layers.Rescaling(1.0, 1.0, name="shift")(double)
    return keras.Model(i, keras.layers.Add(name="sum")([double, shift]))


X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("zero", np.ones_like(X)), ("mean", np.broadcast_to(4 * X.mean(0) + 1, X.shape))],
)
def test_a_tensor_is_replaced_by_what_is_made_of_it(chain, tmp_path, kind, expected):
    options = {"inputs": X, "feeds": [f"double={kind}"], "batch_size": 6}
    computed, attrs = dump(chain, "double,sum,x", tmp_path / "a.h5", **options)
    np.testing.assert_allclose(computed["sum"], expected, rtol=1e-6)
    np.testing.assert_allclose(computed["double"], (expected - 1) / 2, atol=1e-6)
    np.testing.assert_array_equal(computed["x"], X)
    assert f"double={kind}" in attrs["options"]


def test_noise_is_added_and_follows_from_the_seed(chain, tmp_path):
    data = np.zeros((1000, 4), "float32")
    results = []
    for number, seed in enumerate((0, 0, 1)):
        options = {"inputs": data, "feeds": ["double=noise:0.5"], "seed": seed}
        path = tmp_path / f"{number}.h5"
        results.append(dump(chain, "double,sum", path, **options)[0])
    noise = results[0]["double"]
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 0.5) < 0.05
    assert len(np.unique(noise)) > 0.9 * noise.size  # every batch has its own
    np.testing.assert_allclose(results[0]["sum"], 2 * noise + 1, atol=1e-6)
    np.testing.assert_array_equal(results[1]["double"], noise)
    assert (results[2]["double"] != noise).any()


def test_replacements_follow_each_other(chain):
    computed = kprobe.function(chain, "sum", replace={"double": "mean", "shift": "zero"})(X)["sum"]
    np.testing.assert_allclose(
        computed, np.broadcast_to(2 * X.mean(0), X.shape), rtol=1e-5, atol=1e-6
    )


def test_what_lies_behind_a_replaced_tensor_in_a_loop_follows(tmp_path):
    i = keras.Input((7, 4), name="x")
    twice = keras.layers.Rescaling(2.0, name="twice")(i)
    model = keras.Model(i, keras.layers.LSTM(3, name="lstm")(twice))
    x = np.random.default_rng(0).normal(size=(2, 7, 4)).astype("float32")
    address = "lstm//*Sigmoid*"
    zeroed = kprobe.function(model, address, replace={"twice": "zero"})(x)
    expected = kprobe.function(model, address)(x * 0)
    for name, value in expected.items():
        np.testing.assert_array_equal(zeroed[name], value)


WRONG = [
    ("conv1_1", "conv4_1={}", "nothing that is asked for depends on conv4_1"),
    ("rpn_class", "conv4_1", "a feed: expected ADDRESS=SRC, received conv4_1"),
    ("rpn_class", "conv9={}", "no layer 'conv9'; nearest: "),
    ("rpn_class", "conv4_*={}", "the feed conv4_* stands for 3 tensors: conv4_1, conv4_2, conv4_3"),
    ("rpn_class", "conv4_1={}", "input 'conv4_1' expects shape (None, 8, 8, 40), received "),
    ("rpn_class", "conv4_1=noise", "expected noise:STD with a standard deviation, received noise"),
    ("rpn_class", "conv4_1=noise:-1", "expected noise:STD with a standard deviation, received "),
    ("conv1_1", "conv4_1=zero", "nothing that is asked for depends on conv4_1"),
    (
        "conv1_1,rpn_class",
        "conv4_1={}",
        "conv1_1 can't be computed from the feeds alone: the input image is needed, too",
    ),
]


def test_an_input_that_the_feeds_make_needless_is_refused(samples, tmp_path, shapes_rpn):
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8, 40), "float32"))
    options = {"feeds": [f"conv4_1={tmp_path}/x.npy"], "inputs": str(samples / "shapes.npz")}
    with pytest.raises(kprobe.KprobeError, match="with these feeds the model needs no input"):
        kprobe.dump(shapes_rpn, "rpn_class", output=tmp_path / "a.h5", **options)


@pytest.mark.parametrize(("layer", "feed", "fault"), WRONG)
def test_a_wrong_feed_is_one_line(samples, tmp_path, shapes_rpn, layer, feed, fault):
    np.save(tmp_path / "x.npy", np.zeros((3, 2), "float32"))
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(
            shapes_rpn,
            layer,
            feeds=[feed.format(tmp_path / "x.npy")],
            output=tmp_path / "a.h5",
        )
    assert caught.value.faults[0].startswith(fault)
    assert not (tmp_path / "a.h5").exists()


def test_an_input_can_be_fed_by_its_own_name(chain, tmp_path):
    np.save(tmp_path / "x.npy", X)
    computed, _ = dump(chain, "sum", tmp_path / "a.h5", feeds=[f"x={tmp_path}/x.npy"])
    np.testing.assert_allclose(computed["sum"], 4 * X + 1, rtol=1e-6)


def test_one_tensor_is_not_fed_twice(chain, tmp_path):
    feeds = ["double=zero", "shift:in=noise:1"]
    with pytest.raises(kprobe.KprobeError, match="double and shift:in are one tensor, fed twice"):
        dump(chain, "sum", tmp_path / "a.h5", inputs=X, feeds=feeds)


def test_a_function_refuses_the_same_feeds(chain):
    i = keras.Input((7, 4), name="x")
    model = keras.Model(i, keras.layers.LSTM(3, name="lstm")(i))
    for options in ({"replace": {"lstm//*Sigmoid_1": "zero"}}, {"feeds": "lstm//*Sigmoid_1"}):
        with pytest.raises(kprobe.KprobeError, match="where nothing can be fed"):
            kprobe.function(model, "lstm", **options)
    with pytest.raises(kprobe.KprobeError, match="depends on sum"):
        kprobe.function(chain, "shift", replace={"sum": "zero"})


def test_an_audit_compares_the_outputs_that_follow_from_what_is_fed(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.layers.Rescaling(2.0, name="inner")(a)
    left = keras.layers.Rescaling(3.0, name="left")(inner)
    model = keras.Model([a, b], [left, keras.layers.Add(name="both")([left, b])])
    np.save(tmp_path / "inner.npy", X)
    options = {"feeds": [f"inner={tmp_path}/inner.npy"], "audit": True}
    _, attrs = dump(model, "left", tmp_path / "a.h5", **options)
    assert attrs["audit_ulps"] == 0


# --- Fed, and fetched as computed -----------------------------------------------------------


def make_convolutions(k):
    i = k.Input((6, 6, 2), name="x")
    one = k.layers.Conv2D(3, 3, activation="relu", name="conv1")(i)
    two = k.layers.Conv2D(4, 3, name="conv2")(one)
    return k.Model(i, k.layers.Add(name="sum")([k.layers.ReLU(name="relu")(two), two]))


IMAGES = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype("float32")
FED1 = np.random.default_rng(2).normal(size=(3, 4, 4, 3)).astype("float32")
FED2 = np.random.default_rng(3).normal(size=(3, 2, 2, 4)).astype("float32")


@KERASES
def test_what_is_fed_can_be_fetched_as_computed_from_the_other_feeds(k):
    model = make_convolutions(k)
    layers = ["conv2:own", "conv2", "c=conv1:own", "relu", "sum", "conv2//BiasAdd"]
    function = kprobe.function(model, layers, feeds=["conv1", "conv2"])
    assert function.feeds == ["conv1", "conv2", "x"]
    given = function(FED1, FED2, IMAGES)
    assert list(given) == ["conv2:own", "conv2", "c", "relu", "sum", "conv2//BiasAdd"]
    computed = np.asarray(model.get_layer("conv2")(FED1))
    np.testing.assert_allclose(given["conv2:own"], computed, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(given["conv2"], FED2)
    np.testing.assert_array_equal(given["conv2//BiasAdd"], FED2)  # they are one tensor
    first = np.asarray(model.get_layer("conv1")(IMAGES))
    np.testing.assert_allclose(given["c"], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(given["relu"], np.maximum(FED2, 0))
    np.testing.assert_array_equal(given["sum"], np.maximum(FED2, 0) + FED2)


@KERASES
def test_without_own_a_fed_tensor_comes_back_as_fed(k):
    function = kprobe.function(make_convolutions(k), ["conv2", "relu"], feeds=["conv2"])
    assert function.feeds == ["conv2"]
    np.testing.assert_array_equal(function(FED2)["conv2"], FED2)


def test_a_feed_that_only_its_own_tensor_is_asked_of_is_an_argument_all_the_same(chain):
    function = kprobe.function(chain, ["shift:own"], feeds=["shift"])
    assert function.feeds == ["shift", "x"]
    np.testing.assert_allclose(function(0 * X, X)["shift:own"], 2 * X + 1, rtol=1e-6)


@KERASES
def test_own_works_with_several_outputs_nested_models_and_shared_layers(k):
    part = k.Input((4,), name="part")
    inner = k.layers.Dense(4, name="inner")(part)
    shared = k.Model(part, k.layers.ReLU(name="last")(inner), name="shared")
    i = k.Input((5, 4), name="x")
    sequence, state, _ = k.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(i)
    twice = shared(shared(state))
    model = k.Model(i, [twice, k.layers.Rescaling(2.0, name="double")(sequence)])
    x = np.random.default_rng(4).normal(size=(2, 5, 4)).astype("float32")
    fed = np.random.default_rng(5).normal(size=(3, 2, 4)).astype("float32")
    feeds = ["lstm[1]", "shared@0/last", "shared@1/inner"]
    layers = [
        "lstm[1]:own", "lstm[0]", "shared@0:own", "shared@1/inner:own", "shared@1", "double"
    ]  # fmt: skip
    given = kprobe.function(model, layers, feeds=feeds)(*fed, x)
    sequence, state, _ = (np.asarray(value) for value in model.get_layer("lstm")(x))
    dense = shared.get_layer("inner")
    expected = {
        "lstm[1]:own": state,
        "lstm[0]": sequence,
        "shared@0:own": np.maximum(np.asarray(dense(fed[0])), 0),
        "shared@1/inner:own": np.asarray(dense(fed[1])),
        "shared@1": np.maximum(fed[2], 0),
        "double": 2 * sequence,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(given[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_inputs_of_layers_and_operations_have_an_own(tmp_path):
    model = make_convolutions(keras)
    addresses = ["conv2:in:own", "conv2//BiasAdd:own"]
    function = kprobe.function(model, addresses, feeds=["conv1", "conv2//BiasAdd"])
    given = function(FED1, FED2, IMAGES)
    own = kprobe.function(model, ["conv1"])(IMAGES)["conv1"]
    np.testing.assert_array_equal(given["conv2:in:own"], own)
    computed = np.asarray(model.get_layer("conv2")(FED1))
    np.testing.assert_allclose(given["conv2//BiasAdd:own"], computed, rtol=1e-5, atol=1e-6)


def test_a_dump_holds_what_was_fed_and_what_was_computed(tmp_path):
    model = make_convolutions(keras)
    options = {"inputs": IMAGES, "feeds": {"conv1": FED1, "conv2": FED2}}
    layers = ["conv1:own", "conv1", "conv2:own", "relu"]
    computed, _ = dump(model, layers, tmp_path / "a.h5", **options)
    assert list(computed) == layers
    np.testing.assert_array_equal(computed["conv1"], FED1)
    first = np.asarray(model.get_layer("conv1")(IMAGES))
    np.testing.assert_allclose(computed["conv1:own"], first, rtol=1e-5, atol=1e-6)
    second = np.asarray(model.get_layer("conv2")(FED1))
    np.testing.assert_allclose(computed["conv2:own"], second, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(computed["relu"], np.maximum(FED2, 0))


def test_what_is_replaced_can_be_fetched_as_computed(chain, tmp_path):
    options = {"inputs": X, "feeds": ["double=zero", "shift=mean"], "batch_size": 6}
    layers = ["double:own", "double", "shift:own", "sum"]
    computed, _ = dump(chain, layers, tmp_path / "a.h5", **options)
    np.testing.assert_allclose(computed["double:own"], 2 * X, rtol=1e-6)
    np.testing.assert_array_equal(computed["double"], 0 * X)
    np.testing.assert_array_equal(computed["shift:own"], np.ones_like(X))
    np.testing.assert_array_equal(computed["sum"], np.ones_like(X))
    given = kprobe.function(chain, "double:own", replace={"double": "zero"})(X)
    np.testing.assert_allclose(given["double:own"], 2 * X, rtol=1e-6)


def test_a_pattern_names_those_that_are_fed(chain):
    function = kprobe.function(chain, ["**:own", "sum"], feeds=["shift"])
    assert function.addresses == ["shift:own", "sum"]
    given = function(X, X)
    np.testing.assert_allclose(given["shift:own"], 2 * X + 1, rtol=1e-6)
    np.testing.assert_allclose(given["sum"], 3 * X, rtol=1e-6)


class Weighted(keras.layers.Layer):
    def build(self, shape):
        self.own = self.add_weight(shape=(shape[-1],), name="own", initializer="ones")

    def call(self, x):
        return 2 * x * self.own


def test_a_weight_called_own_keeps_its_address():
    i = keras.Input((4,), name="x")
    model = keras.Model(i, keras.layers.ReLU(name="relu")(Weighted(name="w")(i)))
    given = kprobe.function(model, ["w:own", "relu"], feeds=["w"])(X)
    np.testing.assert_array_equal(given["w:own"], np.ones(4))
    np.testing.assert_array_equal(given["relu"], np.maximum(X, 0))


NOT_OWN = [
    (
        "shift:own",
        "double",
        "shift:own: `:own` names what is computed in the place of what is fed, and nothing is fed "
        "there; write shift, or feed it with feeds",
    ),
    ("**:own", "", "double:own, shift:own, sum:own: `:own` names what is computed"),
    ("x:own", "x", "x:own: an input is what it is given, not computed"),
    ("sum", "shift:own", "shift:own is what is computed, and can't be fed; feed shift"),
]


@pytest.mark.parametrize(("layer", "feed", "fault"), NOT_OWN)
def test_own_of_what_is_not_fed_is_one_line(chain, tmp_path, layer, feed, fault):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(chain, layer, feeds=[feed] if feed else [])
    assert str(caught.value).startswith(fault)
    feeds = [f"{feed}=zero"] if feed else []
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(chain, layer, inputs=X, feeds=feeds, output=tmp_path / "a.h5")
    assert str(caught.value).startswith(fault)
    assert not (tmp_path / "a.h5").exists()
