"""Take away what no receipt vouches for: what killed processes leave in a directory of ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.dumps.files.lock import refuse_locked
from kprobe.dumps.ranges.range_plan import NAME, read_plan
from kprobe.dumps.ranges.receipts import check_receipt, name_range
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

# What is written beside its place has a name that nothing else has.
_BESIDE = re.compile(r"\.(?:plan|[0-9]{12,}-[0-9]{12,})\.json\.[0-9a-f]{16}")
_RANGE = re.compile(r"[0-9]{12,}-[0-9]{12,}\.[0-9a-f]{16}\.h5(?:\.partial(?:\.new)?)?")
_RECEIPT = re.compile(r"[0-9]{12,}-[0-9]{12,}\.json")


@dataclass(frozen=True)
class Cleaned:
    """What was taken away.

    Attributes:
        files: The names of the files.
        bytes: How large they were together.
        busy: The names of those that a process has open for writing, which are left alone.
        others: How many files there are that aren't kprobe's.
    """

    files: list[str]
    bytes: int
    busy: list[str]
    others: int


def clean_folder(folder: Path, *, dry_run: bool = False) -> Cleaned:
    """Remove files of ranges that no receipt vouches for, and receipts that vouch for nothing.

    No process may be publishing a range meanwhile; one that is still writing its own isn't harmed.

    Args:
        folder: The directory.
        dry_run: Whether to tell only what would be removed.

    Raises:
        DumpError: It is no directory of ranges, or a file can't be removed.
    """
    plan = read_plan(folder)
    vouched = {NAME}
    for rows in plan.ranges:
        try:
            receipt = check_receipt(folder, plan, rows)
        except DumpError:
            continue
        if receipt is not None:
            vouched |= {receipt.file, f"{name_range(rows)}.json"}
    removed, busy, size, others = [], [], 0, 0
    for path in sorted(folder.iterdir()):
        name = path.name
        if name in vouched:
            continue
        known = any(kind.fullmatch(name) for kind in (_BESIDE, _RANGE, _RECEIPT))
        if not known or not (path.is_file() or path.is_symlink()):
            others += 1
        elif _is_busy(path):
            busy.append(name)
        else:
            size += path.lstat().st_size
            removed.append(name)
            if not dry_run:
                _remove(path)
    return Cleaned(removed, size, busy, others)


def _is_busy(path: Path) -> bool:
    if path.is_symlink():
        return False
    try:
        refuse_locked(path)
    except DumpError:
        return True
    return False


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DumpError(f"{path}: can't be removed: {error.strerror or error}") from error
