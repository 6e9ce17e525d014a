"""SavedModels that would touch files or run code are refused before anything of them is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef
from tensorflow.python.client import pywrap_tf_session

import kprobe
from kprobe.errors import ModelError, UnsafeModelError
from kprobe.gate.graphs.operations import describe_harm, find_unsafe_operations, read_operations
from kprobe.gate.graphs.saved_model import find_saved_model_faults
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.opened_directory import open_directory
from kprobe.gate.refuse import check_safe
from kprobe.models.file import choose_signature, read_model_file

ROWS = np.ones((2, 3), "f4")


def check(path, signature=None):
    check_safe(choose_signature(read_model_file(path), signature))
    # The whole directory passes, too, as TensorFlow and tf_keras write it.
    assert [*find_saved_model_faults(open_directory(path))] == []


@pytest.fixture
def save(tmp_path):
    """Save a module that runs some code."""

    def run(code):
        class Module(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
            def inner(self, x):
                return code(x, str(tmp_path / "touched"))

            @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
            def run(self, x):
                return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: self.inner(x), lambda: x)}

        module = Module()
        module.weight = tf.Variable(1.0)
        tf.saved_model.save(module, tmp_path / "m", signatures=module.run)
        return tmp_path / "m"

    return run


def change(path, edit):
    """Change a SavedModel's graph."""
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(saved.meta_graphs[0])
    file.write_bytes(saved.SerializeToString())
    return path


def after(operation, x):
    with tf.control_dependencies([operation]):
        return tf.identity(x)


def restore(name):
    return tf.raw_ops.RestoreV2(
        prefix=name, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0]


def save_tensor(x, name):
    return tf.raw_ops.SaveV2(prefix=name, tensor_names=["a"], shape_and_slices=[""], tensors=[x])


def read_lines(name):
    return tf.data.TextLineDataset(name).reduce(0.0, lambda total, _: total + 1)


HARMFUL = {
    "WriteFile": lambda x, name: after(tf.io.write_file(name, "a"), x),
    "ReadFile": lambda x, name: x + tf.cast(tf.strings.length(tf.io.read_file(name)), x.dtype),
    "MatchingFiles": lambda x, name: x + tf.cast(tf.size(tf.io.matching_files(name)), x.dtype),
    "PrintV2": lambda x, name: after(tf.print(x, output_stream=f"file://{name}"), x),
    "SaveV2": lambda x, name: after(save_tensor(x, name), x),
    "RestoreV2": lambda x, name: x + restore(name),
    "TextLineDataset": lambda x, name: x + read_lines(name),
    "EagerPyFunc": lambda x, _: tf.ensure_shape(tf.py_function(lambda y: y, [x], x.dtype), x.shape),
    "Abort": lambda x, _: after(tf.raw_ops.Abort(error_msg="a"), x),
    "DebugIdentityV3": lambda x, name: tf.raw_ops.DebugIdentityV3(
        input=x, debug_urls=[f"file://{name}"]
    ),
}


@pytest.mark.parametrize("operation", HARMFUL)
def test_a_graph_that_touches_files_or_runs_code_is_refused(save, operation, tmp_path):
    path = save(HARMFUL[operation])
    with pytest.raises(UnsafeModelError, match=rf"m: the graph has the operation {operation} \("):
        check(path)
    # Loading and listing are all that goes before it.
    assert not (tmp_path / "touched").exists()


def test_refusing_imports_no_tensorflow_and_unsafe_opens(save, tmp_path):
    path = save(HARMFUL["WriteFile"])
    code = "import sys, kprobe; kprobe.dump(sys.argv[1], 'y', output='a.h5')"
    check_imports = "assert 'tensorflow' not in sys.modules"
    code = f"try:\n {code}\nexcept kprobe.KprobeError as e: print(e.exit_code)\n{check_imports}"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
    assert not (tmp_path / "touched").exists()
    model = kprobe.load_model(path, unsafe=True)
    np.testing.assert_array_equal(kprobe.function(model, "y")(ROWS)["y"], ROWS)


def test_the_function_that_an_operation_is_in_is_named(save):
    path = save(HARMFUL["WriteFile"])
    with pytest.raises(
        UnsafeModelError, match=r"WriteFile \(WriteFile in the function '__inf\w+'\)"
    ):
        check(path)


@pytest.mark.parametrize(
    ("operation", "attrs", "harm"),
    [
        ("WriteFile", {}, "writes files"),
        ("LMDBReader", {}, "reads files"),
        ("EagerPyFunc", {}, "runs Python"),
        ("PyFuncStateless", {}, "runs Python"),
        ("RemoteCall", {}, "runs what another process or library says"),
        ("DataServiceDatasetV4", {}, "runs what another process or library says"),
        ("XlaCustomCallV2", {}, "runs what another process or library says"),
        ("Abort", {}, "ends the process"),
        ("PrintV2", {"output_stream": b"file:///tmp/a"}, "writes files"),
        ("PrintV2", {"output_stream": b"stderr"}, None),
        ("FixedUnigramCandidateSampler", {"vocab_file": b"/tmp/a"}, "reads files"),
        ("FixedUnigramCandidateSampler", {}, None),
        ("DecodeProtoV2", {"descriptor_source": b"/tmp/a.pb"}, "reads files"),
        ("EncodeProto", {"descriptor_source": b"/tmp/a.pb"}, "reads files"),
        ("EncodeProto", {"descriptor_source": b"bytes://x"}, None),
        ("EncodeProto", {"descriptor_source": b"local://"}, None),
        ("DecodeProtoV2", {}, None),
        ("MatMul", {}, None),
        ("ImmutableConst", {}, "reads files"),  # which it maps into memory, by their names
        ("IdentityReaderV2", {}, "reads files"),
        ("DatasetFromGraph", {}, "runs a program that isn't in the graph's own operations"),
        ("XlaCallModule", {}, "runs a program that isn't in the graph's own operations"),
        ("_Recv", {}, "talks to other devices or machines"),
        ("TPUExecute", {}, "needs TPUs"),
        ("Foo1", {}, "is of TensorFlow's own tests"),
        ("ReadFileX", {}, "isn't an operation that kprobe knows"),
        ("harmful:", {}, "isn't an operation that kprobe knows"),
        ("", {}, "isn't an operation that kprobe knows"),
    ],
)
def test_what_an_operation_does_is_said(operation, attrs, harm):
    assert describe_harm(operation, attrs) == harm


@pytest.mark.parametrize(("number", "harm"), [(1, None), (20, "makes"), (21, "makes")])
def test_text_becomes_numbers_and_no_objects(number, harm):
    said = describe_harm("ParseTensor", {}, {"out_type": number})
    assert said is harm or said.startswith(f"{harm} objects of any class")


def name_a_function_like_an_operation(graph, operation):
    function = graph.graph_def.library.function.add()
    function.signature.name = operation
    graph.graph_def.node.add(name="more", op=operation)


@pytest.mark.parametrize(
    ("operation", "harm"),
    [
        ("WriteFile", "writes files"),
        ("Own", None),
    ],
)
def test_a_functions_name_hides_no_operation(operation, harm):
    graph = parse("MetaGraphDef", b"")
    name_a_function_like_an_operation(graph, operation)
    found = find_unsafe_operations([graph])
    assert found == ([f"the graph has the operation {operation} (more), which {harm}"] * bool(harm))


def test_an_operation_of_another_library_is_refused_with_its_name_in_one_line():
    graph = parse("MetaGraphDef", b"")
    graph.graph_def.node.add(name="a\nb\x1b[2J" + "c" * 500, op="RaggedTokenize>X" * 50)
    (line,) = find_unsafe_operations([graph])
    assert re.fullmatch(
        r"the graph has the operation (RaggedTokenize>X)+\w* … \S+X "
        r"\(a\\nb\\x1b\[2Jc+ … c+\), "
        "which isn't an operation that kprobe knows",
        line,
    )
    assert len(line) < 250


def test_printing_to_the_screen_is_harmless(save):
    check(save(lambda x, _: after(tf.print("x"), x)))


# The loader's own saving and restoring


def test_the_loaders_own_functions_are_not_for_others(save):
    """A signature that runs the function with which the model was saved would write files."""

    def edit(graph):
        library = {f.signature.name: f for f in graph.graph_def.library.function}
        saving = next(name for name in library if "traced_save" in name)
        wrapper = next(f for name, f in library.items() if "signature_wrapper" in name)
        node = wrapper.node_def.add(name="more", op="StatefulPartitionedCall")
        node.attr["f"].func.name = saving

    path = save(lambda x, _: x)
    check(path)
    with pytest.raises(UnsafeModelError, match="which writes files"):
        check(change(path, edit))


def test_the_loaders_own_functions_are_not_for_objects(save):
    def edit(graph):
        saving = [f.signature.name for f in graph.graph_def.library.function]
        name = next(name for name in saving if "traced_restore" in name)
        graph.object_graph_def.concrete_functions[name].SetInParent()

    with pytest.raises(UnsafeModelError, match=r"RestoreV2 .* which reads files"):
        check(change(save(lambda x, _: x), edit))


@pytest.fixture
def of_tensorflow_1(tmp_path):
    """A SavedModel of TensorFlow 1 with a table from an asset."""
    v1 = tf.compat.v1
    (tmp_path / "words.txt").write_text("a\nb\n")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        y = x * v1.get_variable(f"w{tmp_path.name}", [3], use_resource=True)
        source = tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"), "string", -2, "int64", -1
        )
        table = tf.lookup.StaticHashTable(source, -1)
        text = v1.placeholder(tf.string, [None], name="text")
        found = table.lookup(text)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        signature = v1.saved_model.predict_signature_def
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature({"x": x}, {"y": y}),
             "words": signature({"text": text}, {"found": found})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )  # fmt: skip
        builder.save()
    (tmp_path / "words.txt").unlink()
    return tmp_path / "m"


def test_a_table_from_an_asset_of_tensorflow_1_works(of_tensorflow_1):
    model = kprobe.load_model(of_tensorflow_1, signature="words")
    got = kprobe.function(model, "found")(np.array(["b", "c"], object))
    np.testing.assert_array_equal(got["found"], [1, -1])


def write_in_main_op(graph):
    """Write a file when the model is initialized."""
    main = graph.collection_def["saved_model_main_op"].node_list.value[0].partition(":")[0]
    node = next(n for n in graph.graph_def.node if n.name == main)
    node.input.append("^save/SaveV2")


def write_in_restore(graph):
    """Write a file when the variables are restored."""
    node = next(n for n in graph.graph_def.node if n.name == graph.saver_def.restore_op_name)
    node.input.append("^save/SaveV2")


def restore_elsewhere(graph):
    """Restore the variables from another file than the model's."""
    node = next(n for n in graph.graph_def.node if n.op == "RestoreV2")
    node.input[0] = "asset_path"


def read_another_table(graph):
    """Fill a table from a file of the machine."""
    graph.collection_def["saved_model_assets"].Clear()


def leave_the_assets(graph):
    """Fill a table from a file that is no asset, with a path that looks like one."""
    asset = AssetFileDef(filename="../../secret.txt")
    asset.tensor_info.name = "asset_path:0"
    graph.asset_file_def.append(asset)


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (write_in_main_op, r"SaveV2 \(save/SaveV2\), which writes files"),
        (write_in_restore, r"SaveV2 \(save/SaveV2\), which writes files"),
        (restore_elsewhere, r"RestoreV2 \(save/RestoreV2\), which reads files"),
        (read_another_table, r"InitializeTableFromTextFileV2 .* which reads files"),
        (leave_the_assets, r"reads '\.\./\.\./secret\.txt', outside of its assets"),
    ],
)
def test_what_loading_runs_is_the_loaders_own_or_refused(of_tensorflow_1, edit, fault):
    check(of_tensorflow_1, "words")
    with pytest.raises(UnsafeModelError, match=fault):
        check(change(of_tensorflow_1, edit), "words")


def test_a_table_takes_its_file_from_an_asset_alone(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            source = tf.lookup.TextFileInitializer(
                tf.saved_model.Asset(str(tmp_path / "words.txt")), "string", -2, "int64", -1
            )
            self.table = tf.lookup.StaticHashTable(source, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def run(self, x):
            return self.table.lookup(x)

    def edit(graph):
        objects = graph.object_graph_def
        asset = next(n for n, node in enumerate(objects.nodes) if node.HasField("asset"))
        objects.nodes[asset].constant.operation = "Const"

    (tmp_path / "words.txt").write_text("a\nb\n")
    tf.saved_model.save(module := Module(), tmp_path / "m", signatures=module.run)
    check(tmp_path / "m")
    with pytest.raises(UnsafeModelError, match=r"InitializeTableFromTextFileV2 .* reads files"):
        check(change(tmp_path / "m", edit))


# Keras's metadata


def save_keras(path, layer):
    model = tf_keras.Sequential([tf_keras.layers.Input((3,)), layer], name="net")
    model.save(path, save_format="tf")
    return path


def test_a_lambda_is_refused_and_its_graph_runs(tmp_path):
    path = save_keras(tmp_path / "m", tf_keras.layers.Lambda(lambda x: x * 2, name="twice"))
    with pytest.raises(UnsafeModelError, match="layer 'twice' has a Lambda") as caught:
        kprobe.load_model(path)
    assert caught.value.hint.startswith("`signature='NAME'` runs its graph alone")
    model = kprobe.load_model(path, signature="serving_default")
    np.testing.assert_array_equal(kprobe.function(model, "twice")(ROWS)["twice"], ROWS * 2)
    opened = kprobe.load_model(path, unsafe=True)
    np.testing.assert_array_equal(kprobe.function(opened, "twice")(ROWS)["twice"], ROWS * 2)


def test_an_unknown_function_does_not_stop_a_model_that_has_its_graph(tmp_path):
    def bend(x):
        return x + 7

    path = save_keras(tmp_path / "m", tf_keras.layers.Dense(3, bend, name="bent"))
    model = kprobe.load_model(path)
    expected = ROWS @ model.get_layer("bent").weights[0].numpy() + 7
    got = kprobe.function(model, ["bent", "bent//add*"])(ROWS)
    for array in got.values():
        np.testing.assert_allclose(array, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("module", "error", "fault"),
    [("os", UnsafeModelError, "os.Mine"), ("mine", (UnsafeModelError, ModelError), "Mine")],
)
def test_a_class_that_would_be_imported_is_refused(tmp_path, module, error, fault):
    path = save_keras(tmp_path / "m", tf_keras.layers.Dense(3, name="dense"))
    file = path / "keras_metadata.pb"
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    metadata = SavedMetadata.FromString(file.read_bytes())
    for node in metadata.nodes:
        node.metadata = re.sub(
            r'"kernel_initializer": \{"class_name": "GlorotUniform"',
            f'"kernel_initializer": {{"module": "{module}", "class_name": "Mine"',
            node.metadata,
        )
    file.write_bytes(metadata.SerializeToString())
    with pytest.raises(error, match=fault):
        check(path)


def test_custom_objects_bring_the_layers_back(tmp_path):
    code = """
        import tf_keras
        class Twice(tf_keras.layers.Layer):
            def __init__(self, **options):
                super().__init__(**options)
                self.dense = tf_keras.layers.Dense(3, name="inside")
            def call(self, x):
                return self.dense(x) * 2
    """
    (tmp_path / "twice_layer.py").write_text(re.sub(r"\n {8}", "\n", code))
    namespace = {}
    exec((tmp_path / "twice_layer.py").read_text(), namespace)
    path = save_keras(tmp_path / "m", namespace["Twice"](name="twice"))
    model = kprobe.load_model(path, custom_objects=[str(tmp_path / "twice_layer.py")])
    got = kprobe.function(model, "twice,twice/inside")(ROWS)
    np.testing.assert_allclose(got["twice"], got["twice/inside"] * 2, rtol=1e-6)


# The list of operations

LIST = Path(kprobe.gate.graphs.operations.__file__).parent / "lists" / "operations.txt"
# Files, addresses and Python by the names of what an operation takes. What is here besides was
# looked at: these take or give the content of something, or names of other things.
NAMES = re.compile(
    r"file|path|dir(?!ection)|url|address|host|token|prefix|ckpt|descriptor_source|region"
)
EXAMINED = re.compile(
    r"ShardedFile(name|spec)|_?Xla\w+|_FusedQuantized\w+|_QuantizedMatMul"
    r"|DecodeProtoV2|EncodeProto|FixedUnigramCandidateSampler|TPUReplicateMetadata"
    r"|(Experimental)?SetStatsAggregatorDataset"
)


def list_registered():
    buffer = pywrap_tf_session.TF_GetAllOpList()
    content = pywrap_tf_session.TF_GetBuffer(buffer)
    return op_def_pb2.OpList.FromString(bytes(content)).op


def test_every_operation_of_the_installed_tensorflow_is_on_the_list():
    new = {operation.name for operation in list_registered()} - read_operations().keys()
    assert not new, "look at each, and add it to kprobe/gate/graphs/lists/operations.txt"


def test_the_list_has_each_operation_once_and_words_for_each_harm():
    listed = [
        name
        for line in LIST.read_text().splitlines()
        if not line.startswith(("#", "harm"))
        for name in line.split()
    ]
    assert sorted(listed) == sorted(set(listed))
    assert len(listed) == len(read_operations()) > 1900
    headings = [line for line in LIST.read_text().splitlines() if line.startswith("harm")]
    assert all(re.fullmatch(r"(harmful|harmless): \S.*", line) for line in headings)
    assert len(set(headings)) == len(headings)


def test_every_operation_that_takes_a_file_is_known():
    text = ("string", "list(string)")
    unknown = {}
    for operation in list_registered():
        taken = [a.name for a in operation.input_arg if a.type in (0, tf.string.as_datatype_enum)]
        taken += [a.name for a in operation.attr if a.type in text]
        named = [name for name in taken if NAMES.search(name)]
        known = EXAMINED.fullmatch(operation.name) or describe_harm(operation.name, {})
        if named and not known:
            unknown[operation.name] = named
    assert not unknown
