"""What Python users call: keywords, what they give and receive, and what stays untouched."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe import keywords
from kprobe.dumps.output import OutputSpec
from kprobe.engines.compute import Compute
from kprobe.inputs.spec import SampleSpec
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.subgraph.selection import Selection

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(7, 4)).astype("float32")
KERNEL = RNG.normal(size=(4, 3)).astype("float32")
EXPECTED = DATA @ KERNEL


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working directory in which nothing may appear unasked, and another for files."""
    (tmp_path / "here").mkdir()
    (tmp_path / "files").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "files"
    assert list((tmp_path / "here").iterdir()) == []


def make_model(k=keras):
    """x -> a (the product with KERNEL) -> b."""
    x = k.Input((4,), name="x")
    a = k.layers.Dense(3, use_bias=False, name="a")
    model = k.Model(x, k.layers.Dense(2, name="b")(a(x)), name="small")
    a.set_weights([KERNEL])
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


def close(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


# --- Keywords ----------------------------------------------------------------------------------

FUNCTIONS = {
    "load_model": (keywords.ModelSettings, (ModelSpec,)),
    "function": (keywords.FunctionSettings, (ModelSpec, Selection, SampleSpec, Compute)),
    "activations": (keywords.RunSettings, (ModelSpec, Selection, SampleSpec, Compute)),
    "dump": (keywords.DumpSettings, (ModelSpec, Selection, SampleSpec, Compute, OutputSpec)),
    "cam": (keywords.CamSettings, (ModelSpec, Selection, SampleSpec, Compute, OutputSpec)),
}


def test_a_dump_needs_an_output(model):
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'output'"):
        kprobe.dump(model, "a", inputs=DATA)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keywords_are_spelt_out_with_type_and_default(name):
    kind, parts = FUNCTIONS[name]
    parameters = inspect.signature(getattr(kprobe, name)).parameters
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    defaults = {}
    for part in parts:
        made = object.__new__(part)
        for field in (field for field in fields(part) if field.init):
            value = getattr(made, field.name, None)
            defaults[field.name] = (
                field.default_factory() if callable(field.default_factory) else value
            )
    for keyword in kind.__annotations__:
        assert parameters[keyword].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[keyword].default == defaults[keyword]
        assert isinstance(parameters[keyword].annotation, str)
    page = pydoc.plain(pydoc.render_doc(getattr(kprobe, name)))
    assert "random_weights: 'bool' = False" in page.replace("\n", " ")


def test_every_setting_that_a_part_has_is_a_keyword():
    # Arguments of the functions themselves; `cam` is the method of `kprobe.cam`.
    own = {"model", "layers", "inputs", "path", "cam"}
    _, parts = FUNCTIONS["dump"]
    known = {field.name for part in parts for field in fields(part) if field.init}
    assert set(keywords.DumpSettings.__annotations__) == known - own


@pytest.mark.parametrize(
    ("name", "misspelt", "meant"),
    [
        ("dump", "batchsize", "batch_size"),
        ("dump", "outputs", "output"),
        ("activations", "custom_object", "custom_objects"),
        ("activations", "input", "inputs"),
        ("load_model", "wieghts", "weights"),
        ("function", "exat", "exact"),
        ("function", "replaced", "replace"),
    ],
)
def test_a_misspelt_keyword_is_answered_with_the_nearest(name, misspelt, meant, model):
    with pytest.raises(TypeError) as caught:
        getattr(kprobe, name)(model, "a", **{misspelt: 3})
    assert str(caught.value) == (
        f"{name}() received an unknown keyword {misspelt!r}; did you mean {meant!r}?"
    )


def test_what_becomes_of_a_file_is_no_keyword_of_what_writes_none(model):
    for keyword in ("output", "overwrite", "resume", "max_bytes"):
        with pytest.raises(
            TypeError, match=f"activations.. received an unknown keyword '{keyword}"
        ):
            kprobe.activations(model, "a", DATA, **{keyword: True})


TYPED = """
import kprobe
rows = kprobe.activations("m.keras", "a", batch_size=4, device="cpu")["a"]
kprobe.dump("m.keras", ["a"], output="a.h5", fail_on="nan").output.name
kprobe.function("m.keras", "a", exact=True)([[1.0]])["a"].shape
kprobe.dump("m.keras", "a", output="a.h5", batchsize=4)
kprobe.dump("m.keras", "a")
kprobe.activations("m.keras", "a", fail_on="NaN")
kprobe.load_model("m.keras", random_weights="yes")
"""


@pytest.mark.slow
def test_a_type_checker_sees_the_keywords(elsewhere):
    script = elsewhere / "typed.py"
    script.write_text(TYPED)
    root = Path(kprobe.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", script.name],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env={"MYPYPATH": str(root)},
        check=False,
    )
    told = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in told] == [6, 7, 8, 9], done.stdout + done.stderr
    for line, word in zip(told, ["batchsize", "output", "fail_on", "random_weights"], strict=True):
        assert word in line


# --- Layers ------------------------------------------------------------------------------------


@KERASES
def test_layers_may_be_given_themselves_beside_addresses(k):
    model = make_model(k)
    received = kprobe.activations(model, [model.get_layer("a"), "b:kernel", model.layers[2]], DATA)
    assert list(received) == ["a", "b:kernel", "b"]
    kernel, bias = model.get_layer("b").get_weights()
    close(received["a"], EXPECTED)
    close(received["b"], EXPECTED @ kernel + bias)
    np.testing.assert_array_equal(received["b:kernel"], kernel)
    close(kprobe.activations(model, model.get_layer("a"), DATA)["a"], EXPECTED)
    close(kprobe.function(model, model.get_layer("a"))(DATA)["a"], EXPECTED)


def test_layers_come_in_any_collection_and_none_are_all(model):
    for given in (
        {"a": 0}.keys(),
        {"a"},
        ("a",),
        iter(["a"]),
        (layer for layer in model.layers[1:2]),
    ):
        close(kprobe.activations(model, given, DATA)["a"], EXPECTED)
    assert list(kprobe.activations(model, model.layers, DATA)) == ["x", "a", "b"]
    assert list(kprobe.function(model, None)(DATA)) == ["a", "b"]


def test_a_function_begins_at_a_layer(model):
    kernel, bias = model.get_layer("b").get_weights()
    for given in ("a", ["a"], model.get_layer("a"), [model.get_layer("a")]):
        function = kprobe.function(model, "b", feeds=given)
        assert function.feeds == ["a"]
        close(function(EXPECTED)["b"], EXPECTED @ kernel + bias)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(model, "b", feeds={"a": EXPECTED})
    assert str(caught.value) == (
        "feeds: expected addresses, whose values are given with each call, received values; "
        "give feeds=['a']"
    )
    with pytest.raises(kprobe.KprobeError, match="feeds: expected texts, or sources by address"):
        kprobe.activations(model, "b", feeds=model.get_layer("a"))


def test_a_shared_layer_says_its_calls():
    p, q = keras.Input((4,), name="p"), keras.Input((4,), name="q")
    shared = keras.layers.Dense(3, name="shared")
    model = keras.Model([p, q], keras.layers.Add()([shared(p), shared(q)]))
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, shared, {"p": DATA, "q": DATA})
    assert str(caught.value) == (
        "the layer 'shared' is called 2 times: shared@0, shared@1; give the addresses of the calls"
    )


def test_a_layer_of_another_model_is_refused(model):
    stranger = keras.layers.Dense(3, name="a")  # of the same name, even
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, ["b", stranger], DATA)
    assert str(caught.value) == (
        "the layer 'a' isn't called in this model; give an address, or a layer of it"
    )
    with pytest.raises(kprobe.KprobeError, match="3 isn't called in this model"):
        kprobe.function(model, [3])


@KERASES
def test_a_layer_of_a_nested_model_is_found(k):
    inner = make_model(k)
    z = k.Input((4,), name="z")
    model = k.Model(z, k.layers.ReLU(name="top")(inner(z)))
    received = kprobe.activations(model, [inner.get_layer("a"), inner], DATA)
    assert list(received) == ["small/a", "small"]
    close(received["small/a"], EXPECTED)
    close(received["small"], inner.predict_on_batch(DATA))


# --- Custom classes ----------------------------------------------------------------------------


@KERASES
def test_custom_classes_are_given_as_keras_takes_them(k, elsewhere):
    class Scale(k.layers.Layer):
        def call(self, x):
            return x * 3

    x = k.Input((4,), name="x")
    saved = elsewhere / "scaled.keras"
    k.Model(x, Scale(name="scale")(x)).save(saved)
    for given in ({"Scale": Scale}, [{"Scale": Scale}]):
        received = kprobe.activations(saved, "scale", DATA, custom_objects=given)
        np.testing.assert_array_equal(received["scale"], DATA * 3)
    function = kprobe.function(saved, "scale", custom_objects={"Scale": Scale})
    np.testing.assert_array_equal(function(DATA)["scale"], DATA * 3)
    loaded = kprobe.load_model(saved, custom_objects={"Scale": Scale})
    np.testing.assert_array_equal(loaded(DATA), DATA * 3)
    kprobe.dump(
        saved, "scale", inputs=DATA, output=elsewhere / "a.h5", custom_objects={"Scale": Scale}
    )
    with kprobe.open_dump(elsewhere / "a.h5") as dump:
        np.testing.assert_array_equal(dump["scale"][:], DATA * 3)
        assert dump.attrs["custom_objects"] == [f"Scale: {Scale.__module__}.{Scale.__qualname__}"]


# --- Samples -----------------------------------------------------------------------------------


class Pairs(keras.utils.PyDataset):
    """Batches of three, with targets."""

    def __len__(self):
        return 3

    def __getitem__(self, number):
        rows = DATA[3 * number : 3 * number + 3]
        return rows, np.zeros(len(rows))


GIVEN = {
    "an array": lambda: DATA,
    "a list of lists": DATA.tolist,
    "a tensor": lambda: tf.constant(DATA),
    "a mapping": lambda: {"x": DATA},
    "a mapping of tensors": lambda: {"x": tf.constant(DATA)},
    "a dataset of batches": lambda: tf.data.Dataset.from_tensor_slices(DATA).batch(2),
    "a dataset of samples": lambda: tf.data.Dataset.from_tensor_slices(DATA),
    "a dataset with targets": lambda: tf.data.Dataset.from_tensor_slices((DATA, DATA)).batch(3),
    "a dataset by name": lambda: tf.data.Dataset.from_tensor_slices({"x": DATA}).batch(3),
    "a generator": lambda: (DATA[row : row + 2] for row in range(0, 7, 2)),
    "a generator of pairs": lambda: ((DATA[row : row + 3], None) for row in range(0, 7, 3)),
    "a function": lambda: lambda: iter([DATA[:4], DATA[4:]]),
    "a PyDataset": Pairs,
}


@pytest.mark.parametrize("kind", GIVEN)
def test_samples_are_taken_as_python_has_them(kind, model):
    received = kprobe.activations(model, "a", GIVEN[kind](), batch_size=2)
    assert list(received) == ["a"]
    close(received["a"], EXPECTED)
    assert received["a"].dtype == np.float32


def test_samples_that_differ_in_length_give_a_list():
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras.layers.Dense(3, use_bias=False, name="a")(x))
    model.get_layer("a").set_weights([KERNEL])
    uneven = [DATA[:2], DATA[:5], DATA[:2], DATA]
    for given in (uneven, {"x": uneven}):
        received = kprobe.activations(model, "a", given)["a"]
        assert isinstance(received, list)
        assert [row.shape for row in received] == [(2, 3), (5, 3), (2, 3), (7, 3)]
        for row in received:
            close(row, EXPECTED[: len(row)])


def test_without_samples_there_are_random_ones(model):
    once, again, other = (kprobe.activations(model, "x,a", random=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(once["x"], again["x"])
    assert once["x"].shape == (5, 4)
    assert not np.array_equal(once["x"], other["x"])
    close(once["a"], once["x"] @ KERNEL)


def test_inner_tensors_are_fed_from_memory(model, elsewhere):
    kernel, bias = model.get_layer("b").get_weights()
    fed = RNG.normal(size=(5, 3)).astype("float32")
    close(kprobe.activations(model, "b", feeds={"a": fed})["b"], fed @ kernel + bias)
    close(kprobe.activations(model, "b", DATA, feeds="a=zero")["b"], np.tile(bias, (7, 1)))
    batches = lambda: iter([fed[:2], fed[2:]])  # noqa: E731
    close(kprobe.activations(model, "b", feeds={"a": batches})["b"], fed @ kernel + bias)
    kprobe.dump(model, "b", feeds={"a": fed}, output=elsewhere / "a.h5")
    with kprobe.open_dump(elsewhere / "a.h5") as dump:
        close(dump["b"][:], fed @ kernel + bias)


def test_a_lone_preprocessing_is_for_the_only_input(model):
    twice = kprobe.Preprocessing(scale=2.0)
    for given in (twice, {"": twice}, {"x": twice}):
        close(kprobe.activations(model, "a", DATA, preprocessing=given)["a"], 2 * EXPECTED)
    p, q = keras.Input((4,), name="p"), keras.Input((4,), name="q")
    two = keras.Model([p, q], keras.layers.Add(name="add")([p, q]))
    data = {"p": DATA, "q": DATA}
    close(kprobe.activations(two, "add", data, preprocessing={"q": twice})["add"], 3 * DATA)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(two, "add", data, preprocessing=twice)
    assert str(caught.value) == (
        "preprocessing is for one input, and the model has 2; "
        "say which, for example preprocessing={'p': ...}"
    )


@pytest.mark.parametrize("given", [3, {"x": 3}, [kprobe.Preprocessing()]])
def test_what_is_no_preprocessing_is_refused(given, model):
    with pytest.raises(kprobe.KprobeError, match=r"^preprocessing: expected Preprocessing"):
        kprobe.activations(model, "a", DATA, preprocessing=given)


def test_lone_image_options_are_for_all_inputs(elsewhere):
    image = RNG.integers(0, 256, (6, 8, 3), "uint8")
    (elsewhere / "images").mkdir()
    (elsewhere / "images" / "a.png").write_bytes(tf.io.encode_png(image).numpy())
    x = keras.Input((3, 4, 3), name="x")
    model = keras.Model(x, keras.layers.ReLU(name="relu")(x))
    options = kprobe.ImageOptions(resize=(3, 4))
    received = [
        kprobe.activations(model, "relu", elsewhere / "images", images=given)["relu"]
        for given in (options, {"": options}, {"x": options})
    ]
    assert received[0].shape == (1, 3, 4, 3)
    for other in received[1:]:
        np.testing.assert_array_equal(other, received[0])
    with pytest.raises(kprobe.KprobeError, match=r"^images: expected ImageOptions, received tuple"):
        kprobe.activations(model, "relu", elsewhere / "images", images=(3, 4))


# --- What comes back ---------------------------------------------------------------------------


@KERASES
def test_texts_weights_and_aliases_come_back(k, elsewhere):
    texts = k.Input((), dtype="string", name="t")
    lines = k.Input((2,), dtype="string", name="lines")
    layer = k.layers.Lambda(lambda t: tf.strings.upper(t), output_shape=lambda s: s, name="up")
    each = k.layers.Lambda(lambda t: tf.strings.lower(t), output_shape=lambda s: s, name="low")
    model = k.Model([texts, lines], [layer(texts), each(lines)])
    data = {"t": np.array(["ab", "cdé", ""]), "lines": np.array([["A", "BB"]] * 3)}
    received = kprobe.activations(model, "shouted=up,low", data)
    assert received["shouted"].tolist() == [b"AB", "CDé".encode(), b""]
    assert received["low"].tolist() == [[b"a", b"bb"]] * 3
    kprobe.dump(model, "up,low", inputs=data, output=elsewhere / "a.h5")
    with kprobe.open_dump(elsewhere / "a.h5") as dump:
        assert [dump["up"][row] for row in range(3)] == ["AB", "CDé", ""]
        assert dump["low"][2].tolist() == ["a", "bb"]


def test_texts_of_which_each_sample_has_as_many_as_it_likes_give_a_list():
    lines = keras.Input((None,), dtype="string", name="lines")
    upper = keras.layers.Lambda(lambda t: tf.strings.upper(t), output_shape=lambda s: s, name="up")
    model = keras.Model(lines, upper(lines))
    data = [np.array(["a", "bb"]), np.array(["ccc"]), np.array(["d", "e"])]
    received = kprobe.activations(model, "up", {"lines": data})["up"]
    assert [row.tolist() for row in received] == [[b"A", b"BB"], [b"CCC"], [b"D", b"E"]]


def test_results_have_the_names_that_were_asked_for(model):
    received = kprobe.activations(model, "first=a,b:in,weights=b:kernel,b:bias", DATA)
    assert list(received) == ["first", "b:in", "weights", "b:bias"]
    close(received["first"], EXPECTED)
    close(received["b:in"], EXPECTED)
    np.testing.assert_array_equal(received["weights"], model.get_layer("b").get_weights()[0])
    assert list(kprobe.activations(model, None, DATA)) == ["a", "b"]
    assert list(kprobe.activations(model, "b:kernel")) == ["b:kernel"]


def test_results_have_the_dtype_that_was_computed():
    x = keras.Input((4,), name="x")
    half = keras.layers.Dense(2, dtype="float16", name="half")(x)
    double = keras.layers.Dense(2, dtype="float64", name="double")(x)
    brain = keras.layers.Dense(2, dtype="bfloat16", name="brain")(x)
    positive = keras.layers.Lambda(lambda t: t > 0, output_shape=lambda s: s, name="positive")(x)
    most = keras.layers.Lambda(
        lambda t: tf.argmax(t, 1), output_shape=lambda s: s[:1], name="most"
    )(x)
    model = keras.Model(x, [half, double, brain, positive, most])
    received = kprobe.activations(model, "half,double,brain,positive,most", DATA)
    assert {name: values.dtype.name for name, values in received.items()} == {
        "half": "float16",
        "double": "float64",
        "brain": "float32",  # numpy has no bfloat16
        "positive": "uint8",
        "most": "int64",
    }
    np.testing.assert_array_equal(received["positive"], DATA > 0)
    np.testing.assert_array_equal(received["most"], DATA.argmax(1))


# --- What things say of themselves -------------------------------------------------------------


def test_functions_plans_and_dumps_say_what_they_are(model, elsewhere):
    saved = elsewhere / "small.keras"
    model.save(saved)
    for given in (model, saved, str(saved)):
        function = kprobe.function(given, ["a", "b:kernel"])
        assert repr(function) == "<Function of Functional small: (x) -> a, b:kernel>"
        close(function(DATA)["a"], EXPECTED)
    path = elsewhere / "a.h5"
    with plan_job(make_job(model=model, layers=None, inputs=DATA, output=path)) as ready:
        assert repr(ready) == f"<Plan {path}: a, b; 7 samples>"
    with plan_job(make_job(model=model, layers="a", inputs=iter([DATA]))) as ready:
        assert repr(ready) == "<Plan memory: a; a stream of samples>"
    receipt = kprobe.dump(model, "a,b", inputs=DATA, output=path)
    assert receipt.output == path
    with kprobe.open_dump(path) as dump:
        assert repr(dump) == f"<Dump {path}: 2 columns (a, b), 7 rows, complete>"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "aa"}, "no layer 'aa'; nearest: a"),
        ({"layers": []}, "no layers are asked for; name some with layers, or layers=None"),
        ({"batch_size": 3, "limit": 7, "layers": "fixed"}, "no layer 'fixed'"),
        (
            {"exact": True, "precision": "bfloat16"},
            "precision: expected 'float32' together with exact",
        ),
        ({"unsafe": True}, "this one is in memory; leave unsafe out"),
        ({"random": 3}, "leave inputs or random out"),
        ({"device": "toaster"}, "device: expected 'cpu', 'gpu' or 'gpu:N', received 'toaster'"),
        ({"fail_on": "NaN"}, "received 'NaN'; did you mean 'nan'?"),
        ({"inputs": {"y": DATA}}, "no input 'y'; the model's inputs: x (None, 4) float32"),
        ({"inputs": DATA[:, :3]}, "input 'x' expects shape (None, 4), received (7, 3) from array"),
    ],
)
def test_an_error_says_what_to_do_in_pythons_words(options, said, model):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, **{"layers": "a", "inputs": DATA, **options})
    assert said in str(caught.value)
    assert "--" not in str(caught.value)


def test_an_existing_dump_is_replaced_only_when_told(model, elsewhere):
    options = {"inputs": DATA, "output": elsewhere / "a.h5"}
    kprobe.dump(model, "a", **options)
    with pytest.raises(kprobe.KprobeError, match="exists already; replace it with overwrite=True"):
        kprobe.dump(model, "b", **options)
    assert kprobe.dump(model, "a", resume=True, **options).resumed == 7
    kprobe.dump(model, "b", overwrite=True, **options)


def test_code_that_needs_its_classes_says_so_in_pythons_words(elsewhere):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((4,), name="x")
    keras.Model(x, Odd(name="odd")(x)).save(elsewhere / "odd.keras")
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(elsewhere / "odd.keras", "odd", DATA)
    assert "custom_objects=" in str(caught.value)
    assert "--" not in str(caught.value)
