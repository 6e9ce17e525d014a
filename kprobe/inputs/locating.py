"""What a text such as `left=pairs.h5:/left` points at."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.inputs.images.finding import is_glob
from kprobe.inputs.python.datasets import is_saved

if TYPE_CHECKING:
    from collections.abc import Collection

_MODULE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
_KEYED_FILE = re.compile(
    r"(.+\.(?:h5|hdf5|npz|npy|tfrecords?|parquet|csv|tsv|txt|py)):(.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Location:
    """Where samples are.

    Attributes:
        text: The text as the user gave it.
        name: The model's input they are for, or None if the text doesn't say.
        path: The file, or None for standard input.
        key: Which array of the file, or None if the text doesn't say.
        function: For samples that code gives, its name; the path is that of the code, or the
            name of its module.
        written: The path as the user wrote it, where there is no such file: an address of the
            web isn't one.
    """

    text: str
    name: str | None
    path: Path | None
    key: str | None
    function: str | None = None
    written: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """What messages and row identities call the file."""
        return "stdin" if self.path is None else self.path.name or str(self.path)

    @property
    def source(self) -> str:
        """The file as the user wrote it."""
        return "-" if self.path is None else str(self.path)


def parse_location(text: str, input_names: Collection[str]) -> Location:
    """Read `SRC` or `NAME=SRC`: a file, a file and a key, code and a function in it, or `-`.

    Names of files and of datasets may hold "=" and ":" themselves: what exists as a file wins
    over any reading of the punctuation, then what is one of the model's inputs.

    Args:
        text: What the user gave.
        input_names: The names of the model's inputs.
    """
    return _find_code(_split(text, input_names))


def locate(source: str, name: str | None) -> Location:
    """Read `SRC` alone, for the input of that name if there is one."""
    text = source if name is None else f"{name}={source}"
    return _find_code(_locate(text, name, source))


def _find_code(found: Location) -> Location:
    if found.path is None:
        return found
    if found.path.suffix == ".py":
        return replace(found, key=None, function=found.key or "")
    module = _MODULE.fullmatch(str(found.path))
    if module and found.key is None and not os.path.lexists(found.path):
        return replace(found, path=Path(module[1]), function=module[2])
    return found


def _split(text: str, input_names: Collection[str]) -> Location:
    existing = _split_existing(text)
    if existing is not None:
        return Location(text, None, *existing)
    return _locate(text, *_split_name(text, input_names))


def _locate(text: str, name: str | None, source: str) -> Location:
    if source == "-":
        return Location(text, name, None, None)
    existing = _split_existing(source) or _split_existing(os.path.expanduser(source))  # noqa: PTH111
    if existing is not None:
        return Location(text, name, *existing)
    keyed = _KEYED_FILE.fullmatch(source)
    written, key = (keyed[1], keyed[2] or None) if keyed else (source, None)
    return Location(text, name, Path(written), key, written=written)


def _split_existing(text: str) -> tuple[Path, str | None] | None:
    """Split "file:key" where there is such a file, at the first ":" where there is one."""
    if not text or "\0" in text:
        return None
    if os.path.lexists(text):
        return Path(text), None
    for colon in re.finditer(":", text):
        path = Path(text[: colon.start()])
        if path.is_file() or is_saved(path) or (is_glob(path) and any(glob.iglob(str(path)))):  # noqa: PTH207
            return path, text[colon.end() :] or None
    return None


def _split_name(text: str, input_names: Collection[str]) -> tuple[str | None, str]:
    for equals in re.finditer("=", text):
        if text[: equals.start()] in input_names:
            return text[: equals.start()], text[equals.end() :]
    name, equals_sign, source = text.partition("=")
    if equals_sign and name and os.sep not in name:  # with a separator it is a path, misspelt
        return name, source
    return None, text
