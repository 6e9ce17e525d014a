"""Find what is wrong with a SavedModel directory, or a frozen graph, before anything loads it."""

from __future__ import annotations

import re
import stat
from collections import Counter
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from kprobe.gate.graphs.checkpoint import find_variable_faults
from kprobe.gate.graphs.checkpoint_index import MAX_INDEX_BYTES
from kprobe.gate.graphs.graph_structure import (
    count_operations,
    find_count_fault,
    find_graph_faults,
)
from kprobe.gate.graphs.operations import find_calls, find_operation_faults
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.graphs.saved_networks import find_saved_network_faults
from kprobe.gate.graphs.slim_graph import parse_frozen_graph, parse_slim
from kprobe.gate.graphs.wire import BrokenMessageError
from kprobe.gate.opened import describe_mode
from kprobe.gate.opened_checkpoint import DATA, INDEX
from kprobe.gate.opened_directory import MAX_DEPTH, MAX_MEMBERS, UNREAD
from kprobe.gate.rules import RULES, Fault
from kprobe.gate.shown import is_plain_name, show

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from kprobe.gate.opened import OpenedFile
    from kprobe.gate.opened_directory import Member, OpenedDirectory

# protobuf's own limit.
MAX_GRAPH_BYTES = 2**31 - 1
_MAX_METADATA_BYTES = 2**28
_MAX_SMALL_BYTES = 2**20
_MAX_OBJECTS = 500_000
_NO_GRAPH = "is not a model file: neither a .keras archive nor HDF5, nor a whole frozen graph"
_GRAPH = "saved_model.pb"
_TEXT = "saved_model.pbtxt"
_METADATA = "keras_metadata.pb"
_VARIABLES = "variables/variables"
# What TensorFlow and Keras write, and their loaders read, with the largest size of each.
_FILES = {
    _GRAPH: MAX_GRAPH_BYTES,
    _METADATA: _MAX_METADATA_BYTES,
    f"{_VARIABLES}{INDEX}": MAX_INDEX_BYTES,
    "fingerprint.pb": _MAX_SMALL_BYTES,
    "debug/saved_model_debug_info.pb": _MAX_METADATA_BYTES,
    "variables/checkpoint": _MAX_SMALL_BYTES,
}
_FOLDERS = {"assets", "assets.extra", "debug", "variables"}
# The files in these are the model's own, named as it likes.
_OWN = re.compile(r"(assets|assets\.extra)/.")
# What people, their tools and collections of models put beside it, and no loader reads.
_BESIDE = re.compile(
    r"(README|LICENSE|NOTICE)(\.md|\.txt)?|model_card\.md|tfhub_module\.pb|config\.json"
    r"|metadata\.json|model\.png|history\.json|\.gitattributes|\.gitignore"
    r"|(.*/)?(\.DS_Store|Thumbs\.db|desktop\.ini)",
    re.ASCII,
)


def find_saved_model_faults(
    directory: OpenedDirectory, allow: Container[str] = (), counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find what is wrong with a SavedModel.

    Args:
        directory: Its directory.
        allow: Kinds of `kprobe.gate.rules.KINDS` that aren't told.
        counts: It is told how many "operations" it has, those of functions too, and "weights", and
            "weight_bytes".
    """
    counts = Counter() if counts is None else counts
    members = directory.members
    if len(members) > MAX_MEMBERS:
        yield Fault("savedmodel-members", f"has more than {MAX_MEMBERS:,} files")
        return
    strays = [fault for member in members if (fault := _judge_member(member)) is not None]
    yield from strays
    if strays:
        return
    yield from find_variable_faults(directory, _VARIABLES, counts)
    graph = directory.open_member(_GRAPH)
    if graph is None:
        yield Fault("savedmodel-damaged", f"has no {_GRAPH}")
        return
    yield from _find_content_faults(graph, allow, counts)
    metadata = directory.open_member(_METADATA)
    if metadata is None:
        return
    told = _parse("SavedMetadata", metadata)
    if told is None:
        yield Fault("savedmodel-damaged", f"has a {_METADATA} that can't be read")
        return
    yield from find_saved_network_faults((node.identifier, node.metadata) for node in told.nodes)


def find_frozen_graph_faults(
    opened: OpenedFile, allow: Container[str] = (), counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find what is wrong with a frozen graph, `.pb`.

    Args:
        opened: The file.
        allow: Kinds of `kprobe.gate.rules.KINDS` that aren't told.
        counts: It is told how many "operations" it has, those of functions, too.
    """
    counts = Counter() if counts is None else counts
    if opened.size > MAX_GRAPH_BYTES:
        yield Fault("savedmodel-size", f"takes {opened.size:,} bytes, above protobuf's limit")
        return
    if _is_text(opened.read(4096)):
        yield Fault("savedmodel-damaged", "is a graph as text, which isn't read")
        return
    try:
        graph = parse_frozen_graph(opened)
    except (DecodeError, RecursionError):
        yield Fault("savedmodel-damaged", _NO_GRAPH)
        return
    except BrokenMessageError as error:
        yield Fault("savedmodel-damaged", str(error))
        return
    yield from _find_faults_of_graphs([graph], allow, counts)


def _judge_member(member: Member) -> Fault | None:
    """Say what is wrong with something that lies in the directory."""
    name = member.name
    if stat.S_ISDIR(member.mode):
        if name.count("/") + 1 >= MAX_DEPTH:
            text = f"has directories inside of directories, down to {show(name)}"
            return Fault("savedmodel-members", text)
        if name in _FOLDERS or name in UNREAD or _OWN.match(name):
            return None
        return Fault(
            "savedmodel-members", f"has the directory {show(name)}, which isn't a part of it"
        )
    if not stat.S_ISREG(member.mode):
        text = f"has {show(name)}: expected a regular file, received {describe_mode(member.mode)}"
        return Fault("savedmodel-members", text)
    if name in (_TEXT, "saved_model.cpb"):
        return Fault("savedmodel-members", f"has {name}, which isn't read: only {_GRAPH} is")
    if name in _FILES:
        if member.size <= _FILES[name]:
            return None
        text = f"has a {name} of {member.size:,} bytes, above the limit of {_FILES[name]:,}"
        return Fault("savedmodel-size", text)
    if _is_data(name) or _OWN.match(name) or _BESIDE.fullmatch(name):
        return None
    return Fault("savedmodel-members", f"has the file {show(name)}, which isn't a part of it")


def _is_data(name: str) -> bool:
    return name.startswith(_VARIABLES) and bool(DATA.fullmatch(name.removeprefix(_VARIABLES)))


def _find_content_faults(
    opened: OpenedFile, allow: Container[str], counts: Counter[str]
) -> Iterator[Fault]:
    """Find faults of the message that a SavedModel is."""
    try:
        saved = parse_slim("SavedModel", opened)
    except BrokenMessageError as error:
        yield Fault("savedmodel-damaged", str(error))
        return
    except (DecodeError, RecursionError):
        saved = None
    if saved is None or not saved.meta_graphs:
        yield Fault("savedmodel-damaged", f"has a {_GRAPH} that isn't a whole SavedModel")
        return
    for graph in saved.meta_graphs:
        for asset in graph.asset_file_def:
            if not is_plain_name(asset.filename):
                text = f"reads {show(asset.filename)}, outside of its assets"
                yield Fault("savedmodel-members", text)
                return
    yield from _find_faults_of_graphs(saved.meta_graphs, allow, counts)
    for graph in saved.meta_graphs:
        yield from _find_object_faults(graph)
        # Before TensorFlow 2.5, they told of Keras themselves.
        own = (node.user_object for node in graph.object_graph_def.nodes)
        yield from find_saved_network_faults((each.identifier, each.metadata) for each in own)


def _find_faults_of_graphs(
    graphs: Any, allow: Container[str], counts: Counter[str]
) -> Iterator[Fault]:
    """Give what is wrong with graphs: each thing once, and what is allowed not at all."""
    told = set()
    for graph in graphs:
        if (fault := find_count_fault(graph)) is not None:
            yield fault
            return
        counts["operations"] += count_operations(graph)
        calls = find_calls(graph)
        found = [*find_graph_faults(graph, calls)]
        # What runs itself may be without an end for who follows it.
        if not found:
            found += find_operation_faults(graph, calls)
        for fault in found:
            kind = RULES[fault.rule].kind
            if (kind is None or kind not in allow) and fault.text not in told:
                told.add(fault.text)
                yield fault


def _find_object_faults(graph: Any) -> Iterator[Fault]:
    """Find objects that refer to what isn't there."""
    objects = graph.object_graph_def
    count = len(objects.nodes)
    if count > _MAX_OBJECTS:
        yield Fault("savedmodel-size", f"has {count:,} objects, above {_MAX_OBJECTS:,}")
        return
    functions = {function.signature.name for function in graph.graph_def.library.function}
    if lost := next((name for name in objects.concrete_functions if name not in functions), None):
        yield Fault("savedmodel-functions", f"has the function {show(lost)}, which isn't there")
    references = [
        number
        for function in objects.concrete_functions.values()
        for number in function.bound_inputs
    ]
    references += [child.node_id for node in objects.nodes for child in node.children]
    if any(not 0 <= number < count for number in references):
        yield Fault("savedmodel-damaged", "has objects that refer to ones that aren't there")
    assets = len(graph.asset_file_def)
    for node in objects.nodes:
        if node.HasField("asset") and not 0 <= node.asset.asset_file_def_index < assets:
            yield Fault("savedmodel-damaged", "has an asset that isn't on its list")
            return


def _parse(message: str, opened: OpenedFile) -> Any:
    try:
        return parse(message, opened.read(opened.size))
    except (DecodeError, RecursionError):
        return None


def _is_text(start: bytes) -> bool:
    """Tell a graph as text, `.pbtxt`: it begins with a field's name."""
    return bool(re.match(rb"\s*(#.*\s*)*(node|library|versions|meta_graphs)\s*[:{]", start))
