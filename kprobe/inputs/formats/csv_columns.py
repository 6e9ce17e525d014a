"""Columns of CSV files, which are texts or numbers, as the input takes them."""

from __future__ import annotations

import csv
import io
import os
import threading
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.encoded import EncodedRows, Texts
from kprobe.inputs.formats.lines import MOST_IN_LINE, UTF8_MARK, too_long
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.value_rows import Values
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.sources.source import Source

_DELIMITERS = ",;\t|"
_limit = threading.Lock()


class CsvFile(FileContainer):
    """The columns of a CSV file, whose first line names them.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the column appended.

    Raises:
        InputError: It isn't UTF-8 or CSV, or its first line names no columns.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        super().__init__(path, label, identity)
        self._delimiter, self._names = _read_names(path, label)
        self._begins: npt.NDArray[np.int64] | None = None
        if not any(self._names) or all(map(_is_number, self._names)):
            received = self._delimiter.join(self._names)[:80]
            raise InputError(
                f"{label}: expected the names of its columns in the first line, received "
                f"{received!r}"
            )
        if len({*self._names}) < len(self._names):
            raise InputError(
                f"{label}: expected columns of different names, received {list_names(self._names)}"
            )

    def keys(self) -> list[str]:
        """List the columns."""
        return self._names

    def open(self, key: str) -> EncodedRows:
        """Open a column.

        Raises:
            InputError: There is no such column, or the file isn't CSV.
        """
        if key not in self._names:
            raise self.refuse(f"no column '{key}'", key)
        if self._begins is None:
            self._begins = self._find_records()
        records = _Records(self._path, self._delimiter, self._begins)
        label = f"{self.label}:{key}"
        return _Column(records, self._names.index(key), label, self._identify(key))

    def _find_records(self) -> npt.NDArray[np.int64]:
        """Give where each record begins, and where the last one ends, in bytes."""
        begins = array("q")
        with self._path.open("rb") as file:
            # One that has line breaks in it is several lines.
            lines = _Decoded(file, self.label)
            records = csv.reader(lines, delimiter=self._delimiter, strict=True)
            with _telling(self.label, records), _long_cells():
                next(records)
                begin = lines.place
                for cells in records:
                    if len(cells) not in (0, len(self._names)):
                        raise InputError(
                            f"{self.label}: expected {len(self._names)} cells in a line, received "
                            f"{len(cells)} in line {records.line_num}"
                        )
                    if cells:
                        begins.append(begin)
                    begin = lines.place
            return np.array([*begins, lines.place], np.int64)


def _read_names(path: Path, label: str) -> tuple[str, list[str]]:
    """Read the first record with the delimiter that makes most cells of it."""
    found: dict[str, list[str]] = {}
    fault = None
    for delimiter in _DELIMITERS:
        with path.open("rb") as file:
            records = csv.reader(_Decoded(file, label), delimiter=delimiter, strict=True)
            try:
                with _telling(label, records), _long_cells():
                    found[delimiter] = next(records, [])
            except InputError as error:
                fault = fault or error
    if fault is not None and not found:
        raise fault
    best = max(found, key=lambda delimiter: len(found[delimiter]))
    return best, found[best]


@contextmanager
def _telling(label: str, records: Any) -> Iterator[None]:
    """Tell what is wrong with records that are read."""
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(f"{label}: expected text in UTF-8, received other") from None
    except csv.Error as error:
        raise InputError(
            f"{label}: expected CSV, and line {max(records.line_num, 1)} isn't: {error}"
        ) from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Read cells beyond Python's limit of 131,072 characters, which is one for the process.

    Line breaks may be in them, so a cell may be longer than a line.
    """
    with _limit:
        before = csv.field_size_limit(MOST_IN_LINE)
        try:
            yield
        finally:
            csv.field_size_limit(before)


class _Decoded:
    """The lines of a file, and how far it was read, in bytes."""

    def __init__(self, file: Any, label: str) -> None:
        self._file = file
        self._label = label
        self.place = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(iter(lambda: self._file.readline(MOST_IN_LINE + 1), b""), 1):
            if len(line) > MOST_IN_LINE:
                raise too_long(self._label, number)
            content = line.removeprefix(UTF8_MARK) if not self.place else line
            self.place += len(line)
            yield content.decode()


class _Records:
    """The records of a file, read at their places."""

    def __init__(self, path: Path, delimiter: str, begins: npt.NDArray[np.int64]) -> None:
        self._file = path.open("rb", buffering=0)
        self._delimiter = delimiter
        self._begins = begins

    def __len__(self) -> int:
        return len(self._begins) - 1

    def read(self, start: int, stop: int) -> list[list[str]]:
        begin, end = int(self._begins[start]), int(self._begins[stop])
        text = os.pread(self._file.fileno(), end - begin, begin).decode(errors="replace")
        records = csv.reader(io.StringIO(text, newline="\n"), delimiter=self._delimiter)
        with _long_cells():
            return [cells for cells in records if cells]

    def close(self) -> None:
        self._file.close()


class _Column(EncodedRows):
    def __init__(self, records: _Records, place: int, label: str, identity: dict[str, Any]) -> None:
        self._records = records
        self._place = place
        self._identity = identity
        self.label = label
        self.rows = len(records)

    def identity(self) -> dict[str, Any]:
        return self._identity

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Source:
        if model_input is not None:
            has_numbers = model_input.dtype != "string"
        else:
            has_numbers = bool(self.rows) and _is_number(self.cells(0, 1)[0])
        return _Numbers(self, model_input).fit(model_input, options) if has_numbers else Texts(self)

    def cells(self, start: int, stop: int) -> list[str]:
        records = self._records.read(start, stop)
        if len(records) != stop - start or any(len(cells) <= self._place for cells in records):
            raise InputError(f"{self.label}: it changed while it was read")
        return [cells[self._place] for cells in records]

    def fetch(self, start: int, stop: int) -> list[bytes]:
        return [cell.encode() for cell in self.cells(start, stop)]

    def close(self) -> None:
        self._records.close()


class _Numbers(Values):
    def __init__(self, column: _Column, model_input: ModelInput | None) -> None:
        self._column = column
        self.label = column.label
        self.rows = column.rows
        target = None if model_input is None else model_input.numpy_dtype
        whole = target is not None and target.kind in "iub"
        if model_input is None and self.rows:
            whole = not set(".eEnN") & set(column.cells(0, 1)[0])
        self._dtype = np.dtype("int64" if whole else "float64")

    def identity(self) -> dict[str, Any]:
        return self._column.identity()

    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        return [self._read_value(cell.strip()) for cell in self._column.cells(start, stop)]

    def close(self) -> None:
        self._column.close()

    def _read_value(self, cell: str) -> npt.NDArray[Any] | str:
        if not cell:
            return "the cell is empty"
        whole = self._dtype.kind == "i"
        try:
            if "_" in cell:  # Python's own spelling of numbers
                raise ValueError
            return np.array(int(cell) if whole else float(cell), self._dtype)
        except (ValueError, OverflowError):
            return f"expected a {'whole ' if whole else ''}number, received {cell!r}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
