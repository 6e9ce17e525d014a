"""Feeding inner tensors: what lies upstream of them isn't run, and the numbers don't change."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kprobe


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
