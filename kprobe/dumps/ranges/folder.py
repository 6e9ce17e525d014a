"""The directory of a dump in ranges."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from kprobe.dumps.ranges import range_plan
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path


def check_folder(path: Path) -> None:
    """Check that a dump in ranges can have this name, before there is anything to write.

    Raises:
        DumpError: There is something else of that name, or no directory for it.
    """
    if not path.parent.is_dir():
        raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    if not stat.S_ISDIR(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
        raise DumpError(f"{path}: expected a directory for the ranges of a dump, received {kind}")
    if not (path / range_plan.NAME).exists() and any(path.iterdir()):
        raise DumpError(
            f"{path}: expected a directory of ranges, or an empty one, received one with other "
            "files"
        )


def make_folder(path: Path) -> None:
    """Make the directory, unless it is there.

    Raises:
        DumpError: As for `check_folder`, or the system refuses.
    """
    check_folder(path)
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise DumpError(f"{path}: can't be made: {error.strerror or error}") from error
