"""What reductions leave of a model's tensors is what numpy leaves of the unreduced ones."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.errors import AddressError, DumpError, KprobeError
from kprobe.pipeline.describe_dump import describe_dump
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.subgraph.sparse_projection import draw_projection

L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 8, 9, 3)).astype("float32")
TOKENS = np.array([[1, 2, 3, 0, 0], [4, 0, 5, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0],
                   [6, 2, 0, 0, 0], [3, 3, 3, 3, 0]], "int32")  # fmt: skip


def make_convolutions(data_format="channels_last"):
    keras.utils.set_random_seed(0)
    shape = (8, 9, 3) if data_format == "channels_last" else (3, 8, 9)
    x = keras.Input(shape, name="x")
    first = L.Conv2D(4, 3, activation="relu", data_format=data_format, name="first")(x)
    second = L.Conv2D(5, 3, data_format=data_format, name="second")(first)
    scores = L.Dense(7, name="scores")(L.Flatten(name="flat")(second))
    return keras.Model(x, scores, name="convolutions")


@pytest.fixture(scope="module")
def convolutions():
    return make_convolutions()


@pytest.fixture(scope="module")
def sequences():
    keras.utils.set_random_seed(0)
    t = keras.Input((5,), dtype="int32", name="t")
    embedded = L.Embedding(9, 4, mask_zero=True, name="embedded")(t)
    encoded = L.LSTM(3, return_sequences=True, name="encoded")(embedded)
    return keras.Model(t, [encoded, keras.ops.tanh(encoded)])


def reduce(model, layers, inputs, **settings):
    """What is left of layers, by the names of the datasets, and the unreduced layers."""
    whole = kprobe.activations(model, layers, inputs)
    return kprobe.activations(model, layers, inputs, **settings), whole


def test_each_of_several_reductions_is_a_dataset(convolutions):
    found, whole = reduce(
        convolutions, "first,second", IMAGES, reduce="gap,channels(0:2).mean(height,width)"
    )
    assert list(found) == [
        *("first.gap", "first.channels(0:2).mean(height,width)"),
        *("second.gap", "second.channels(0:2).mean(height,width)"),
    ]
    for name in ("first", "second"):
        mean = whole[name].mean((1, 2))
        np.testing.assert_allclose(found[f"{name}.gap"], mean, 1e-5, 1e-6)
        other = found[f"{name}.channels(0:2).mean(height,width)"]
        np.testing.assert_allclose(other, mean[:, :2], 1e-5, 1e-6)


def test_what_names_an_address_goes_before_what_names_none(convolutions):
    found, whole = reduce(
        convolutions,
        "first,second,a=second,b=scores,second:kernel",
        IMAGES,
        reduce=["gmax", "a=flatten", "sc*=topk(2),argtopk(2)"],
    )
    # The weight is as it was, since no address names it.
    assert list(found) == [
        *("first.gmax", "second.gmax", "a.flatten", "b.topk(2)", "b.argtopk(2)"),
        "second:kernel",
    ]
    np.testing.assert_array_equal(found["second.gmax"], whole["second"].max((1, 2)))
    np.testing.assert_array_equal(found["a.flatten"], whole["a"].reshape(6, -1))
    np.testing.assert_array_equal(found["b.topk(2)"], -np.sort(-whole["b"])[:, :2])
    np.testing.assert_array_equal(found["b.argtopk(2)"], np.argsort(-whole["b"])[:, :2])
    np.testing.assert_array_equal(found["second:kernel"], whole["second:kernel"])
    by_address = kprobe.activations(
        convolutions, "first,second", IMAGES, reduce={"second": ["gap", "norm"]}
    )
    assert list(by_address) == ["first", "second.gap", "second.norm"]


def test_a_tensor_of_several_names_is_reduced_and_stored_once(convolutions, tmp_path):
    x = keras.Input((8, 9, 3), name="outer")
    nested = keras.Model(x, convolutions(x))
    settings = {"inputs": IMAGES, "output": tmp_path / "d.h5", "reduce": "norm,topk(2)"}
    kprobe.dump(nested, "convolutions,s=convolutions/scores,convolutions/first", **settings)
    with kprobe.open_dump(tmp_path / "d.h5") as dump:
        first = ["convolutions.first.norm", "convolutions.first.topk(2)"]
        assert dump.columns == ["convolutions.norm", "convolutions.topk(2)", *first]
        for name in ("convolutions.norm", "s.norm", "convolutions/scores.norm"):
            assert dump[name].name == "/convolutions.norm"


def test_axes_are_those_of_the_layers_data_format(convolutions):
    first = make_convolutions("channels_first")
    # All but the last layer, whose order of values differs.
    for name in ("first", "second"):
        first.get_layer(name).set_weights(convolutions.get_layer(name).get_weights())
    chains = "gap,gmax,pool(2,3).flatten,topk(1).mean(width),norm(channel),channels(2),mean(height)"
    moved = np.moveaxis(IMAGES, -1, 1).copy()
    last = kprobe.activations(convolutions, "x,second", IMAGES, reduce=chains)
    found = kprobe.activations(first, "x,second", moved, reduce=chains)
    assert list(found) == list(last)
    for name, values in last.items():
        if name.endswith(".pool(2,3).flatten"):
            shape = (6, -1, 3) if name.startswith("x") else (6, -1, 5)
            values = np.moveaxis(values.reshape(shape), 1, 2).reshape(6, -1)
        elif name.endswith(".topk(1).mean(width)"):
            values = np.moveaxis(values, 1, 2)
        elif name.endswith(".mean(height)"):
            values = np.moveaxis(values, 2, 1)
        np.testing.assert_allclose(found[name], values, 1e-4, 1e-5, err_msg=name)


def test_the_last_step_is_the_one_that_the_mask_leaves(sequences):
    found, whole = reduce(
        sequences, "embedded,encoded,t", TOKENS, reduce={"e*": "last,positions(-1)", "t": "mean"}
    )
    last = [2, 2, 4, -1, 1, 3]
    for name in ("embedded", "encoded"):
        expected = whole[name][np.arange(6), last]
        expected[3] = np.nan
        np.testing.assert_allclose(found[f"{name}.last"], expected, 1e-6, err_msg=name)
        np.testing.assert_allclose(found[f"{name}.positions(-1)"], whole[name][:, -1], 1e-6)
    assert found["t.mean"].dtype == "float64"
    np.testing.assert_allclose(found["t.mean"], TOKENS.mean(1))


def test_where_no_mask_reaches_a_layer_its_last_step_is_taken_and_said(sequences):
    job = make_job(model=sequences, layers="tanh,encoded", inputs=TOKENS, reduce="last")
    with plan_job(job) as plan:
        assert plan.notes == ["tanh: no mask reaches it: its last step is the last of all"]


def test_numbers_of_few_bits_are_added_up_in_float32(tmp_path):
    for dtype in ("float16", "bfloat16"):
        x = keras.Input((4, 4, 2), name="x")
        y = L.Conv2D(3, 3, name="y", dtype=dtype)(x)
        made = keras.Model(x, y)
        images = 100 * IMAGES[:, :4, :4, :2]
        found, whole = reduce(made, "y", images, reduce="gap,gmax,norm,channels(1)")
        assert found["y.gap"].dtype == found["y.norm"].dtype == "float32"
        wide = whole["y"].astype("float64")
        np.testing.assert_allclose(found["y.gap"], wide.mean((1, 2)), 1e-6, 1e-4)
        np.testing.assert_allclose(found["y.norm"], np.sqrt((wide**2).sum((1, 2, 3))), 1e-6)
        np.testing.assert_array_equal(found["y.gmax"], whole["y"].max((1, 2)))
        np.testing.assert_array_equal(found["y.channels(1)"], whole["y"][..., 1])
        assert found["y.gmax"].dtype == whole["y"].dtype


def test_in_bfloat16_the_reductions_are_computed_in_float32(convolutions):
    chains = "gap,mean(height),norm,pool(2,2),project(8,1),quantiles(0.3)"
    settings = {"precision": "bfloat16"}
    whole = kprobe.activations(convolutions, "first", IMAGES, **settings)["first"]
    found = kprobe.activations(convolutions, "first", IMAGES, reduce=chains, **settings)
    drawn = draw_projection(whole[0].size, 8, 1)
    matrix = np.zeros((8, whole[0].size))
    matrix[drawn.outputs, drawn.inputs] = drawn.values
    row = whole.reshape(6, -1)
    cut = whole[:, :6, :6].reshape(6, 3, 2, 3, 2, 4)
    expected = [whole.mean((1, 2)), whole.mean(1), np.linalg.norm(row, axis=1), cut.mean((2, 4)),
                row @ matrix.T, np.quantile(row, [0.3], 1).T]  # fmt: skip
    for values, wanted in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(values, wanted, 1e-5, 1e-6)


def test_gradients_and_what_is_fed_are_reduced_too(convolutions):
    settings = {"gradients_of": "scores", "unit": 2}
    whole = kprobe.activations(convolutions, "first", IMAGES, **settings)
    found = kprobe.activations(convolutions, "first", IMAGES, reduce="gap", **settings)
    assert list(found) == ["first.gap", "first:gradient.gap"]
    expected = whole["first:gradient"].mean((1, 2))
    np.testing.assert_allclose(found["first:gradient.gap"], expected, 1e-4, 1e-7)
    fed = kprobe.activations(
        convolutions, "first,second", feeds={"first": whole["first"]}, reduce="gap"
    )
    np.testing.assert_allclose(fed["first.gap"], whole["first"].mean((1, 2)), 1e-5, 1e-6)
    function = kprobe.function(convolutions, "second", "first", reduce="second=norm(channel).mean")
    (result,) = function(whole["first"]).values()
    second = kprobe.activations(convolutions, "second", IMAGES)["second"]
    np.testing.assert_allclose(result, np.linalg.norm(second, axis=3).mean((1, 2)), 1e-5)


def test_a_pattern_leaves_out_what_cant_be_reduced(convolutions, tmp_path):
    receipt = kprobe.dump(convolutions, None, inputs=IMAGES, reduce="gap", output=tmp_path / "d.h5")
    assert receipt.datasets == 2
    with kprobe.open_dump(tmp_path / "d.h5") as dump:
        assert list(dump.columns) == ["first.gap", "second.gap"]


@pytest.mark.parametrize(
    ("layers", "reduce", "said"),
    [
        ("scores", "gap", "scores.gap: expected axes beside that of channels: its axes are unit 7"),
        ("first", "second=gap", "reduce: second isn't among what is asked for; ask for it, too"),
        ("first", "secnd=gap", "no layer 'secnd'"),
        ("first:kernel", "first:kernel=norm", "a weight has no rows to be reduced"),
        ("first", "pool(9,9)", "first.pool(9,9): a window of 9 doesn't fit: its axes are height 6"),
        ("first:own", "gap", "what is computed in the place of what is fed isn't reduced"),
    ],
)
def test_what_cant_be_reduced_is_said(convolutions, layers, reduce, said):
    feeds = {"feeds": "first=zero"} if ":own" in layers else {}
    with pytest.raises(KprobeError) as raised:
        kprobe.activations(convolutions, layers, IMAGES, reduce=reduce, **feeds)
    assert said in str(raised.value)


def test_ragged_tensors_and_texts_are_refused_in_a_line():
    words = keras.Input((), dtype="string", name="words")
    made = keras.Model(words, L.StringLookup(vocabulary=["a"], name="looked_up")(words))
    with pytest.raises(AddressError, match=r"words.flatten: expected numbers, received str"):
        kprobe.activations(made, "words", np.array(["a", "b"]), reduce="flatten")

    @keras.saving.register_keras_serializable("test_reduce")
    class Cut(L.Layer):
        def call(self, x):
            return tf.RaggedTensor.from_tensor(x, padding=0.0)

    x = keras.Input((4,), name="x")
    with pytest.raises(AddressError, match=r"cut.norm: it is a ragged tensor"):
        kprobe.activations(
            keras.Model(x, Cut(name="cut")(x)), "cut", np.eye(4, dtype="float32"), reduce="norm"
        )


def test_a_model_that_runs_eagerly_is_refused(convolutions):
    with pytest.raises(KprobeError, match="no graph to reduce tensors in; leave eager"):
        kprobe.activations(convolutions, "first", IMAGES, reduce="gap", eager=True)


def test_a_dump_says_what_was_reduced_and_how(convolutions, tmp_path):
    path = tmp_path / "d.h5"
    settings = {"inputs": IMAGES, "output": path, "batch_size": 2}
    layers = "first,f=second,scores"
    chains = ["f=gap,project(4,9),topk(2)", "first=mean(height)"]
    kprobe.dump(convolutions, layers, reduce=chains, **settings)
    with h5py.File(path) as file:
        about = {
            name: dict(file[name].attrs) for name in json.loads(file.attrs["options"]) and file
        }
        computed = list(file.attrs["computed"])
        graph = {node["address"]: node["from"] for node in json.loads(file.attrs["graph"])}
        assert json.loads(file.attrs["options"])["reduce"] == chains
        assert json.loads(file.attrs["job"])["reduce"] == chains
    assert about["f.project(4,9)"]["reduction"] == "project(4,9)"
    assert about["f.project(4,9)"]["reduction_of"] == "second"
    told = {one["dataset"]: one.get("reduction") for one in describe_dump(path)["datasets"]}
    assert told["f.topk(2)"] == "topk(2)"
    assert told["scores"] is None
    assert list(about["f.gap"]["addresses"]) == ["second.gap", "f.gap"]
    labels = {n: list(a["DIMENSION_LABELS"][1:]) for n, a in about.items() if "layer" in a}
    assert labels == {
        "first.mean(height)": ["width", "channel"],
        "f.gap": ["channel"],
        "f.project(4,9)": ["component"],
        "f.topk(2)": ["height", "width", "rank"],
        "scores": ["unit"],
    }
    # In the order of the model, whose tensors they are made of.
    assert computed[0] == "first.mean(height)"
    assert computed[-1] == "scores"
    assert graph["second.gap"] == graph["second.topk(2)"] == [0]
    assert graph["scores"] == [1, 2, 3]
    assert kprobe.dump(convolutions, layers, reduce=chains, resume=True, **settings).written == 0
    for other in ([*chains[:1]], ["f=gap,project(4,8),topk(2)", chains[1]]):
        with pytest.raises(DumpError, match=r"(?s)is of another run.*options.reduce"):
            kprobe.dump(convolutions, layers, reduce=other, resume=True, **settings)
    stats = kprobe.stats(path)
    with kprobe.open_dump(path) as dump:
        told = {record.address: record for record in stats.tensors}
        np.testing.assert_allclose(told["second.gap"].mean, dump["f.gap"][:].mean(), 1e-5)


def test_statistics_of_a_model_are_those_of_what_is_left(convolutions):
    found = kprobe.stats(convolutions, "second", inputs=IMAGES, reduce="gap")
    expected = kprobe.activations(convolutions, "second", IMAGES)["second"].mean((1, 2))
    assert [record.address for record in found.tensors] == ["second.gap"]
    np.testing.assert_allclose(found.tensors[0].mean, expected.mean(), 1e-4)


def test_images_of_several_sizes_have_rows_of_one_shape():
    x = keras.Input((None, None, 3), name="x")
    made = keras.Model(x, L.Conv2D(4, 3, name="y")(x))
    images = [IMAGES[0], IMAGES[1, :5], IMAGES[2, :, :4]]
    whole = kprobe.activations(made, "y", images)["y"]
    found = kprobe.activations(made, "y", images, reduce="gap,gmax,quantiles(0.25),flatten")
    np.testing.assert_allclose(found["y.gap"], [row.mean((0, 1)) for row in whole], 1e-5, 1e-6)
    np.testing.assert_array_equal(found["y.gmax"], [row.max((0, 1)) for row in whole])
    expected = [[np.quantile(row, 0.25)] for row in whole]
    np.testing.assert_allclose(found["y.quantiles(0.25)"], expected, 1e-5, 1e-6)
    for row, one in zip(found["y.flatten"], whole, strict=True):
        np.testing.assert_array_equal(row, one.ravel())


def test_what_is_left_of_a_tensor_that_is_declared_ragged_may_be_of_one_shape():
    x = keras.Input((None, 3), name="x")
    made = keras.Model(x, L.Conv1D(4, 2, name="y")(x))
    rows = [IMAGES[0, 0, :n] for n in (5, 5, 8)]  # the first ones don't show it
    settings = {"ragged": "a", "batch_size": 1}
    whole = kprobe.activations(made, "a=y", rows, **settings)["a"]
    found = kprobe.activations(made, "a=y", rows, reduce="gap,flatten", **settings)
    # Each is stored whole, as a sample gives it that is run alone: with the axis of samples.
    np.testing.assert_allclose(found["a.gap"], [row.mean(1) for row in whole], 1e-5, 1e-6)
    assert [row.shape for row in found["a.flatten"]] == [(1, 16), (1, 16), (1, 28)]


def test_less_leaves_the_device(convolutions):
    """Only what is left is among the results of the engine."""
    with plan_job(
        make_job(model=convolutions, layers="first", inputs=IMAGES, reduce="gap")
    ) as plan:
        (result,) = plan.computation.engine(plan.samples.peek(2))
        assert result.shape == (2, 4)
        assert plan.row_bytes == 16
