"""Read a frozen graph, `.pb`: a graph of TensorFlow whose weights are constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from kprobe.errors import ModelError
from kprobe.gate.graphs.saved_model import MAX_GRAPH_BYTES
from kprobe.gate.graphs.slim_graph import parse_frozen_graph
from kprobe.gate.graphs.wire import BrokenMessageError
from kprobe.models.saved_model import SavedModel

if TYPE_CHECKING:
    from kprobe.gate.opened import OpenedFile

# The one signature of a frozen graph: from its placeholders to what nothing in it takes.
GRAPH = "graph"
# A graph's definition begins with a node.
_FIRST = b"\x0a"
_INPUTS = frozenset({"Placeholder", "PlaceholderV2"})
_NO_OUTPUTS = _INPUTS | {"Assert", "Const", "NoOp"}
_SCOPE = "kprobe"
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


def read_frozen_graph(opened: OpenedFile, start: bytes) -> SavedModel | None:
    """Read a frozen graph as a SavedModel with one signature, whose weights are in the graph.

    Args:
        opened: The file.
        start: What it begins with.

    Returns:
        None for a file that holds no graph.

    Raises:
        ModelError: It has variables without values, no inputs or no outputs.
    """
    if not start.startswith(_FIRST) or opened.size > MAX_GRAPH_BYTES:
        return None
    path = opened.path
    try:
        graph = parse_frozen_graph(opened)
    except (BrokenMessageError, DecodeError, RecursionError):
        return None
    nodes = graph.graph_def.node
    if not nodes or not all(node.name and node.op for node in nodes):
        return None
    if lost := next((node for node in nodes if node.op in _VARIABLES), None):
        raise ModelError(
            f"{path} is a graph without weights: the value of its variable {lost.name} isn't in it",
            hint="freeze it with its checkpoint, or give the SavedModel",
        )
    taken = {edge.removeprefix("^").partition(":")[0] for node in nodes for edge in node.input}
    inputs = [node for node in nodes if node.op in _INPUTS]
    outputs = [node for node in nodes if node.name not in taken and node.op not in _NO_OUTPUTS]
    for what, found in (("placeholders to feed", inputs), ("results", outputs)):
        if not found:
            raise ModelError(f"{path} is a graph without {what}")
    signature = graph.signature_def[GRAPH]
    for node in inputs:
        info = signature.inputs[_name(node)]
        info.name, info.dtype = f"{node.name}:0", node.attr["dtype"].type
        # Looked up first: reading what a map of protobuf lacks adds it.
        if "shape" in node.attr:
            info.tensor_shape.CopyFrom(node.attr["shape"].shape)
        else:
            info.tensor_shape.unknown_rank = True
    for node in outputs:
        info = signature.outputs[_name(node)]
        info.name, info.tensor_shape.unknown_rank = f"{node.name}:0", True
    return SavedModel([graph], graph, {})


def _name(node: Any) -> str:
    """Give what an input or an output is called: a slash would stand for what is inside of it."""
    return str(node.name.replace("/", "_"))


def load_frozen_graph(opened: OpenedFile, saved: SavedModel) -> Any:
    """Load a frozen graph.

    Args:
        opened: The file.
        saved: What `read_frozen_graph` gave.

    Returns:
        A `tf.ConcreteFunction`, whose arguments and results have the signature's names, the
        results in their order.

    Raises:
        ModelError: TensorFlow can't import the graph.
    """
    import tensorflow as tf

    from kprobe.compat.tensorflow_names import ARGUMENT_NAMES, POSITIONAL_ARGUMENTS

    definition = tf.compat.v1.GraphDef.FromString(opened.read(opened.size))
    signature = saved.serving.signature_def[GRAPH]
    # What a node gives first goes by its name alone.
    fed = {
        name: signature.inputs[name].name.removesuffix(":0") for name in sorted(signature.inputs)
    }
    inputs = [node for node in definition.node if node.name in fed.values()]
    for node in inputs:
        definition.node.remove(node)

    def run(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = dict(zip(fed.values(), tensors, strict=True))
        names = sorted(signature.outputs)
        results = tf.graph_util.import_graph_def(
            definition,
            input_map=given,
            return_elements=[signature.outputs[name].name for name in names],
            name="",
        )
        return dict(zip(names, results, strict=True))

    try:
        specs = [_describe(node) for node in sorted(inputs, key=_name)]
        function = tf.compat.v1.wrap_function(run, specs)
    # What the importer raises has no common class.
    except Exception as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{opened.path} can't be imported by tensorflow {tf.__version__}: {said}"
        ) from error
    described = dict(zip(fed, specs, strict=True))
    function.graph.structured_input_signature = ((), described)
    ARGUMENT_NAMES.write(function, list(fed))
    POSITIONAL_ARGUMENTS.write(function, 0)
    return function


def _describe(node: Any) -> Any:
    """Give the `tf.TensorSpec` of a placeholder."""
    import tensorflow as tf

    shape = tf.TensorShape(node.attr["shape"].shape) if "shape" in node.attr else None
    # Apart from the graph's own names.
    return tf.TensorSpec(shape, tf.DType(node.attr["dtype"].type), name=f"{_SCOPE}/{node.name}")
