"""What the user gives of classes and functions of his own, before anything is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from kprobe.errors import Hint, ModelError, Setting
from kprobe.importing import find_file, split_source

if TYPE_CHECKING:
    from pathlib import Path

_Part: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
# What users may give: a Python file or module, classes and functions by name, or several of both.
GivenObjects: TypeAlias = "_Part | Sequence[_Part]"

_EXPECTED = (
    "custom_objects: expected Python files, modules, or classes and functions by name, received"
)
_BY_NAME = Hint("write ", Setting("custom_objects", "FILE.py", python='{"Scale": Scale}'))


@dataclass(frozen=True)
class CustomObjects:
    """The user's own classes and functions, as they were given. Nothing is imported yet.

    Attributes:
        parts: Python files, which end with `.py`, and modules, of the working directory too, or one
            name of these, `FILE.py:NAME`; and classes and functions by the names that models know
            them under. Of two with one name the later one counts.
    """

    parts: tuple[str | Mapping[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    @property
    def sources(self) -> list[str]:
        """The files and modules, with the name that is meant of one."""
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def names(self) -> list[str]:
        """The names of the classes and functions that were given themselves."""
        return [name for part in self.parts if isinstance(part, Mapping) for name in part]

    def describe(self) -> list[str]:
        """Say what was given, as a record of it: "mine.py", "Scale: package.layers.Scale"."""
        lines = []
        for part in self.parts:
            if isinstance(part, str):
                lines.append(part)
            else:
                lines += [f"{name}: {_full_name(value)}" for name, value in part.items()]
        return lines

    def list_files(self) -> list[Path]:
        """List the files they are defined in, once each; those of modules that are imported."""
        modules = [
            split_source(part)[0]
            if isinstance(part, str)
            else str(getattr(value, "__module__", type(value).__module__))
            for part in self.parts
            for value in ([part] if isinstance(part, str) else part.values())
        ]
        files = (find_file(module) for module in modules)
        return list(dict.fromkeys(file for file in files if file is not None))


def read_custom_objects(given: GivenObjects | CustomObjects) -> CustomObjects:
    """Read what the user gives for a model's own classes and functions.

    Args:
        given: A file or module; classes and functions by name; or a sequence of these.

    Raises:
        ModelError: It is something else; all faults are reported.
    """
    if isinstance(given, CustomObjects):
        return given
    if isinstance(given, str | os.PathLike | Mapping):
        given = [given]
    elif not isinstance(given, Sequence):
        raise ModelError(f"{_EXPECTED} {_name_type(given)}")
    parts: list[str | Mapping[str, Any]] = []
    faults: list[str] = []
    hint = None
    for part in given:
        if isinstance(part, Mapping):
            if wrong := _check_mapping(part):
                faults += wrong
                hint = _BY_NAME
            if part:
                parts.append(dict(part))
        elif not isinstance(part, str | os.PathLike):
            faults.append(f"{_EXPECTED} {_name_type(part)}")
        elif text := os.fspath(part):
            parts.append(text)
        else:
            faults.append(f"{_EXPECTED} an empty text")
    if faults:
        raise ModelError(*faults, hint=hint)
    return CustomObjects(tuple(parts))


def make_missing_error(source: str) -> ModelError:
    """Make the error that says that there is no such file or module."""
    if source.endswith(".py"):
        return ModelError(f"custom objects: there is no file {source}")
    own = source if source.isidentifier() else "NAME"
    return ModelError(
        f"custom objects: there is no module {source}",
        hint=Hint(
            "give a file, or a class or function of one: `",
            Setting("custom_objects", f"FILE.py:{own}"),
            "`",
        ),
    )


def _full_name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _name_type(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _check_mapping(mapping: Mapping[Any, Any]) -> list[str]:
    faults = []
    for name, value in mapping.items():
        if not isinstance(name, str) or not name:
            faults.append(f"custom_objects: expected names as texts, received {name!r}")
        elif not callable(value):
            faults.append(
                f"custom_objects: {name}: expected a class or a function, received "
                f"{type(value).__name__}"
            )
    return faults
