"""A file that is read here and there, a page at a time: what is skipped costs nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kprobe.gate.opened import OpenedFile

_PAGE_BYTES = 1 << 18
_KEPT = 32


class OutsideError(Exception):
    """What is asked for isn't inside of the file."""


class Pages:
    """Reads a file, and keeps the pages that it read last."""

    def __init__(self, opened: OpenedFile) -> None:
        self._opened = opened
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self.size = opened.size

    def take(self, start: int, count: int) -> bytes:
        """Give `count` bytes from `start` on.

        Raises:
            OutsideError: They aren't inside of the file.
        """
        if start < 0 or count < 0 or start + count > self.size:
            raise OutsideError
        number, offset = divmod(start, _PAGE_BYTES)
        taken = self._load(number)[offset : offset + count]
        if len(taken) == count:
            return taken
        rest = self._opened.read(count - len(taken), start + len(taken))
        if len(taken) + len(rest) < count:  # it was cut short meanwhile
            raise OutsideError
        return taken + rest

    def _load(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._opened.read(_PAGE_BYTES, number * _PAGE_BYTES)
            if len(self._pages) > _KEPT:
                self._pages.popitem(last=False)
        return page
