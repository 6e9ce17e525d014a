"""The partial file that a dump is until it is complete: taken, locked and renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

from kprobe.dumps.space import lack_of_space
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path


def claim(path: Path, partial: Path, *, overwrite: bool) -> int:
    """Open the partial file for this process alone, its old content untouched.

    Returns:
        Its descriptor, open for writing. Closing it gives up the claim.

    Raises:
        DumpError: The dump exists already, its place can't be written to, or another process
            writes there.
    """
    check_output(path, overwrite=overwrite)
    try:
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise explain(error, partial) from error
    try:
        _lock(file, partial)
        _refuse_existing(path, overwrite=overwrite)
    except BaseException:
        os.close(file)
        raise
    return file


def check_output(path: Path, *, overwrite: bool) -> None:
    """Check that a dump can have this name, before there is anything to write.

    Raises:
        DumpError: The dump exists already, or there is no directory for it.
    """
    _refuse_existing(path, overwrite=overwrite)
    if not path.parent.is_dir():
        raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")


def publish(partial: Path, path: Path, *, overwrite: bool) -> None:
    """Give a complete partial file its name, in one step that a crash can't cut in half.

    Raises:
        DumpError: There is a file of that name, which mustn't be overwritten, or the system
            refuses.
    """
    _refuse_existing(path, overwrite=overwrite)
    try:
        partial.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> DumpError:
    """Return the system's error in writing to a file as one line for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and path.exists():
        return lack_of_space(path, path.stat().st_size)
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "write to a directory of your own"
    return DumpError(f"{path}: can't be written: {error.strerror or error}", hint=hint)


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise DumpError(f"{path}: expected the name of a file, and it is a directory")
    if path.exists() and not overwrite:
        raise DumpError(f"{path}: exists already", hint="replace it with --overwrite")


def _lock(file: int, partial: Path) -> None:
    # A lock of the open file (fcntl_locking(2)), not flock: HDF5 takes flock when it reads, and
    # would refuse to open a dump that is being written.
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    in_use = DumpError(
        f"{partial}: another process is writing it", hint="wait for it, or choose another output"
    )
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise in_use from error
        return  # a filesystem without locks
    # Between opening and locking, another process may have renamed the file to its final name.
    if not partial.exists() or not os.path.samestat(os.fstat(file), partial.stat()):
        raise in_use
