"""What is never written over: what a link leads to, and what is read meanwhile."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HINT = "choose another output"


def refuse_link(path: Path) -> None:
    """Refuse a place where there is a link: what is written would be elsewhere.

    The folders on the way to it may be links, as whoever names them knows.

    Raises:
        DumpError: There is one, whatever it leads to.
    """
    if os.path.islink(path):  # noqa: PTH114 (of a name that the system refuses, it says no)
        raise DumpError(
            f"{path}: expected a place for a file, received a link, and none is written through",
            hint=f"remove the link, or {_HINT}",
        )


def refuse_shared(path: Path) -> None:
    """Refuse a file that is written in place, and has another name under which that would show.

    Raises:
        DumpError: It has one: a hard link.
    """
    try:
        status = path.lstat()
    except OSError:
        return
    if path.is_file() and status.st_nlink > 1:
        raise DumpError(
            f"{path}: expected a file with no other name, received one with "
            f"{status.st_nlink - 1} more (hard links), which would be overwritten too",
            hint=f"remove this name, or {_HINT}",
        )


def refuse_read(places: Iterable[Path], read: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse to put a file where one is that is read, under whatever name.

    Args:
        places: Where files are to be. Those where there is nothing yet aren't looked at.
        read: The files, folders and patterns that are read.

    Raises:
        DumpError: With all that are read.
    """
    there = {found: place for place in places if (found := _identify(place)) is not None}
    if not there:
        return
    faults = {}
    for path in read:
        for file in _list_files(Path(path)):
            place = there.get(_identify(file) or (-1, -1))
            if place is not None:
                same = "" if file == place else f", the same file as {file},"
                faults[place] = f"{place}{same} is read, and isn't written over"
    if faults:
        raise DumpError(*faults.values(), hint=_HINT)


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _list_files(path: Path) -> Iterator[Path]:
    """Yield a file; those in a folder and below; or those that fit a pattern."""
    if path.is_dir():
        pending = [str(path)]
        while pending:  # not by `os.walk`, which goes down by calls until Python 3.12
            entries: list[os.DirEntry[str]] = []
            with contextlib.suppress(OSError), os.scandir(pending.pop()) as scanned:
                entries += scanned
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    yield Path(entry.path)
    elif _identify(path) is not None:
        yield path
    elif glob.has_magic(str(path)):
        yield from map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207
