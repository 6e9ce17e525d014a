"""A model file that is opened once: what is checked is what is loaded."""

from __future__ import annotations

import errno
import os
import stat
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from kprobe.gate.rules import Fault

# What tells a file from another one, and from itself before it was changed.
Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A regular file, open for reading, that stays open as long as this object lives.

    Attributes:
        path: Under which name it was opened.
        descriptor: The file, open. Read it with `os.pread`, which moves nothing.
        size: Its size in bytes.
        identity: What tells it from another, and from what it was before it was changed.
    """

    path: Path
    descriptor: int
    size: int
    identity: Identity = field(repr=False)

    @property
    def name(self) -> str:
        """A name under which libraries open this very file, whatever becomes of its path.

        Only where the system has one for open files, as Linux does; else its path, and
        `find_change` tells whether that was another file meanwhile.
        """
        own = Path(f"/proc/self/fd/{self.descriptor}")
        return str(own if own.exists() else self.path)

    def read(self, count: int, start: int = 0) -> bytes:
        """Read `count` bytes from `start` on, or as many as there are."""
        parts = []
        while count > 0 and (part := os.pread(self.descriptor, count, start)):
            parts.append(part)
            count -= len(part)
            start += len(part)
        return b"".join(parts)

    def find_change(self) -> Fault | None:
        """Tell whether the file was changed, or its path leads to another, since it was opened."""
        try:
            there = identify(self.path.stat())
        except OSError:
            there = None
        if self.identity == identify(os.fstat(self.descriptor)) and there == self.identity:
            return None
        return Fault("file-changed", "was changed after it was checked")


def open_file(path: str | os.PathLike[str]) -> OpenedFile | Fault:
    """Open a file for reading, once.

    Args:
        path: The file. A link to it is followed: which file is meant is up to who names it.

    Returns:
        The file; or what it is, if it isn't a regular one.

    Raises:
        OSError: It isn't there, or can't be read.
    """
    # A pipe that nobody writes to must not be waited for, and a terminal not become ours.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return adopt_file(os.open(path, flags), path)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        # Sockets can't be opened, nor devices that aren't there.
        mode = Path(path).stat().st_mode
        return Fault("file-kind", f"expected a regular file, received {describe_mode(mode)}")


def adopt_file(descriptor: int, path: str | os.PathLike[str]) -> OpenedFile | Fault:
    """Take over a file that is open, as `open_file` opens it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return Fault(
            "file-kind", f"expected a regular file, received {describe_mode(status.st_mode)}"
        )
    opened = OpenedFile(Path(path), descriptor, status.st_size, identify(status))
    weakref.finalize(opened, os.close, descriptor)
    return opened


def identify(status: os.stat_result) -> Identity:
    """Give what tells a file from another one, and from itself before it was changed."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def describe_mode(mode: int) -> str:
    """Say what something is that isn't a regular file, by its mode."""
    for test, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"
