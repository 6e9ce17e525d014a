"""Give a file its name once: who comes second finds that it is there, and changes nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What systems say of filesystems that have no links.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def publish_once(path: Path, content: bytes) -> bool:
    """Write a file that nobody may write again.

    It is written beside its place and linked there, so that it is whole or not there at all. Where
    the filesystem has no links it is written in its place, and who is killed meanwhile leaves a
    torn one, which keeps the name until it is removed.

    Args:
        path: Where it is to be, in a directory that is there.
        content: What is to be in it; small.

    Returns:
        Whether it is this one; False where another was there before.

    Raises:
        OSError: The system refuses.
    """
    # No other process has this name, on this machine or another.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(beside, content)
        try:
            os.link(beside, path)
        except FileExistsError:
            # Over a network, the answer to a link that was made may be lost, and it is asked again.
            if beside.stat().st_nlink != 2:
                return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            try:
                _write(path, content)
            except FileExistsError:
                return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    sync_directory(path.parent)
    return True


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory.

    Raises:
        OSError: The system refuses.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o666)
    try:
        done = 0
        while done < len(content):
            done += os.write(file, content[done:])
        os.fsync(file)
    finally:
        os.close(file)
