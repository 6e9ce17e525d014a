"""Find the operations of a SavedModel's graphs that read or write files, or run code.

TensorFlow runs whatever a graph says (its SECURITY.md: "TensorFlow models are programs"). Here a
graph passes if it only turns tensors into tensors; besides, it may restore its own variables and
read its own assets, as the loader has it do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from kprobe.gate.saved_model_proto import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# What operations do by their types. From the registry of TensorFlow 2.21: all that take the name
# of a file, a directory or an address, hold Python, or end the process.
_HARMFUL = {
    "reads files": re.compile(
        r"ReadFile|MatchingFiles|LoadAndRemapMatrix|GenerateVocabRemapping|RecordInput|Skipgram"
        r"|(FixedLengthRecord|LMDB|TFRecord|TextLine|WholeFile)Reader(V2)?"
        r"|(DTensor)?Restore(Slice|V2)?|InitializeTableFromTextFile(V2)?"
        r"|(Experimental)?(CSV|FixedLengthRecord|LMDB|Load|MatchingFiles|Sql|TFRecord|TextLine)"
        r"Dataset(V\d)?|ListSnapshotChunksDataset|SnapshotChunkDataset"
        r"|Snapshot(Nested)?DatasetReader"
    ),
    "writes files": re.compile(
        r"WriteFile|Save(Slices|V2)?|MergeV2Checkpoints|DistributedSave|DumpTensor"
        r"|(Cache|Save|Snapshot)Dataset(V\d)?|(Experimental)?DatasetToTFRecord"
        r"|CreateSummary(File|Db)Writer|Debug(Identity|NanCount|NumericSummary)(V\d)?"
        r"|CalibrationStatisticsSaver"
    ),
    "runs Python": re.compile(r"(Eager)?PyFunc(Stateless)?"),
    "runs what another process or library says": re.compile(
        r"Rpc\w+|RemoteCall|DataServiceDataset(V\d)?|RegisterDataset(V\d)?|XlaCustomCall(V\d)?"
        r"|FileSystemSetConfiguration"
    ),
    "ends the process": re.compile(r"Abort"),
}
_RESTORING = {"RestoreV2", "Restore", "RestoreSlice"}
_SAVING = {"SaveV2", "SaveSlices", "Save", "MergeV2Checkpoints"}
_TABLES = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


def describe_harm(operation: str, attrs: Mapping[str, bytes]) -> str | None:
    """Say what an operation does besides turning tensors into tensors.

    Args:
        operation: Its type, e.g. "WriteFile".
        attrs: Its attributes that are text.

    Returns:
        E.g. "writes files"; None where it does nothing of the kind.
    """
    for harm, pattern in _HARMFUL.items():
        if pattern.fullmatch(operation):
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
    return None


def find_unsafe_operations(graphs: Iterable[Any]) -> list[str]:
    """Find what the graphs of a SavedModel do besides turning tensors into tensors.

    Args:
        graphs: Its graphs, as `kprobe.gate.saved_model_proto` has them.

    Returns:
        A line for each type of operation.
    """
    faults: dict[str, str] = {}
    for graph in graphs:
        for fault, kind in _Reading(graph).find():
            faults.setdefault(kind, fault)
    return list(faults.values())


class _Reading:
    """One graph and its functions, and which parts of them save and restore variables."""

    def __init__(self, graph: Any) -> None:
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
        self._callers = self._find_callers()

    def find(self) -> Iterator[tuple[str, str]]:
        """Give every harmful operation: what to say of it, and its type."""
        for asset in self._assets:
            if "/" in asset.filename or "\\" in asset.filename or asset.filename == "..":
                yield f"the graph reads {asset.filename!r}, outside of its assets", "asset"
        bodies: list[tuple[Any, Iterable[Any]]] = [(None, self._graph.graph_def.node)]
        bodies += [(function, function.node_def) for function in self._functions.values()]
        for function, nodes in bodies:
            for node in nodes:
                texts = {name: value.s for name, value in node.attr.items() if value.s}
                harm = describe_harm(node.op, texts)
                if harm is not None and not self._is_loaders_own(node, function):
                    where = f"{node.op} ({node.name})"
                    yield f"the graph has the operation {where}, which {harm}", node.op

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
        if any(caller is not None for caller, _ in self._callers[name]):
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
        found = {
            name
            for name, callers in self._callers.items()
            if callers and name not in self._graph.object_graph_def.concrete_functions
        }
        while True:
            left = {
                name
                for name in found
                if all(
                    (node in self._parts[part]) if caller is None else caller in found
                    for caller, node in self._callers[name]
                )
            }
            if left == found:
                return found
            found = left

    def _find_callers(self) -> dict[str, list[tuple[str | None, str]]]:
        """Give, for each function, the nodes that name it, each with the function it is in."""
        callers: dict[str, list[tuple[str | None, str]]] = defaultdict(list)
        bodies: list[tuple[str | None, Iterable[Any]]] = [(None, self._graph.graph_def.node)]
        bodies += [(name, function.node_def) for name, function in self._functions.items()]
        for body, nodes in bodies:
            for node in nodes:
                for value in node.attr.values():
                    for called in (value.func, *value.list.func):
                        if called.name:
                            callers[called.name].append((body, node.name))
        return callers

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
