"""Lines of a text file, each a text."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.formats.encoded import EncodedRows
from kprobe.inputs.sources.container import FileContainer

if TYPE_CHECKING:
    from pathlib import Path

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.sources.source import Source

KEY = "text"
_BLOCK = 1 << 20  # bytes
# A line, or a row of a table: a file may be a hole of many gigabytes.
MOST_IN_LINE = 16 << 20  # bytes
UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextFile(FileContainer):
    """A text file, whose lines are the only array in it: `lines.txt:text`."""

    def keys(self) -> list[str]:
        """Name the lines."""
        return [KEY]

    def open(self, key: str) -> EncodedRows:
        """Find where the lines begin.

        Raises:
            InputError: There is no such key, or the text isn't UTF-8.
        """
        if key != KEY:
            raise self.refuse(f"no '{key}'", key)
        return _Lines(self._path, f"{self.label}:{key}", self._identify(key))


class _Lines(EncodedRows):
    is_text = True

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        self._identity = identity
        self.label = label
        self._file = path.open("rb", buffering=0)
        try:
            self._begins = _find_lines(self._file, _check_text(self._file, label))
        except BaseException:
            self._file.close()
            raise
        self.rows = len(self._begins) - 1

    def identity(self) -> dict[str, Any]:
        return self._identity

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Source:
        if model_input is not None and model_input.dtype != "string":
            raise InputError(
                f"input '{model_input.name}' expects {model_input.dtype}, received lines of text "
                f"from {self.label}"
            )
        return super().fit(model_input, options)

    def fetch(self, start: int, stop: int) -> list[bytes]:
        begin, end = int(self._begins[start]), int(self._begins[stop])
        content = os.pread(self._file.fileno(), end - begin, begin)
        lines = content.removesuffix(b"\n").split(b"\n") if content else []
        if len(lines) != stop - start:
            raise InputError(f"{self.label}: it changed while it was read")
        return [line.removesuffix(b"\r") for line in lines]

    def close(self) -> None:
        self._file.close()


def _check_text(file: Any, label: str) -> int:
    """Check that a file is UTF-8, and name the line that isn't.

    Returns:
        The bytes of the mark that it begins with.

    Raises:
        InputError: It isn't, or a line is too long.
    """
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    start = file.read(len(UTF8_MARK))
    if start.startswith(_UTF16_MARKS):
        raise InputError(f"{label}: expected text in UTF-8, received UTF-16")
    file.seek(0)
    length = 0
    while True:
        block = file.read(_BLOCK)
        length = len(block) - block.rfind(b"\n") - 1 + (0 if b"\n" in block else length)
        if length > MOST_IN_LINE:
            raise too_long(label, line + block.count(b"\n"))
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise InputError(
                f"{label}: expected text in UTF-8, and line {line:,} isn't",
                hint="`iconv -t UTF-8` changes the encoding",
            ) from None
        if not block:
            return len(start) if start == UTF8_MARK else 0
        line += block.count(b"\n")


def too_long(label: str, line: int) -> InputError:
    """Return the error that a line has too many bytes."""
    return InputError(
        f"{label}: expected {MOST_IN_LINE:,} bytes a line at most, line {line:,} has more"
    )


def _find_lines(file: Any, start: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give where each line begins, and where the last one ends, in bytes."""
    file.seek(start)
    begins = [np.array([start], np.int64)]
    place = start
    last = b"\n"
    while block := file.read(_BLOCK):
        begins.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + place + 1)
        place += len(block)
        last = block[-1:]
    found = np.concatenate(begins)
    return found if last == b"\n" else np.append(found, place)
