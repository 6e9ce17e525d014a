"""Say what a model file would run that isn't Keras's or TensorFlow's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.gate.names.bytecode import decode_bytecode, read_bytecode
from kprobe.gate.names.judge_names import find_name_faults
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
    operations = model_file.unsafe_operations
    faults = find_name_faults(model_file.objects, registered, has_graph=operations is not None)
    faults += [Fault("savedmodel-operations", text) for text in operations or ()]
    return describe_faults([*faults, *find_bytecode(model_file.objects)])


def find_bytecode(objects: dict[str, Any]) -> Iterator[Fault]:
    """Yield what the bytecode in a config names.

    Args:
        objects: The configs of all objects that a loader builds.

    Returns:
        A fault for each piece of bytecode, by the rule "code-lambda".
    """
    for item in walk_objects(objects):
        for held in _list_held(item.value):
            content = decode_bytecode(held)
            read = None if content is None else read_bytecode(content)
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
