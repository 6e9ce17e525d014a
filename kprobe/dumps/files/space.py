"""Room on the disk: asked for before a file is made, then reserved for it."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import resource
from typing import TYPE_CHECKING

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_HINT = "free some space, write to another disk, or dump fewer layers or samples"


def check_space(path: Path, needed: int) -> None:
    """Check that a file would fit, from what the system says about itself.

    Args:
        path: The file to be written. If it exists, its own space counts as free.
        needed: Its size, in bytes.

    Raises:
        DumpError: The disk or the process's limit on the size of a file is too small.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit not in (resource.RLIM_INFINITY, -1) and needed > limit:
        raise DumpError(
            f"{path}: {needed:,} bytes are needed, and this process may write files of "
            f"{limit:,} bytes",
            hint="raise the limit (ulimit -f), or dump fewer layers or samples",
        )
    disk = os.statvfs(path.parent)
    # Filesystems that don't know their size say 0 blocks.
    if disk.f_blocks and needed > free_space(path):
        raise lack_of_space(path, needed)


def reserve(file: int, path: Path) -> None:
    """Reserve the disk space of a whole file, holes included, where the filesystem can.

    This is `fallocate` itself: where a filesystem can't reserve, `posix_fallocate` writes to
    every block instead, which takes as long as the dump.

    Args:
        file: Descriptor of the file, of its full size and open for writing.
        path: Its path, for the message.

    Raises:
        DumpError: The disk or the user's quota is full.
    """
    size = os.fstat(file).st_size
    libc = ctypes.CDLL(None, use_errno=True)
    if not size or not hasattr(libc, "fallocate"):
        return
    # off_t has 64 bits wherever Python is built for large files.
    arguments = (ctypes.c_int(file), ctypes.c_int(0), ctypes.c_int64(0), ctypes.c_int64(size))
    while libc.fallocate(*arguments) != 0:
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise lack_of_space(path, size)
        if code in (errno.EOPNOTSUPP, errno.ENOSYS):
            _log.info("%s: the filesystem can't reserve %s bytes ahead", path, f"{size:,}")
            return
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code), str(path))


def free_space(path: Path) -> int:
    """Return the bytes that a file may take up on its disk, those it already has included."""
    disk = os.statvfs(path.parent)
    own = path.stat().st_blocks * 512 if path.exists() else 0
    return disk.f_bavail * disk.f_frsize + own


def lack_of_space(path: Path, needed: int | None) -> DumpError:
    """Return the error that says how many bytes a file needs, where it is known, and are free."""
    if needed is None:
        return DumpError(f"{path}: the disk is full", hint=_HINT)
    return DumpError(
        f"{path}: {needed:,} bytes are needed, and {free_space(path):,} bytes are free",
        hint=_HINT,
    )
