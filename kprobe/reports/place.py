"""Where a report is written: in place of an earlier one, and of nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kprobe.dumps.files.place import refuse_link, refuse_read
from kprobe.dumps.output import read_output
from kprobe.dumps.partial import explained
from kprobe.errors import DumpError
from kprobe.reports.page import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HEAD = 4096  # bytes, in which the mark of a report lies


def check_place(
    output: str | os.PathLike[str], read: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Check that a report may be written there, before there is one.

    Args:
        output: The page.
        read: The files and folders that it is made from.

    Raises:
        DumpError: It may not.
    """
    if os.fspath(output) == "-":
        raise DumpError("the output: expected the name of a file, received '-'")
    path = read_output(output)
    refuse_link(path)
    refuse_read([path], read)
    with explained(path):
        if path.is_dir():
            raise DumpError(
                f"{path}: expected the name of a file, received a directory",
                hint="name a file in it",
            )
        if not path.parent.is_dir():
            raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")
        if path.exists() and not (path.is_file() and _is_report(path)):
            raise DumpError(
                f"{path}: exists and is not a report of kprobe, and is not replaced",
                hint="choose another output",
            )
    return path


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(_HEAD)
