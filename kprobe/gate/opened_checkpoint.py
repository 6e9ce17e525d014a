"""A checkpoint of TensorFlow: some of the files of a directory, which is opened once."""

from __future__ import annotations

import os
import re
import weakref
from dataclasses import dataclass
from pathlib import Path

from kprobe.gate.opened import identify
from kprobe.gate.opened_directory import MAX_MEMBERS, Member, OpenedDirectory

INDEX = ".index"
DATA = re.compile(r"\.data-([0-9]{5})-of-([0-9]{5})", re.ASCII)


@dataclass(frozen=True, eq=False)
class OpenedCheckpoint(OpenedDirectory):
    """A checkpoint, whose directory stays open as long as this object lives.

    Its `path` is what the names of its files begin with, its `members` are these files, and its
    `descriptor` is their directory.
    """

    @property
    def name(self) -> str:
        """What the names begin with under which libraries open these very files."""
        own = Path(f"/proc/self/fd/{self.descriptor}")
        return str((own if own.exists() else self.folder) / self.path.name)

    @property
    def folder(self) -> Path:
        """The directory that the files lie in."""
        return self.path.parent

    def list_members(self) -> tuple[Member, ...]:
        """List its files, as they are now."""
        return list_checkpoint(self.descriptor, self.path.name)


def open_checkpoint(prefix: Path) -> OpenedCheckpoint:
    """Open a checkpoint, once, and list its files.

    Args:
        prefix: What their names begin with. A link to their directory is followed: which one is
            meant is up to who names it.

    Raises:
        OSError: The directory isn't there, or can't be read.
    """
    descriptor = os.open(prefix.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        members = list_checkpoint(descriptor, prefix.name)
    except OSError:
        os.close(descriptor)
        raise
    opened = OpenedCheckpoint(prefix, descriptor, members)
    weakref.finalize(opened, os.close, descriptor)
    return opened


def list_checkpoint(descriptor: int, prefix: str) -> tuple[Member, ...]:
    """List the files of a checkpoint, sorted by name: the data, then the index.

    Args:
        descriptor: The directory that they lie in, open.
        prefix: What their names begin with.

    Returns:
        No more than one above `MAX_MEMBERS`.
    """
    found: list[Member] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            end = entry.name.removeprefix(prefix)
            if end == entry.name or not (end == INDEX or DATA.fullmatch(end)):
                continue
            status = entry.stat(follow_symlinks=False)
            found.append(Member(entry.name, status.st_mode, status.st_size, identify(status)))
            if len(found) > MAX_MEMBERS:
                break
    return tuple(sorted(found, key=lambda member: member.name))
