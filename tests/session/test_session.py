"""Only the inputs that the layers need are asked for, and optional ones may be left out."""

from __future__ import annotations

import functools
import json

import keras
import numpy as np
import pytest
import tf_keras
from click.testing import CliRunner

import kprobe
from kprobe.cli.main import cli
from kprobe.pipeline.bench import bench
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
ROWS = 5
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(ROWS, 4)).astype("float32")
TOKENS = RNG.integers(0, 9, (ROWS, 6)).astype("int32")


def make_siamese(k):
    """Two branches, and what they differ by."""
    left, right = k.Input((4,), name="left"), k.Input((4,), name="right")
    branch = k.Sequential([k.layers.Dense(3, name="inner")], name="branch")
    return k.Model([left, right], k.layers.Subtract(name="last")([branch(left), branch(right)]))


def make_translator(k):
    """An encoder, whose state a decoder begins with."""
    source, target = k.Input((6,), dtype="int32", name="source"), k.Input((6,), name="target")
    embedded = k.layers.Embedding(9, 4, name="embedded")(source)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    _, *state = k.layers.LSTM(3, activation="relu", return_state=True, name="encoder")(embedded)
    steps = k.layers.Reshape((6, 1))(target)
    last = k.layers.LSTM(3, activation="relu", name="last")
    return k.Model([source, target], last(steps, initial_state=state))


def make_capsules(k):
    """Capsules, and what is reconstructed of those that the label says."""
    image, label = k.Input((4,), name="image"), k.Input((3,), name="label")
    capsules = k.layers.Reshape((3, 1), name="capsules")(k.layers.Dense(3)(image))
    masked = k.layers.Multiply(name="masked")([capsules, k.layers.Reshape((3, 1))(label)])
    return k.Model([image, label], k.layers.Flatten(name="last")(masked))


# By kind: how it is made, the layer that needs one input, that input and its samples, the other
# input, and how it is described.
KINDS = {
    "siamese": (make_siamese, "branch@0", "left", VALUES, "right", "(None, 4) float32"),
    "translator": (make_translator, "encoder[0]", "source", TOKENS, "target", "(None, 6) float32"),
    "capsules": (make_capsules, "capsules", "image", VALUES, "label", "(None, 3) float32"),
}
EACH = pytest.mark.parametrize("kind", KINDS)


@functools.cache
def make_model(k, kind):
    """One for all tests, which leave it as it is."""
    return KINDS[kind][0](k)


def reference(k, model, kind, data):
    """What Keras itself gives for the layer."""
    if kind == "siamese":
        return model.get_layer("branch")(data)
    if kind == "translator":
        return model.get_layer("encoder")(model.get_layer("embedded")(data))[0]
    return k.Model(model.inputs[0], model.get_layer("capsules").output)(data)


def save(model, folder):
    model.save(folder / "model.keras")
    return folder / "model.keras"


@KERASES
@EACH
def test_only_what_is_needed_is_asked_for(k, kind, tmp_path):
    _, layer, needed, data, *_ = KINDS[kind]
    model = make_model(k, kind)
    expected = np.asarray(reference(k, model, kind, data))
    received = kprobe.activations(save(model, tmp_path), layer, {needed: data})
    np.testing.assert_allclose(received[layer], expected, rtol=1e-5, atol=1e-6)
    # The command line, below, dumps what a file holds.
    kprobe.dump(model, layer, inputs={needed: data}, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_allclose(dump[layer][:], expected, rtol=1e-5, atol=1e-6)
        assert [each["input"] for each in json.loads(dump.attrs["inputs"])] == [needed]


@KERASES
@EACH
def test_what_is_not_needed_may_be_given_all_the_same(k, kind):
    _, layer, needed, data, other, _ = KINDS[kind]
    model = make_model(k, kind)
    alone = kprobe.activations(model, layer, {needed: data})[layer]
    shape = (ROWS, *model.inputs[1].shape[1:])
    for values in (np.ones(shape, "float32"), np.ones((2, *shape[1:]), "float32")):
        both = kprobe.activations(model, layer, {needed: data, other: values})
        np.testing.assert_array_equal(both[layer], alone)


@KERASES
@EACH
def test_what_is_needed_and_missing_is_named_with_shape_and_dtype(k, kind, tmp_path):
    *_, needed, data, other, described = KINDS[kind]
    model = make_model(k, kind)
    for origin in (model, save(model, tmp_path)):
        with pytest.raises(kprobe.KprobeError) as caught:
            kprobe.activations(origin, "last", {needed: data})
        assert str(caught.value) == (
            "expected a source for every input that these layers need, received none for "
            f'{other} {described}; add inputs={{"{other}": ...}}'
        )


@EACH
def test_the_command_line_asks_for_no_more(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
    monkeypatch.chdir(tmp_path)
    _, layer, needed, data, other, described = KINDS[kind]
    model = make_model(keras, kind)
    save(model, tmp_path)
    np.save("data.npy", data)
    given = ["-i", f"{needed}=data.npy"]
    done = CliRunner().invoke(cli, ["dump", "-v", "model.keras", "-l", layer, *given, "-o", "a.h5"])
    assert done.exit_code == 0, done.output
    with kprobe.open_dump("a.h5") as dump:
        expected = np.asarray(reference(keras, model, kind, data))
        np.testing.assert_allclose(dump[layer][:], expected, rtol=1e-5, atol=1e-6)
    arguments = ["bench", "-v", "model.keras", "-l", layer, *given, "--batch-size", "2"]
    arguments += ["--json", "--seconds", "0.05s"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    done = CliRunner().invoke(
        cli, ["dump", "-v", "model.keras", "-l", "last", *given, "-o", "b.h5"]
    )
    assert done.exit_code == 2
    assert f"received none for {other} {described}; add --input {other}=FILE" in done.output


def test_a_bench_reads_what_is_needed():
    _, layer, needed, data, *_ = KINDS["siamese"]
    with plan_job(
        make_job(model=make_model(keras, "siamese"), layers=layer, inputs={needed: data})
    ) as ready:
        (measured,) = bench(ready, [2], seconds=0.01)
    assert measured.reading.bytes == measured.reading.samples * data[0].nbytes


def test_a_model_that_runs_eagerly_needs_them_all():
    _, layer, needed, data, other, described = KINDS["siamese"]
    model = make_model(keras, "siamese")
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, layer, {needed: data}, eager=True)
    assert f"received none for {other} {described}; add" in str(caught.value)
    received = kprobe.activations(model, layer, {needed: data, other: data}, eager=True)
    expected = reference(keras, model, "siamese", data)
    np.testing.assert_allclose(received[layer], expected, rtol=1e-5, atol=1e-6)


# --- Optional inputs, which Keras 3 has -------------------------------------------------------

LAYER = """
import keras

class Maybe(keras.layers.Layer):
    def call(self, x, y=None):
        return x * 2 if y is None else x * 3 + y
"""


@pytest.fixture
def optional(tmp_path, monkeypatch):
    """A model in memory and as a file, of which the second input, or the first, is optional."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maybe.py").write_text(LAYER)
    layers = {}
    exec(LAYER, layers)

    def make(first, second):
        a = keras.Input((4,), name="a", optional=first)
        b = keras.Input((4,), name="b", optional=second)
        layer = layers["Maybe"](name="maybe")
        model = keras.Model([a, b], layer(b, a) if first else layer(a, b))
        model.save("model.keras")
        return model

    return make


@pytest.mark.parametrize("first", [False, True], ids=["the second", "the first"])
@pytest.mark.parametrize("origin", ["memory", "file"])
def test_an_optional_input_may_be_left_out_or_given(origin, first, optional, tmp_path):
    model = optional(first, not first)
    options = {} if origin == "memory" else {"custom_objects": "maybe.py"}
    if origin == "file":
        model = tmp_path / "model.keras"
    must, may = ("b", "a") if first else ("a", "b")
    cases = [
        ({must: VALUES}, VALUES * 2),
        (VALUES, VALUES * 2),
        ({must: VALUES, may: -VALUES}, VALUES * 3 - VALUES),
    ]
    for number, (given, expected) in enumerate(cases):
        received = kprobe.activations(model, "maybe", given, **options)["maybe"]
        np.testing.assert_allclose(received, expected, rtol=1e-6)
        received = kprobe.activations(model, "maybe", given, eager=True, **options)["maybe"]
        np.testing.assert_allclose(received, expected, rtol=1e-6)
        output = tmp_path / f"{number}.h5"
        kprobe.dump(model, "maybe", inputs=given, output=output, **options)
        with kprobe.open_dump(output) as dump:
            np.testing.assert_allclose(dump["maybe"][:], expected, rtol=1e-6)
    # Random samples are made for what the model can't do without.
    received = kprobe.activations(model, f"maybe,{must}", **options)
    np.testing.assert_allclose(received["maybe"], received[must] * 2, rtol=1e-6)
    with pytest.raises(
        kprobe.KprobeError, match=f"{may!r} is an optional input, and none is given"
    ):
        kprobe.activations(model, may, {must: VALUES}, **options)
    assert list(kprobe.activations(model, None, VALUES, **options)) == ["maybe"]
    with pytest.raises(kprobe.KprobeError, match=rf"received none for {must} \(None, 4\) float32"):
        kprobe.activations(model, "maybe", {may: VALUES}, **options)


def test_the_command_line_takes_and_leaves_optional_inputs(optional, monkeypatch):
    monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
    optional(False, True)
    np.save("a.npy", VALUES)
    np.save("b.npy", -VALUES)
    common = ["dump", "-v", "model.keras", "--custom-objects", "maybe.py"]
    common += ["-l", "maybe", "--overwrite"]
    for given, expected in (
        (["a=a.npy"], VALUES * 2),
        (["a.npy"], VALUES * 2),
        (["a=a.npy", "b=b.npy"], VALUES * 3 - VALUES),
    ):
        sources = [word for source in given for word in ("-i", source)]
        done = CliRunner().invoke(cli, [*common, *sources, "-o", "out.h5"])
        assert done.exit_code == 0, done.output
        with kprobe.open_dump("out.h5") as dump:
            np.testing.assert_allclose(dump["maybe"][:], expected, rtol=1e-6)
