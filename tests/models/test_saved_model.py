"""SavedModel directories: what they say without TensorFlow, and what comes out of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

import kprobe
from kprobe.errors import KprobeError, ModelError
from kprobe.gate.graphs.saved_model_proto import SCHEMA
from kprobe.gate.opened_directory import open_directory
from kprobe.models.file import choose_signature, read_model_file
from kprobe.models.listing import list_layers
from kprobe.models.saved_model import read_saved_model
from kprobe.saved_signature import SavedSignature
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("u1")
ROWS = np.random.default_rng(1).normal(size=(6, 5)).astype("f4")


class Double(tf_keras.layers.Layer):
    """A layer whose class isn't known when it is loaded."""

    def call(self, x):
        return x * 2


@pytest.fixture(scope="module")
def functional(tmp_path_factory):
    """A functional model of tf_keras: nested and shared layers, an operation, a custom layer."""
    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    inner = tf_keras.Sequential(
        [
            layers.Input((6, 6, 4)),
            layers.Flatten(name="flat"),
            Double(name="double"),
            layers.Dense(5, name="dense"),
        ],
        name="inner",
    )
    x = layers.Concatenate(name="both")([inner(x), inner(x + 1)])
    x = layers.Reshape((5, 2), name="steps")(x)
    x = layers.Bidirectional(layers.LSTM(3), name="rnn")(x)
    model = tf_keras.Model(image, layers.Dense(3, name="head")(x), name="net")
    model.compile("adam", "mse")
    path = tmp_path_factory.mktemp("functional") / "net"
    model.save(path, save_format="tf")
    return model, path


@pytest.fixture(scope="module")
def loaded(functional):
    """The functional model as kprobe loads it; the tests leave it as it is."""
    return kprobe.load_model(functional[1])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model of Keras 3, exported."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv", activation="relu")(image)
    x = keras.layers.Flatten()(x)
    parts = [keras.layers.Dense(3, name="a")(x), keras.layers.Dense(2, name="b")(x)]
    model = keras.Model(image, parts, name="net")
    path = tmp_path_factory.mktemp("exported") / "net"
    model.export(path, verbose=False)
    return model, path


class Words(tf.Module):
    """Two signatures, a loop, a function called twice, and a table from a file."""

    def __init__(self, vocabulary):
        super().__init__()
        self.weight = tf.Variable(np.linspace(-1, 1, 20, dtype="f4").reshape(5, 4), name="weight")
        source = tf.lookup.TextFileInitializer(
            tf.saved_model.Asset(str(vocabulary)),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticVocabularyTable(source, 1)

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def bend(self, x):
        return tf.math.tanh(x, name="bent")

    @tf.function(input_signature=[tf.TensorSpec([None, 5], name="x")])
    def score(self, x):
        bent = self.bend(self.bend(tf.matmul(x, self.weight, name="product")) + 1)
        shares = tf.map_fn(lambda row: tf.nn.softmax(row, name="soft"), bent)
        return {"x": x + 1, "shares": shares, "top": tf.argmax(shares, -1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def look_up(self, words):
        return {"ids": self.table.lookup(words)}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    (folder / "vocabulary.txt").write_text("an\nbe\ncy\n")
    module = Words(folder / "vocabulary.txt")
    signatures = {"score": module.score, "look_up": module.look_up}
    tf.saved_model.save(module, folder / "words", signatures=signatures)
    (folder / "vocabulary.txt").unlink()
    return module, folder / "words"


@pytest.fixture(scope="module", params=["reference variables", "resource variables"])
def of_tensorflow_1(request, tmp_path_factory):
    """A SavedModel of TensorFlow 1, and what it gives for ROWS: {"hidden": …, "y": …}."""
    v1, path = tf.compat.v1, tmp_path_factory.mktemp("old") / "old"
    # TensorFlow knows such variables by name, in the whole process.
    scope = f"dense_{request.param[:3]}"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 5], name="x")
        with v1.variable_scope(scope, use_resource=request.param.startswith("resource")):
            kernel = v1.get_variable("kernel", [5, 4])
            hidden = tf.nn.relu(tf.matmul(x, kernel), name="Relu")
        y = tf.nn.softmax(hidden, name="y")
        session.run(v1.global_variables_initializer())
        expected = dict(zip(("hidden", "y"), session.run([hidden, y], {x: ROWS}), strict=True))
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})
    return path, scope, expected


def list_addresses(path, signature=None):
    return list_layers(choose_signature(read_model_file(path), signature))


def trace_file(path, **options):
    model = kprobe.load_model(path, **options)
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))


# What the directory says


@pytest.mark.parametrize(("message", "module"), [
    ("SavedModel", "saved_model_pb2"),
    ("MetaGraphDef", "meta_graph_pb2"),
    ("SignatureDef", "meta_graph_pb2"),
    ("CollectionDef", "meta_graph_pb2"),
    ("TensorInfo", "meta_graph_pb2"),
    ("AssetFileDef", "meta_graph_pb2"),
    ("SaverDef", "saver_pb2"),
    ("SavedObjectGraph", "saved_object_graph_pb2"),
    ("SavedObject", "saved_object_graph_pb2"),
    ("SavedUserObject", "saved_object_graph_pb2"),
    ("SavedAsset", "saved_object_graph_pb2"),
    ("SavedVariable", "saved_object_graph_pb2"),
    ("SavedConcreteFunction", "saved_object_graph_pb2"),
    ("GraphDef", "graph_pb2"),
    ("NodeDef", "node_def_pb2"),
    ("AttrValue", "attr_value_pb2"),
    ("NameAttrList", "attr_value_pb2"),
    ("FunctionDefLibrary", "function_pb2"),
    ("FunctionDef", "function_pb2"),
    ("OpDef", "op_def_pb2"),
    ("TensorShapeProto", "tensor_shape_pb2"),
    ("TrackableObjectGraph", "trackable_object_graph_pb2"),
])  # fmt: skip
def test_the_messages_are_those_of_tensorflow(message, module):
    import importlib

    for part in ("protobuf", "framework"):
        try:
            found = importlib.import_module(f"tensorflow.core.{part}.{module}")
            break
        except ImportError:
            continue
    fields = getattr(found, message).DESCRIPTOR.fields_by_name
    assert {name: fields[name].number for name in SCHEMA[message]} == {
        name: number for name, (number, _) in SCHEMA[message].items()
    }


def test_a_keras_model_is_listed_as_it_will_be_traced(functional):
    model, path = functional
    entries = list_addresses(path)
    traced = trace_file(path)
    calls = {call.address: call for call in traced.calls}
    # The cells are there, and tf_keras computes without calling them.
    cells = [entry.address for entry in entries if entry.address.endswith("lstm_cell")]
    assert set(cells) == {call.address for call in traced.dropped}
    entries = [entry for entry in entries if entry.address not in cells]
    assert [entry.address for entry in entries] == [*calls]
    for entry in entries:
        assert entry.class_name == calls[entry.address].class_name
        if entry.output_shape is not None:
            assert entry.output_shape == tuple(calls[entry.address].outputs[0][1].shape)
        if entry.depth == 0 and entry.position is not None:
            assert entry.parameters == model.layers[entry.position].count_params()


def test_a_subclassed_model_is_listed_by_its_layers(tmp_path):
    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [tf_keras.layers.Dense(3, name="one"), Double(name="two")]

        def call(self, x):
            return self.blocks[1](self.blocks[0](x))

    model = Model()
    model(ROWS)
    model.save(tmp_path / "m", save_format="tf")
    entries = list_addresses(tmp_path / "m")
    assert [(e.address, e.class_name, e.parameters) for e in entries] == [
        ("one", "Dense", 18),
        ("two", "Double", 0),
    ]


@pytest.mark.parametrize("signature", ["score", "look_up"])
def test_a_signature_is_listed_as_it_will_be_traced(words, signature):
    entries = list_addresses(words[1], signature)
    calls = trace_file(words[1], signature=signature).calls
    assert [(e.address, e.class_name, e.is_input, e.output_shape) for e in entries] == [
        (c.address, c.class_name, c.is_input, tuple(c.outputs[0][1].shape)) for c in calls
    ]


def test_listing_imports_no_tensorflow(functional, exported):
    code = (
        "import sys; from kprobe.cli.main import cli\n"
        "for path in sys.argv[1:]: cli(['ls', path], standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    paths = map(str, (functional[1], exported[1]))
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "inner@1/dense" in done.stdout
    assert "serving_default  output_1  Output  float32  (?,2)" in done.stdout


# What comes out of it


@pytest.mark.parametrize("layer", ["conv", "norm", "relu", "both", "rnn", "head"])
def test_the_layers_of_a_keras_model_are_those_of_the_saved_one(functional, loaded, layer):
    model, _ = functional
    images = IMAGES.astype("f4")
    expected = tf_keras.Model(model.input, model.get_layer(layer).output)(images)
    got = kprobe.function(loaded, layer, exact=True)(images)[layer]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_operations_of_a_layer_without_its_class_are_there(loaded):
    got = kprobe.function(loaded, ["inner@1/double//mul*", "inner@1/flat"])(IMAGES.astype("f4"))
    doubled, flat = got.values()
    np.testing.assert_array_equal(doubled, flat * 2)


def test_a_dump_of_an_export_equals_the_model(exported, tmp_path):
    model, path = exported
    np.save(tmp_path / "images.npy", IMAGES)
    kprobe.dump(
        path,
        "output_0,output_1,image,conv=//*conv*/Relu",
        inputs=tmp_path / "images.npy",
        output=tmp_path / "a.h5",
        preprocessing={"": kprobe.Preprocessing(scale=1 / 255)},
    )
    images = IMAGES.astype("f4") * np.float32(1 / 255)
    conv, a, b = keras.Model(model.input, [model.get_layer("conv").output, *model.outputs])(images)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        for name, expected in (("conv", conv), ("output_0", a), ("output_1", b), ("image", images)):
            np.testing.assert_allclose(dump[name][:], expected, rtol=1e-5, atol=1e-6)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["conv"].attrs["layer_class"] == "Relu"
        assert file["output_0"].attrs["layer_class"] == "Output"
        assert len(file.attrs["model_sha256"]) == 64


@pytest.mark.parametrize("rows", [6, 300])
def test_a_signature_gives_what_it_gives_eagerly(words, tmp_path, rows):
    module, path = words
    x = np.resize(ROWS, (rows, 5))
    addresses = "shares,top,product=//product,bent=//bent_1,soft=//*soft,x@0,x@1"
    kprobe.dump(path, addresses, inputs=x, signature="score", output=tmp_path / "a.h5")
    eager = tf.saved_model.load(str(path)).signatures["score"](x=tf.constant(x))
    product = x @ module.weight.numpy()
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        for name in ("shares", "top"):
            np.testing.assert_allclose(dump[name][:], eager[name], rtol=1e-5)
        np.testing.assert_allclose(dump["soft"][:], eager["shares"], rtol=1e-5)
        np.testing.assert_allclose(dump["product"][:], product, rtol=1e-4, atol=1e-6)
        bent = np.tanh(np.tanh(product) + 1)
        np.testing.assert_allclose(dump["bent"][:], bent, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(dump["x@0"][:], x)
        np.testing.assert_allclose(dump["x@1"][:], x + 1, rtol=1e-6)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["frozen"] == (rows == 300)


def test_an_operation_of_a_signature_can_be_fed(words):
    model = kprobe.load_model(words[1], signature="score")
    given = np.random.default_rng(2).normal(size=(3, 4)).astype("f4")
    got = kprobe.function(model, "top,//bent_1", feeds="//product")(given)
    np.testing.assert_allclose(got["//bent_1"], np.tanh(np.tanh(given) + 1), rtol=1e-5)
    np.testing.assert_array_equal(got["top"], got["//bent_1"].argmax(-1))


def test_a_table_from_the_models_own_file_works(words):
    model = kprobe.load_model(words[1], signature="look_up")
    got = kprobe.function(model, "ids")(np.array(["cy", "an", "xx"], object))
    np.testing.assert_array_equal(got["ids"], [2, 0, 3])


def test_a_model_of_tensorflow_1_keeps_its_names(of_tensorflow_1):
    path, scope, expected = of_tensorflow_1
    got = kprobe.function(kprobe.load_model(path), ["y", f"//{scope}/Relu:0"])(ROWS)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-5)
    np.testing.assert_allclose(got[f"//{scope}/Relu"], expected["hidden"], rtol=1e-5, atol=1e-6)


def test_a_keras_models_signature_runs_without_layers(functional):
    model, path = functional
    signature = kprobe.load_model(path, signature="serving_default")
    assert isinstance(signature, SavedSignature)
    images = IMAGES.astype("f4")
    got = kprobe.function(signature, ["head", "//net/conv/BiasAdd"])(images)
    np.testing.assert_allclose(got["head"], model(images), rtol=1e-4, atol=1e-5)
    conv = model.get_layer("conv")(images)
    np.testing.assert_allclose(got["//net/conv/BiasAdd"], conv, rtol=1e-4, atol=1e-4)
    eager = signature(image=tf.constant(images))["head"]
    np.testing.assert_allclose(got["head"], eager, rtol=1e-4, atol=1e-5)


def test_a_model_of_one_batch_size_gives_its_operations(tmp_path):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2, 5], name="x")])
        def run(self, x):
            return {"y": tf.nn.relu(x, name="bent") + 1}

    tf.saved_model.save(module := Two(), tmp_path / "m", signatures=module.run)
    kprobe.dump(tmp_path / "m", "bent=//bent,y", inputs=ROWS[:4], output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_array_equal(dump["bent"][:], np.maximum(ROWS[:4], 0))
        np.testing.assert_array_equal(dump["y"][:], np.maximum(ROWS[:4], 0) + 1)


# What bad input gets


def test_an_unknown_signature_lists_those_there_are(words):
    with pytest.raises(ModelError, match=r"has no signature 'scores'; it has look_up, score$"):
        kprobe.load_model(words[1], signature="scores")


def test_several_signatures_without_a_default_are_not_guessed(words, tmp_path):
    with pytest.raises(ModelError, match=r"has several signatures: look_up, score") as caught:
        kprobe.dump(words[1], "top", output=tmp_path / "a.h5")
    assert caught.value.hint == "choose with `signature='NAME'`"


def test_a_module_without_signatures_says_what_to_do(tmp_path):
    tf.saved_model.save(tf.Module(), tmp_path / "m")
    with pytest.raises(ModelError, match="has no signatures, and holds no Keras model"):
        kprobe.load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"training": True}, "runs as it was saved, and not as in training"),
        ({"eager": True}, "has no Python to run eagerly"),
        ({"keras": 3}, "Keras 3 doesn't load SavedModels"),
        ({"layers": "outptu_0"}, "no layer 'outptu_0'; nearest: output_0"),
    ],
)
def test_what_a_signature_can_not_do_is_said(exported, tmp_path, options, fault):
    asked = {"layers": "output_0", "inputs": IMAGES, "output": tmp_path / "a.h5", **options}
    with pytest.raises(KprobeError, match=fault):
        kprobe.dump(exported[1], asked.pop("layers"), **asked)
    assert not list(tmp_path.iterdir())


def test_an_input_without_an_axis_of_samples_is_said(tmp_path):
    class Scaled(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None, 5], name="x"), tf.TensorSpec([], name="factor")]
        )
        def run(self, x, factor):
            return x * factor

    tf.saved_model.save(module := Scaled(), tmp_path / "m", signatures=module.run)
    with pytest.raises(ModelError, match=r"the input factor of the signature .* is a scalar"):
        kprobe.dump(tmp_path / "m", "output_0", output=tmp_path / "a.h5")


@pytest.mark.parametrize("content", [b"\xff\xff", b""], ids=["no message", "no graph"])
def test_a_damaged_directory_is_said(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match=r"has a saved_model\.pb that isn't a whole SavedModel"):
        read_model_file(tmp_path)


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"node_id": 10**6}, " is a damaged SavedModel: its keras_metadata.pb is of another model"),
        ({"metadata": "[]"}, ": has a metadata of Keras: expected an object, received a list"),
        ({"metadata": "{"}, ": has a metadata of Keras that isn't valid JSON: Expecting property"),
    ],
)
def test_keras_metadata_that_is_not_the_models_is_said(functional, tmp_path, node, fault):
    path = shutil.copytree(functional[1], tmp_path / "m")
    file = path / "keras_metadata.pb"
    metadata = SavedMetadata.FromString(file.read_bytes())
    for name, value in node.items():
        setattr(metadata.nodes[0], name, value)
    file.write_bytes(metadata.SerializeToString())
    with pytest.raises(ModelError) as caught:
        read_model_file(path)
    assert caught.value.faults[0].startswith(f"{path}{fault}")
    assert re.fullmatch("copy or save the model (file )?again", caught.value.hint)


def test_a_directory_that_is_none_and_a_file_with_a_signature_are_said(tmp_path, samples):
    with pytest.raises(ModelError, match=r"is a directory without saved_model\.pb"):
        read_model_file(tmp_path)
    with pytest.raises(ModelError, match="it isn't a SavedModel directory"):
        choose_signature(read_model_file(Path(samples) / "digits_cnn.keras"), "serve")


def test_a_loaded_signature_says_what_it_takes_and_gives(words):
    loaded = kprobe.load_model(words[1], signature="score")
    inputs, outputs = loaded.function.structured_input_signature[1], loaded.outputs
    taken = ", ".join(f"{key} {spec.dtype.name} {spec.shape}" for key, spec in inputs.items())
    assert repr(loaded) == f"<signature score: {taken} -> {', '.join(outputs)}>"
    assert "float32 (None, " in taken


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb"])
def test_what_was_opened_is_read_through_no_link(functional, name, tmp_path):
    """A link that is put there meanwhile: what it leads to is read by nobody."""
    path = tmp_path / "model"
    shutil.copytree(functional[1], path)
    opened = open_directory(path)
    assert read_saved_model(opened).is_keras
    (path / name).rename(tmp_path / "secret")
    (path / name).symlink_to(tmp_path / "secret")
    if name == "saved_model.pb":
        with pytest.raises(ModelError, match="is a damaged SavedModel: it has no saved_model"):
            read_saved_model(opened)
    else:
        assert not read_saved_model(opened).is_keras
