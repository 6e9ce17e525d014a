"""Say what a model file would run that isn't Keras's or TensorFlow's own."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from kprobe.gate.names.bytecode import MOST_BYTES, decode_bytecode, read_bytecode
from kprobe.gate.names.judge_names import MOST_NAMED, find_name_faults
from kprobe.gate.names.tell import describe_faults
from kprobe.gate.names.walk import walk_objects
from kprobe.gate.rules import Fault

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from kprobe.gate.names.walk import Checked

_TYPE = "_type"


def list_what_runs(model_file: Checked, registered: Container[str] = ()) -> list[str]:
    """List what a model file would run, import or read, were all of it allowed.

    Args:
        model_file: The file.
        registered: The names under which the user's own classes and functions are registered.

    Returns:
        A line for each: of bytecode, what it names, which is read and not run.
    """
    return describe_faults(find_what_runs(model_file, registered))


def find_what_runs(model_file: Checked, registered: Container[str] = ()) -> list[Fault]:
    """Find what a model file would run: see `list_what_runs`.

    Returns:
        A fault for each, but for no more than `MOST_NAMED` names and as much bytecode. The last
        one says so where there may be more.
    """
    operations = model_file.unsafe_operations
    names = find_name_faults(model_file.objects, registered, has_graph=operations is not None)
    bytecode = [*islice(_find_bytecode(model_file.objects), MOST_NAMED)]
    run = [Fault("savedmodel-operations", text) for text in operations or ()]
    found = [*names, *run, *bytecode]
    if MOST_NAMED in (len(names), len(bytecode)):
        found.append(Fault("names-custom", f"more than these {MOST_NAMED:,} may run, too"))
    return found


def _find_bytecode(objects: dict[str, Any]) -> Iterator[Fault]:
    """Yield what each piece of bytecode in a config names."""
    left = MOST_BYTES
    for item in walk_objects(objects):
        for held in _list_held(item.value):
            content = decode_bytecode(held) or b""
            read = None
            if len(content) <= left:
                left -= len(content)
                read = read_bytecode(content)
            text = (
                "holds bytecode that can't be read" if read is None else f"holds bytecode: {read}"
            )
            yield Fault("code-lambda", text, item.owner)


def _list_held(value: dict[str, Any]) -> Iterator[object]:
    """Yield the values of a dict that are functions as bytecode."""
    if value.get("class_name") == "__lambda__":
        config = value.get("config")
        yield config.get("value", config) if isinstance(config, dict) else config
    for key, kind in value.items():
        if key.endswith(_TYPE) and kind == "lambda":
            yield value.get(key.removesuffix(_TYPE))
