"""Which files lie in a folder or fit a pattern, and which links on the way are followed."""

from __future__ import annotations

import contextlib
import glob
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.errors import Hint, InputError, Setting
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAMED = 5  # of links that lead elsewhere
_ANY_DEPTH = "**"


class Links:
    """Tells links that lead out of a folder, under whatever name it was given.

    Args:
        folder: The folder.
        follow: Whether they are followed all the same.
    """

    def __init__(self, folder: Path, *, follow: bool) -> None:
        self._folder = folder
        self._follow = follow
        self._root = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
        self._outside: list[str] = []

    def lead_out(self, path: str) -> bool:
        """Tell whether a file or folder is a link that leads out, and isn't followed."""
        if self._follow or not os.path.islink(path):  # noqa: PTH114
            return False
        # Where a link on the way leads out, what is behind it isn't looked at.
        if os.path.join(os.path.realpath(path), "").startswith(self._root):  # noqa: PTH118
            return False
        self._outside.append(os.path.relpath(path, self._folder))
        return True

    def check(self) -> None:
        """Check that there were none.

        Raises:
            InputError: There were.
        """
        if self._outside:
            raise InputError(
                f"{self._folder}: expected what lies in it, received links that lead elsewhere: "
                f"{list_names(sorted(self._outside), _NAMED)}",
                hint=Hint("follow them with ", Setting("follow_links", True)),
            )


def walk(folder: Path, links: Links) -> Iterator[str]:
    """Yield the files in a folder and below, relative to it, with "/".

    Links to folders are followed, but none round in a circle, nor out of it unless they are to be.
    Those to files are the caller's business. What begins with a full stop is passed over.

    Args:
        folder: The folder.
        links: Which links are followed.
    """
    seen = set()
    pending = [str(folder)]
    while pending:
        parent = pending.pop()
        try:
            status = os.stat(parent)  # noqa: PTH116 (a text)
        except OSError:  # it was taken away
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        folders, files = _list_inside(parent)
        seen.add((status.st_dev, status.st_ino))
        pending += [
            f"{parent}/{name}"
            for name in reversed(folders)
            if not name.startswith(".") and not links.lead_out(f"{parent}/{name}")
        ]
        prefix = os.path.relpath(parent, folder)
        for name in files:
            if not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"


def _list_inside(folder: str) -> tuple[list[str], list[str]]:
    """List the folders and the other files in a folder; none where it can't be read.

    Python's own `os.walk` goes down by calls until 3.12, which end a thousand folders deep.
    """
    folders: list[str] = []
    files: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_folder = False
            with contextlib.suppress(OSError):  # a link in a circle
                is_folder = entry.is_dir()
            (folders if is_folder else files).append(entry.name)
    return folders, files


def find_files(pattern: str, *, follow_links: bool) -> list[Path]:
    """Find the files that fit a pattern with `*`, `?`, `[...]` and `**`, sorted.

    Args:
        pattern: The pattern.
        follow_links: Whether links that lead out of where the pattern begins are followed.

    Raises:
        InputError: Links lead out, and aren't followed.
    """
    folder = find_fixed(Path(pattern))
    links = Links(folder, follow=follow_links)
    parts = Path(pattern).parts[len(folder.parts) :]
    if _ANY_DEPTH in parts:
        # As `glob` does, which goes round in circles.
        found = [folder / name for name in walk(folder, links) if _fits(name.split("/"), parts)]
    else:
        found = [Path(name) for name in glob.glob(pattern)]  # noqa: PTH207
        found = [path for path in found if not _is_behind(path, folder, links)]
    files = [path for path in found if path.is_file() and not links.lead_out(str(path))]
    links.check()
    return sorted(files)


def _is_behind(path: Path, folder: Path, links: Links) -> bool:
    """Tell whether a folder on the way to a file is a link that leads out."""
    between = path.relative_to(folder).parts[:-1]
    return any(
        links.lead_out(str(folder.joinpath(*between[: count + 1]))) for count in range(len(between))
    )


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Tell whether the parts of a path fit those of a pattern, of which `**` fits any number."""
    if not parts:
        return not names
    if parts[0] == _ANY_DEPTH:
        if len(parts) == 1:
            return True
        return any(_fits(names[start:], parts[1:]) for start in range(len(names)))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def find_fixed(pattern: Path) -> Path:
    """Give the folder of a pattern in which nothing varies: names of its files begin there."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
