"""What a test looks at to know that no other file was opened."""

from __future__ import annotations

import ctypes
import os
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_OPENED = 0x20


class Watch:
    """Which files of a directory are opened, by whomever, as the system tells it (inotify).

    Args:
        directory: The directory.
    """

    def __init__(self, directory: Path) -> None:
        system = ctypes.CDLL(None, use_errno=True)
        self._descriptor = system.inotify_init1(os.O_NONBLOCK)
        assert self._descriptor >= 0
        assert system.inotify_add_watch(self._descriptor, os.fsencode(directory), _OPENED) >= 0

    def names(self) -> set[str]:
        """Give the names of those that were opened since it was last asked."""
        try:
            told = os.read(self._descriptor, 65_536)
        except BlockingIOError:
            return set()
        return {name.decode() for name in re.findall(rb"[\w.-]+\.(?:h5|bin)", told)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
