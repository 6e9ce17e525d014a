"""Locked files: which only one process at a time may rename, publish or remove."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

# A lock of the open file (fcntl_locking(2)), not flock: HDF5 takes flock when it reads, and would
# refuse to open a dump that is being written.
_LOCK = "hhqqi4x"
_WHOLE_FILE = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
# More often in a row no two processes meet; a filesystem that numbers files anew each time might.
_MOST_TRIES = 1000


class LockedFile:
    """A file that this process alone may rename, publish or remove, until it is closed.

    The rule of all processes is: nobody does so without holding the lock of the very file that
    is at the path then, and for a rename the lock of the file that is replaced by it, too.

    Attributes:
        file: Its descriptor, open for reading and writing.
        path: Where it is.
    """

    def __init__(self, file: int, path: Path) -> None:
        self.file = file
        self.path = path

    def is_in_place(self) -> bool:
        """Tell whether it still is what its path leads to."""
        return is_at(self.file, self.path)

    def check_in_place(self) -> None:
        """Check that it still is what its path leads to.

        Raises:
            DumpError: It was taken away.
        """
        check_at(self.file, self.path)

    def rename(self, path: Path) -> None:
        """Give it another name, in one step; a file that has that name is replaced.

        Raises:
            OSError: The system refuses.
            DumpError: It was taken away.
        """
        self.check_in_place()
        self.path.replace(path)
        self.path = path

    def remove(self) -> None:
        """Remove it, if it is still there.

        Raises:
            OSError: The system refuses.
        """
        if self.is_in_place():
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock up."""
        os.close(self.file)


def check_at(file: int, path: Path) -> None:
    """Check that an open file still is what a path leads to.

    Raises:
        DumpError: It was removed or renamed.
    """
    if not is_at(file, path):
        raise DumpError(f"{path}: was removed or renamed while it was written")


def is_at(file: int, path: Path) -> bool:
    """Tell whether an open file is what a path leads to."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def lock(path: Path, *, create: bool = False, wait: bool = False) -> LockedFile | None:
    """Open a file for this process alone.

    Args:
        path: The file.
        create: Whether to make it, if there is none.
        wait: Whether to wait until no other process has it.

    Returns:
        The file; None if there is none.

    Raises:
        OSError: It can't be opened.
        DumpError: Another process has it.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    for _ in range(_MOST_TRIES):
        try:
            file = os.open(path, flags, 0o666)
        except FileNotFoundError:
            if create:
                raise
            return None
        try:
            _take(file, path, wait=wait)
        except BaseException:
            os.close(file)
            raise
        if is_at(file, path):
            return LockedFile(file, path)
        # Between opening and locking, another process gave it another name, or removed it.
        os.close(file)
    raise in_use(path)


def _take(file: int, path: Path, *, wait: bool) -> None:
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise in_use(path) from error
        # Else a filesystem without locks.


def refuse_locked(path: Path) -> None:
    """Refuse a file that another process has locked, as far as that can be told.

    Raises:
        DumpError: One has.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        if struct.unpack(_LOCK, found)[0] != fcntl.F_UNLCK:
            raise in_use(path)


def in_use(path: Path) -> DumpError:
    """Return the error that another process has a file."""
    return DumpError(
        f"{path}: another process is writing it", hint="wait for it, or choose another output"
    )
