"""Read tables of a FlatBuffer, none of whose offsets is believed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.gate.graphs.pages import OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.gate.graphs.pages import Pages

# Many offsets may lead to one table, so that a small file has tables without end.
MAX_TABLES = 200_000
MAX_NAME_BYTES = 65_536
# The same of what lies in tables: real ones have a hundred bytes each.
MAX_TAKEN_BYTES = 2**28
_FORMATS = {"b": 1, "B": 1, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4}


class BrokenError(Exception):
    """The tables aren't as they must be. Its text says why, for a message."""


class FlatBuffer:
    """A file of tables that lead to one another."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self._tables = 0
        self._read: dict[int, Table] = {}
        self._taken = 0

    def read_root(self) -> Table:
        """Read the first table.

        Raises:
            BrokenError: It isn't there.
        """
        return self.read_table(self.unpack("I", 0))

    def read_table(self, start: int) -> Table:
        """Read the table at a place.

        Raises:
            BrokenError: There is none.
        """
        self._tables += 1
        if self._tables > MAX_TABLES:
            raise BrokenError(f"has more than {MAX_TABLES:,} tables")
        if start in self._read:
            return self._read[start]
        layout = start - self.unpack("i", start)
        length, size = struct.unpack("<HH", self.take(layout, 4))
        if length < 4 or length % 2 or size < 4:
            raise BrokenError("has a table of an odd layout")
        fields = struct.unpack(f"<{(length - 4) // 2}H", self.take(layout + 4, length - 4))
        self.take(start, size)
        table = self._read[start] = Table(self, start, size, fields)
        return table

    def take(self, start: int, count: int) -> bytes:
        """Give `count` bytes from `start` on.

        Raises:
            BrokenError: They aren't inside of the file.
        """
        self._taken += count
        if self._taken > MAX_TAKEN_BYTES:
            raise BrokenError("has tables that share their contents too often")
        try:
            return self.pages.take(start, count)
        except OutsideError:
            raise BrokenError("has a table that isn't inside of the file") from None

    def unpack(self, kind: str, start: int) -> int:
        """Read a number.

        Raises:
            BrokenError: It isn't inside of the file.
        """
        value: int = struct.unpack(f"<{kind}", self.take(start, _FORMATS[kind]))[0]
        return value


@dataclass(frozen=True)
class Table:
    """A table: its fields are numbers, and places of vectors, texts and tables.

    All methods take the number of a field as its schema has it, and raise a `BrokenError` where it
    isn't inside of the file.
    """

    buffer: FlatBuffer
    start: int
    size: int
    fields: tuple[int, ...]

    def read_number(self, field: int, kind: str, missing: int = 0) -> int:
        """Read a number; `missing` where the table hasn't the field."""
        place = self._find(field, _FORMATS[kind])
        return missing if place is None else self.buffer.unpack(kind, place)

    def read_table(self, field: int) -> Table | None:
        """Read a table; None where there is none."""
        place = self._follow(field)
        return None if place is None else self.buffer.read_table(place)

    def read_bytes(self, field: int) -> bytes:
        """Read a text, or a short vector of bytes; b"" where there is none."""
        start, count = self.find_vector(field, 1)
        if count > MAX_NAME_BYTES:
            raise BrokenError(f"has a name of {count:,} bytes")
        return self.buffer.take(start, count)

    def read_numbers(self, field: int, kind: str, most: int = MAX_TABLES) -> tuple[int, ...]:
        """Read a vector of numbers; an empty one where there is none."""
        start, count = self.find_vector(field, _FORMATS[kind])
        if count > most:
            raise BrokenError(f"has a list of {count:,} numbers where {most:,} are the most")
        return struct.unpack(f"<{count}{kind}", self.buffer.take(start, count * _FORMATS[kind]))

    def list_tables(self, field: int) -> Iterator[Table]:
        """Read a vector of tables, one after another."""
        start, count = self.find_vector(field, 4)
        for place in range(start, start + 4 * count, 4):
            yield self.buffer.read_table(place + self.buffer.unpack("I", place))

    def find_vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Tell where a vector's items begin, and how many there are; (0, 0) where it isn't."""
        place = self._follow(field)
        if place is None:
            return 0, 0
        count = self.buffer.unpack("I", place)
        if place + 4 + count * item_bytes > self.buffer.pages.size:
            raise BrokenError("has a list that isn't inside of the file")
        return place + 4, count

    def _find(self, field: int, count: int) -> int | None:
        offset = self.fields[field] if field < len(self.fields) else 0
        if not offset:
            return None
        if offset + count > self.size:
            raise BrokenError("has a field that isn't inside of its table")
        return self.start + offset

    def _follow(self, field: int) -> int | None:
        place = self._find(field, 4)
        return None if place is None else place + self.buffer.unpack("I", place)
