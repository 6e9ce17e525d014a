"""Find the models in a folder that is none itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.gate.files.file_type import tell_type
from kprobe.gate.opened import open_file
from kprobe.gate.opened_directory import UNREAD
from kprobe.gate.rules import Fault
from kprobe.models.file import SAVED_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = (".keras", ".h5", ".hdf5", ".tflite", ".onnx", ".pb", ".index", ".weights.json")
# What a checkpoint has beside its index.
_PART = re.compile(r"(.+)\.data-[0-9]{5}-of-[0-9]{5}", re.ASCII)
_START_BYTES = 64
# An architecture names its class at its end: Keras sorts keys.
_JSON_BYTES = 1 << 24
_OF_CONFIG = (b'"class_name"', b'"config"')


@dataclass
class FoundModels:
    """What was found in a folder.

    Attributes:
        models: The files that are models, or weights of them, and the SavedModel directories,
            sorted by their names; and directories that can't be read.
        others: How many other files there are.
        links: How many links, which aren't followed.
    """

    models: list[str] = field(default_factory=list)
    others: int = 0
    links: int = 0


def is_folder_of_models(path: str) -> bool:
    """Tell whether a path is a directory that is no SavedModel. What can't be read is none."""
    try:
        return path != "" and Path(path).is_dir() and not (Path(path) / SAVED_MODEL).is_file()
    except (OSError, ValueError):  # ValueError: a NUL byte in it
        return False


def find_models(folder: str) -> FoundModels:
    """Find the models in a folder and in those inside of it, by their endings or how they begin.

    Args:
        folder: The folder. Links in it aren't followed, and `.git` and `.cache` aren't entered.
    """
    found = FoundModels()
    pending = [folder]  # not by calls, which end where folders lie a thousand deep
    while pending:
        pending += _search(pending.pop(), found)
    found.models.sort()
    return found


def _search(folder: str, found: FoundModels) -> list[str]:
    """Look at what is in a folder, and give those inside that are to be searched, too."""
    inside = []
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError:  # it is told where it is looked at
        found.models.append(folder)
        return []
    names = {entry.name for entry in entries}
    for entry in entries:
        if entry.is_symlink():
            found.links += 1
        elif entry.is_dir(follow_symlinks=False):
            if entry.name in UNREAD:
                continue
            if is_folder_of_models(entry.path):
                inside.append(entry.path)
            else:
                found.models.append(entry.path)
        elif _is_model(entry):
            found.models.append(entry.path)
        elif not _is_part(entry.name, names):
            found.others += 1
    return inside


def _is_model(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    if name.endswith(_ENDINGS):
        return True
    return any(_begins_as_model(entry.path, name))


def _begins_as_model(path: str, name: str) -> Iterator[bool]:
    try:
        opened = open_file(path)
        if isinstance(opened, Fault):
            return
        yield (kind := tell_type(opened.read(_START_BYTES))) in ("hdf5", "tflite")
        if kind == "json" and name.endswith(".json") and opened.size <= _JSON_BYTES:
            content = opened.read(opened.size)
            yield all(key in content for key in _OF_CONFIG)
    except OSError:
        return


def _is_part(name: str, names: set[str]) -> bool:
    """Tell whether a file belongs to a checkpoint whose index lies beside it."""
    if name == "checkpoint":
        return any(each.endswith(".index") for each in names)
    match = _PART.fullmatch(name)
    return match is not None and f"{match[1]}.index" in names
