"""Read messages of protobuf in a file, field by field, without what is skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kprobe.gate.graphs.pages import OutsideError
from kprobe.gate.graphs.varint import read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.gate.graphs.pages import Pages

# A file of 2 GB may have a billion. Real models have some for each operation.
MAX_FIELDS = 1_500_000
BYTES = 2
_VARINT, _EIGHT, _FOUR = 0, 1, 5
_LONGEST_VARINT = 10
_WHOLE_BYTES = 1 << 16
_SIGN = 1 << 63


class BrokenMessageError(Exception):
    """The messages aren't as they must be. Its text says why, for a message."""


class Span(NamedTuple):
    """What a field holds that is bytes, a text or another message: where in the file it is."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.end - self.start


class RawField(NamedTuple):
    """A field of a message.

    Attributes:
        number: Its number.
        kind: How it is written: `BYTES`, or as a number.
        content: Where what it holds is.
        whole: Where all of it is.
    """

    number: int
    kind: int
    content: Span
    whole: Span


class Wire:
    """A file that is a message."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self._fields = 0

    def list_fields(self, message: Span) -> Iterator[tuple[int, int | Span]]:
        """Give the fields of a message: the number of each, and its number or where its bytes are.

        Args:
            message: Where the message is.

        Raises:
            BrokenMessageError: It isn't a message, or the file has too many fields.
        """
        start, end = message
        # What is small is read at once, and its large parts never.
        whole = self._take(start, end - start) if end - start <= _WHOLE_BYTES else None
        at = start
        while at < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise BrokenMessageError(f"has more than {MAX_FIELDS:,} fields")
            tag, at = self._read_number(at, end, whole, start)
            number, kind = tag >> 3, tag & 7
            if not number:
                raise BrokenMessageError("has a field without a number")
            if kind == _VARINT:
                value, at = self._read_number(at, end, whole, start)
                yield number, value
                continue
            if kind == BYTES:
                count, at = self._read_number(at, end, whole, start)
            elif kind in (_EIGHT, _FOUR):
                count = 8 if kind == _EIGHT else 4
            else:
                raise BrokenMessageError("has a field of an odd kind")
            if at + count > end:
                raise BrokenMessageError("has a field that is cut short")
            yield number, Span(at, at + count)
            at += count

    def list_raw(self, message: Span) -> Iterator[RawField]:
        """Give the fields of a message, each with where all of it is.

        Raises:
            BrokenMessageError: It isn't a message, or the file has too many fields.
        """
        at = message.start
        for number, value in self.list_fields(message):
            tag, place = self._read_number(at, message.end)
            if isinstance(value, int):
                _, end = self._read_number(place, message.end)
                content = Span(place, end)
            else:
                content, end = value, value.end
            yield RawField(number, tag & 7, content, Span(at, end))
            at = end

    def read(self, span: Span) -> bytes:
        """Give the bytes at a place.

        Raises:
            BrokenMessageError: The file is cut short.
        """
        return self._take(span.start, span.size)

    def read_text(self, value: int | Span, most: int = 4096) -> bytes:
        """Give a text.

        Raises:
            BrokenMessageError: It is none, or a longer one.
        """
        span = expect_span(value)
        if span.size > most:
            raise BrokenMessageError(f"has a name of {span.size:,} bytes")
        return self._take(span.start, span.size)

    def read_integers(self, value: int | Span, most: int = 4096) -> list[int]:
        """Give the numbers of a field of signed ones, of which it may have several.

        Raises:
            BrokenMessageError: It is broken, or has more than `most` bytes of them.
        """
        if isinstance(value, int):
            return [_sign(value)]
        if value.size > most:
            raise BrokenMessageError(f"has a list of numbers of {value.size:,} bytes")
        numbers, at = [], value.start
        while at < value.end:
            number, at = self._read_number(at, value.end)
            numbers.append(_sign(number))
        return numbers

    def count_varints(self, span: Span) -> int:
        """Count the numbers in a packed field: each ends with a byte below 128.

        Raises:
            BrokenMessageError: The file is cut short.
        """
        count, at, block = 0, span.start, 1 << 18
        while at < span.end:
            content = self._take(at, min(block, span.end - at))
            count += len(content.translate(None, _LARGE))
            at += len(content)
        return count

    def _read_number(
        self, at: int, end: int, whole: bytes | None = None, start: int = 0
    ) -> tuple[int, int]:
        """Read a number at a place of the file, of which `whole` is what is from `start` on."""
        if whole is None:
            start, whole = at, self._take(at, min(_LONGEST_VARINT, end - at))
        if at < end and whole[at - start] < 0x80:  # as nearly all are
            return whole[at - start], at + 1
        found = read_varint(whole, at - start, len(whole))
        if found is None:
            raise BrokenMessageError("has a number that is cut short")
        return found[0], start + found[1]

    def _take(self, start: int, count: int) -> bytes:
        try:
            return self.pages.take(start, count)
        except OutsideError:
            raise BrokenMessageError("is cut short") from None


_LARGE = bytes(range(0x80, 0x100))


def write_varint(value: int) -> bytes:
    """Write a number as protobuf does.

    Args:
        value: The number, not below 0.
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def expect_span(value: int | Span) -> Span:
    """Give what must be bytes, a text or a message.

    Raises:
        BrokenMessageError: It is a number.
    """
    if isinstance(value, int):
        raise BrokenMessageError("has a number where a message is expected")
    return value


def expect_number(value: int | Span) -> int:
    """Give what must be a number, which may be below 0.

    Raises:
        BrokenMessageError: It is bytes.
    """
    if isinstance(value, int):
        return _sign(value)
    raise BrokenMessageError("has a message where a number is expected")


def _sign(value: int) -> int:
    return value - 2 * _SIGN if value & _SIGN else value
