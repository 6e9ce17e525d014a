"""Find the operations of a SavedModel's graphs that read or write files, or run code.

TensorFlow runs whatever a graph says (its SECURITY.md: "TensorFlow models are programs"). Here a
graph passes if it only turns tensors into tensors; besides, it may restore its own variables and
read its own assets, as the loader has it do.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.gate.graphs.graph_types import HANDLES
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.rules import Fault
from kprobe.gate.shown import is_plain_name, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# The list of operations: what each of them does.
_LIST = Path(__file__).parent / "lists" / "operations.txt"
_HARMLESS = ""
_UNKNOWN = "isn't an operation that kprobe knows"
_RESTORING = {"RestoreV2", "Restore", "RestoreSlice"}
_SAVING = {"SaveV2", "SaveSlices", "Save", "MergeV2Checkpoints"}
_BY_ATTRIBUTES = {
    "DecodeProtoV2",
    "EncodeProto",
    "FixedUnigramCandidateSampler",
    "ParseTensor",
    "PrintV2",
}
_TABLES = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


@cache
def read_operations() -> Mapping[str, str]:
    """Read the list of operations.

    Returns:
        What each type of operation does besides turning tensors into tensors, such as "reads
        files"; "" for what does nothing of the kind.
    """
    operations: dict[str, str] = {}
    harm = _HARMLESS
    for line in _LIST.read_text("utf-8").splitlines():
        if line.startswith("harm"):
            kind, _, words = line.partition(": ")
            harm = words if kind == "harmful" else _HARMLESS
        elif not line.startswith("#"):
            operations.update(dict.fromkeys(line.split(), harm))
    return operations


def describe_harm(
    operation: str, attrs: Mapping[str, bytes], types: Mapping[str, int] | None = None
) -> str | None:
    """Say what an operation does besides turning tensors into tensors.

    Args:
        operation: Its type, e.g. "WriteFile".
        attrs: Its attributes that are text.
        types: Its attributes that are types, as TensorFlow numbers them.

    Returns:
        E.g. "writes files"; None where it does nothing of the kind.
    """
    harm = read_operations().get(operation, _UNKNOWN)
    if harm != _HARMLESS:
        return harm
    if operation == "PrintV2" and attrs.get("output_stream", b"").startswith(b"file:"):
        return "writes files"
    if operation == "FixedUnigramCandidateSampler" and attrs.get("vocab_file"):
        return "reads files"
    source = attrs.get("descriptor_source", b"")
    if operation in ("DecodeProtoV2", "EncodeProto") and not (
        source in (b"", b"local://") or source.startswith(b"bytes://")
    ):
        return "reads files"
    if operation == "ParseTensor" and (types or {}).get("out_type") in HANDLES:
        return "makes objects of any class out of text"
    return None


def find_operation_faults(graph: Any, calls: Sequence[Call] | None = None) -> Iterator[Fault]:
    """Find what a graph does besides turning tensors into tensors.

    Args:
        graph: A graph with its functions, as `kprobe.gate.graphs.saved_model_proto` has them.
        calls: What `find_calls` gives of it, where that is known.

    Yields:
        One for each type of operation.
    """
    told: set[str] = set()
    for text, kind in _Reading(graph, find_calls(graph) if calls is None else calls).find():
        if kind not in told:
            told.add(kind)
            yield Fault("savedmodel-operations", text)


def find_unsafe_operations(graphs: Iterable[Any]) -> list[str]:
    """Find what the graphs of a SavedModel do besides turning tensors into tensors.

    Args:
        graphs: Its graphs, as `kprobe.gate.graphs.saved_model_proto` has them.

    Returns:
        A line for each type of operation.
    """
    texts: dict[str, None] = {}
    for graph in graphs:
        for fault in find_operation_faults(graph):
            texts[fault.text] = None
    return [*texts]


@dataclass(frozen=True)
class Call:
    """An operation that runs a function.

    Attributes:
        body: The function that the operation is in; "" for the graph itself.
        node: The operation's name.
        function: The function that it runs.
    """

    body: str
    node: str
    function: str


def find_calls(graph: Any) -> list[Call]:
    """Find the operations that run functions.

    Args:
        graph: A graph with its functions, as `kprobe.gate.graphs.saved_model_proto` has them.
    """
    functions = graph.graph_def.library.function
    names = {function.signature.name for function in functions}
    bodies = [("", graph.graph_def.node), *((f.signature.name, f.node_def) for f in functions)]
    calls = []
    for body, nodes in bodies:
        for node in nodes:
            if node.op in names:
                calls.append(Call(body, node.name, node.op))
            for value in node.attr.values():
                # Asked first: most attributes have neither.
                if value.HasField("func"):
                    calls.append(Call(body, node.name, value.func.name))
                elif value.HasField("list"):
                    calls += [Call(body, node.name, each.name) for each in value.list.func]
    return [call for call in calls if call.function]


class _Reading:
    """One graph and its functions, and which parts of them save and restore variables."""

    def __init__(self, graph: Any, calls: Sequence[Call]) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.graph_def.node}
        self._functions = {f.signature.name: f for f in graph.graph_def.library.function}
        # Where the loader looks for them, too.
        self._assets = list(graph.asset_file_def) or [
            parse("AssetFileDef", packed.value)
            for packed in graph.collection_def["saved_model_assets"].any_list.value
        ]
        saver = graph.saver_def
        saving = self._find_upstream([saver.save_tensor_name])
        restoring = self._find_upstream([saver.restore_op_name])
        used = self._find_upstream(self._list_ends())
        self._parts = {
            "saving": saving - restoring - used,  # never run
            "restoring": restoring - used,
        }
        self._only: dict[str, set[str]] = {}
        self._callers: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            self._callers[call.function].append(call)

    def find(self) -> Iterator[tuple[str, str]]:
        """Give every harmful operation: what to say of it, and its type."""
        for asset in self._assets:
            if not is_plain_name(asset.filename):
                text = f"the graph reads {show(asset.filename)}, outside of its assets"
                yield text, "asset"
        bodies: list[tuple[Any, Iterable[Any]]] = [(None, self._graph.graph_def.node)]
        bodies += [(function, function.node_def) for function in self._functions.values()]
        for function, nodes in bodies:
            for node in nodes:
                harm = self._judge(node)
                if harm is not None and not self._is_loaders_own(node, function):
                    inside = f" in the function {show(function.signature.name)}" if function else ""
                    where = f"{show(node.op, '')} ({show(node.name, '')}{inside})"
                    yield f"the graph has the operation {where}, which {harm}", node.op

    def _judge(self, node: Any) -> str | None:
        # What bears a function's name is a call of it, unless it is an operation, too.
        if node.op in self._functions and node.op not in read_operations():
            return None
        # What has neither texts nor types is judged by its type alone, as nearly all are.
        harm = read_operations().get(node.op)
        if harm == _HARMLESS and node.op not in _BY_ATTRIBUTES:
            return None
        texts = {name: value.s for name, value in node.attr.items() if value.s}
        types = {name: value.type for name, value in node.attr.items() if value.type}
        return describe_harm(node.op, texts, types)

    def _is_loaders_own(self, node: Any, function: Any) -> bool:
        if node.op in _TABLES:
            return self._reads_asset(node, function)
        part = "restoring" if node.op in _RESTORING else "saving" if node.op in _SAVING else None
        if part is None:
            return False
        if function is None:
            # What restores is run when it is loaded, and from the file that the loader says.
            own = [f"{e}:0".replace(":0:0", ":0") for e in node.input[:1]]
            named = part == "saving" or own == [self._graph.saver_def.filename_tensor_name]
            return named and node.name in self._parts[part]
        return function.signature.name in self._find_functions(part)

    def _reads_asset(self, node: Any, function: Any) -> bool:
        """Tell whether a table is filled from a file that came with the model."""
        filename = node.input[1].removesuffix(":0") if len(node.input) > 1 else ""
        if function is None:
            # Its value is replaced by the asset's path.
            assets = {asset.tensor_info.name for asset in self._assets}
            return f"{filename}:0" in assets
        name = function.signature.name
        arguments = [argument.name for argument in function.signature.input_arg]
        objects = self._graph.object_graph_def
        if filename not in arguments or name not in objects.concrete_functions:
            return False
        if any(call.body for call in self._callers.get(name, ())):
            return False
        # What it captures stands behind its own arguments, of which it has none.
        bound = objects.concrete_functions[name].bound_inputs
        number = arguments.index(filename)
        return (
            len(bound) == len(arguments)
            and 0 <= bound[number] < len(objects.nodes)
            and bool(objects.nodes[bound[number]].HasField("asset"))
        )

    def _find_functions(self, part: str) -> set[str]:
        """Find the functions that only one part of the graph runs."""
        if part not in self._only:
            concrete = self._graph.object_graph_def.concrete_functions
            # What anything else runs, and all that these run in turn.
            others = {name for name in self._functions if name not in self._callers}
            others.update(concrete)
            for name, calls in self._callers.items():
                if any(not call.body and call.node not in self._parts[part] for call in calls):
                    others.add(name)
            called = defaultdict(list)
            for name, calls in self._callers.items():
                for call in calls:
                    called[call.body].append(name)
            pending = [*others]
            while pending:
                for name in called.get(pending.pop(), ()):
                    if name not in others:
                        others.add(name)
                        pending.append(name)
            self._only[part] = set(self._callers) - others
        return self._only[part]

    def _list_ends(self) -> list[str]:
        """List what is run of the graph, saving and restoring left aside."""
        tensors = [
            tensor.name
            for signature in self._graph.signature_def.values()
            for tensor in (*signature.inputs.values(), *signature.outputs.values())
        ]
        collected = self._graph.collection_def.values()
        return [*tensors, *(name for c in collected for name in c.node_list.value)]

    def _find_upstream(self, ends: Sequence[str]) -> set[str]:
        pending = [end.removeprefix("^").partition(":")[0] for end in ends]
        found: set[str] = set()
        while pending:
            name = pending.pop()
            if name in self._nodes and name not in found:
                found.add(name)
                pending += [e.removeprefix("^").partition(":")[0] for e in self._nodes[name].input]
        return found
