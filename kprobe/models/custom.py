"""Import the user's own classes and functions, for the loaders of models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kprobe.errors import KprobeError, ModelError
from kprobe.importing import import_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_NOT_CUSTOM = {"keras", "tf_keras", "tensorflow", "numpy", "builtins", "typing", "None"}


def find_custom_objects(sources: Sequence[str]) -> dict[str, Any]:
    """Import Python files and modules, and find the classes and functions in them.

    Args:
        sources: Files, which end with `.py`, and modules, of the working directory too.

    Returns:
        The classes and functions by every name that a model may know them under: a loader that
        is given these need not find the module that they were saved from.

    Raises:
        ModelError: One can't be imported.
    """
    objects: dict[str, Any] = {}
    for source in sources:
        objects |= _find_objects(_import_source(source))
    return objects


def _import_source(source: str) -> ModuleType:
    try:
        return import_source(source)
    except KprobeError as error:
        raise ModelError(
            *(f"custom objects: {fault}" for fault in error.faults), hint=error.remedy
        ) from None
    except SystemExit as error:
        raise ModelError(
            f"custom objects: {source} ends the program when it is imported: "
            f"sys.exit({'' if error.code is None else repr(error.code)})",
            hint="put what a script does under `if __name__ == '__main__':`",
        ) from error
    except Exception as error:
        raise ModelError(
            f"custom objects: {source} can't be imported: {type(error).__name__}: {error}"
        ) from error


def _find_objects(module: ModuleType) -> dict[str, Any]:
    """The classes and functions of a module, by every name a model may know them under."""
    objects: dict[str, Any] = {}
    for name, value in vars(module).items():
        owner = str(getattr(value, "__module__", None)).partition(".")[0]
        if name.startswith("_") or not callable(value) or owner in _NOT_CUSTOM:
            continue
        objects[name] = value
        registered = _registered_name(value)
        if registered:
            objects[registered] = value
    return objects


def _registered_name(value: Any) -> str | None:
    """What `register_keras_serializable` called it, in either Keras: "Package>Name"."""
    for library in ("keras", "tf_keras"):
        module = sys.modules.get(library)
        name = module.saving.get_registered_name(value) if module else None
        if name and ">" in name:
            return str(name)
    return None
