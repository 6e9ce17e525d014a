"""A SavedModel directory that is opened once, and the files in it that are looked at."""

from __future__ import annotations

import os
import stat
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.gate.opened import Identity, OpenedFile, adopt_file, describe_mode, identify
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

# Real ones have a dozen.
MAX_MEMBERS = 10_000
MAX_DEPTH = 4
# What git and the clients of collections keep beside a model. No loader looks in there.
UNREAD = frozenset({".cache", ".git"})
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class Member:
    """What lies in a directory.

    Attributes:
        name: Its path within the directory, with "/" between the parts.
        mode: What it is, as `os.lstat` tells; a link isn't followed.
        size: Its size in bytes.
        identity: What tells it from another, and from itself before it was changed.
    """

    name: str
    mode: int
    size: int
    identity: Identity


@dataclass(frozen=True, eq=False)
class OpenedDirectory:
    """A directory, open, that stays open as long as this object lives.

    Attributes:
        path: Under which name it was opened.
        descriptor: The directory, open.
        members: What lay in it when it was opened, with all directories inside; no more than one
            above `MAX_MEMBERS`.
    """

    path: Path
    descriptor: int
    members: tuple[Member, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """A name under which libraries open this very directory, whatever becomes of its path.

        Only where the system has one for what is open, as Linux does; else its path.
        """
        own = Path(f"/proc/self/fd/{self.descriptor}")
        return str(own if own.exists() else self.path)

    @property
    def folder(self) -> Path:
        """The path that those of the members begin with."""
        return self.path

    @property
    def size(self) -> int:
        """The sizes of its files, in bytes."""
        return sum(member.size for member in self.members if stat.S_ISREG(member.mode))

    def open_member(self, name: str) -> OpenedFile | None:
        """Open a file of it, through no link.

        Args:
            name: Its path within the directory, with "/" between the parts.

        Returns:
            The file; None where there is none, or something else.
        """
        *folders, last = name.split("/")
        parent = os.dup(self.descriptor)
        try:
            for folder in folders:
                child = os.open(folder, _FLAGS | os.O_DIRECTORY, dir_fd=parent)
                os.close(parent)
                parent = child
            opened = open_inside(parent, last, self.folder / name)
        except OSError:
            return None
        finally:
            os.close(parent)
        return opened if isinstance(opened, OpenedFile) else None

    def list_members(self) -> tuple[Member, ...]:
        """List what lies in it now."""
        return list_files(self.descriptor)

    def find_change(self) -> Fault | None:
        """Tell whether anything in it was changed since it was opened."""
        there = self.list_members()
        if there == self.members:
            return None
        before = {member.name: member for member in self.members}
        after = {member.name: member for member in there}
        names = sorted(before.keys() | after.keys())
        changed = next(name for name in names if before.get(name) != after.get(name))
        return Fault("file-changed", f"was changed after it was checked: {show(changed)}")


def open_directory(path: str | os.PathLike[str]) -> OpenedDirectory | Fault:
    """Open a directory, once, and list what is in it.

    Args:
        path: The directory. A link to it is followed: which one is meant is up to who names it.

    Returns:
        The directory; or what it is, if it isn't one.

    Raises:
        OSError: It isn't there, or can't be read.
    """
    status = Path(path).stat()
    if not stat.S_ISDIR(status.st_mode):
        kind = "a file" if stat.S_ISREG(status.st_mode) else describe_mode(status.st_mode)
        return Fault("file-kind", f"expected a directory, received {kind}")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        members = list_files(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    opened = OpenedDirectory(Path(path), descriptor, members)
    weakref.finalize(opened, os.close, descriptor)
    return opened


def open_inside(descriptor: int, name: str, path: Path) -> OpenedFile | Fault:
    """Open a file of a directory, through no link.

    Args:
        descriptor: The directory, open.
        name: The file's name in it.
        path: What it is called in messages.

    Returns:
        The file; or what it is, if it isn't a regular one.

    Raises:
        OSError: It isn't there, is a link, or can't be read.
    """
    return adopt_file(os.open(name, _FLAGS, dir_fd=descriptor), path)


def list_files(descriptor: int) -> tuple[Member, ...]:
    """List what lies in a directory and in those inside of it, sorted by name.

    Args:
        descriptor: The directory, open.

    Returns:
        No more than one above `MAX_MEMBERS`, and nothing deeper than `MAX_DEPTH` directories.
    """
    found: list[Member] = []
    for member in _walk(descriptor, "", 1):
        found.append(member)
        if len(found) > MAX_MEMBERS:
            break
    return tuple(sorted(found, key=lambda member: member.name))


def _walk(descriptor: int, prefix: str, depth: int) -> Iterator[Member]:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            name = f"{prefix}{entry.name}"
            yield Member(name, status.st_mode, status.st_size, identify(status))
            if not stat.S_ISDIR(status.st_mode) or depth >= MAX_DEPTH or name in UNREAD:
                continue
            try:
                child = os.open(entry.name, _FLAGS | os.O_DIRECTORY, dir_fd=descriptor)
            except OSError:  # a link meanwhile, or closed to us: it is listed, not entered
                continue
            try:
                yield from _walk(child, f"{name}/", depth + 1)
            finally:
                os.close(child)
