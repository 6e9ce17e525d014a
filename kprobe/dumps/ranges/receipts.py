"""Receipts: which file holds a range of rows. What no receipt vouches for isn't there.

A range is written under a name that no other process has. Its receipt, a small file, is published
once, when the range is whole on the disk: so of several processes that did the same range one is
believed, and nothing that was published is ever written again.
"""

from __future__ import annotations

import json
import re
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.dumps.attributes import open_json
from kprobe.dumps.ranges.publish import publish_once, sync_directory
from kprobe.dumps.ranges.records import DamagedError, read_record, take, write_record
from kprobe.dumps.reader import Dump, open_dump
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kprobe.dumps.ranges.range_plan import RangePlan

# The root attribute of a range's file that says whose it is.
ATTRIBUTE = "range"
_FORMAT, _VERSION = "kprobe range", 1
_AGAIN = "`kprobe clean` takes it away, and the same command as before runs it again"


@dataclass(frozen=True)
class RangeReceipt:
    """What was published of a range.

    Attributes:
        rows: Its rows.
        file: The name of its file, a dump of these rows.
        bytes: How large that is.
        left_out: How many of its samples couldn't be read.
    """

    rows: range
    file: str
    bytes: int
    left_out: int


def name_range(rows: range) -> str:
    """Name a range: what its receipt and its file begin with."""
    return f"{rows.start:012d}-{rows.stop:012d}"


def choose_file(folder: Path, rows: range) -> Path:
    """Choose a file for a range, which no other process has."""
    return folder / f"{name_range(rows)}.{secrets.token_hex(8)}.h5"


def describe_range(plan: RangePlan, rows: range) -> str:
    """Give what the file of a range says of itself, in the attribute `range`."""
    return json.dumps({"plan": plan.id, "start": rows.start, "stop": rows.stop})


def publish_range(
    folder: Path, plan: RangePlan, rows: range, file: Path, left_out: int
) -> RangeReceipt:
    """Publish a range that is finished; where another process was faster, theirs counts.

    Args:
        folder: The directory.
        plan: The plan.
        rows: The range.
        file: Its file in the directory, which is whole and on the disk.
        left_out: How many of its samples couldn't be read.

    Returns:
        What is published now.

    Raises:
        DumpError: It can't be published, or what is there already is damaged.
    """
    ours = RangeReceipt(rows, file.name, file.stat().st_size, left_out)
    content = write_record(
        {
            "format": _FORMAT,
            "format_version": _VERSION,
            "plan": plan.id,
            "start": rows.start,
            "stop": rows.stop,
            "file": ours.file,
            "bytes": ours.bytes,
            "left_out": left_out,
        }
    )
    try:
        sync_directory(folder)  # the receipt after what it vouches for
        if publish_once(_place(folder, rows), content):
            return ours
        file.unlink()
    except OSError as error:
        raise DumpError(f"{folder}: can't be written to: {error.strerror or error}") from error
    theirs = read_receipt(folder, plan, rows)
    if theirs is None:
        raise DumpError(f"{folder}: the receipt of {_tell(rows)} was taken away")
    return theirs


def read_receipt(folder: Path, plan: RangePlan, rows: range) -> RangeReceipt | None:
    """Read what was published of a range; None where it is yet to be done.

    Raises:
        DumpError: The receipt is damaged, or of another plan.
    """
    path = _place(folder, rows)
    try:
        values = read_record(path)
        return _read(values, plan, rows)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    except DamagedError as error:
        raise DumpError(
            f"{path}: expected the receipt of {_tell(rows)}, received one where {error}",
            hint=_AGAIN,
        ) from None


def _read(values: Mapping[str, Any], plan: RangePlan, rows: range) -> RangeReceipt:
    take(values, "format", str, lambda text: text == _FORMAT)
    take(values, "format_version", int, lambda number: number == _VERSION)
    if take(values, "plan", str, lambda _: True) != plan.id:
        raise DamagedError("the plan is another one")
    take(values, "start", int, lambda number: number == rows.start)
    take(values, "stop", int, lambda number: number == rows.stop)
    named = re.compile(re.escape(name_range(rows)) + r"\.[0-9a-f]{16}\.h5")
    return RangeReceipt(
        rows,
        take(values, "file", str, lambda text: bool(named.fullmatch(text))),
        take(values, "bytes", int, lambda number: number > 0),
        take(values, "left_out", int, lambda number: 0 <= number <= len(rows)),
    )


def list_receipts(folder: Path, plan: RangePlan) -> tuple[list[RangeReceipt], list[range]]:
    """List what was published of a plan, and the ranges that weren't.

    Raises:
        DumpError: A receipt is damaged, or of another plan; or the file that it vouches for isn't
            there, or has another size.
    """
    found, missing = [], []
    for rows in plan.ranges:
        receipt = check_receipt(folder, plan, rows)
        if receipt is None:
            missing.append(rows)
        else:
            found.append(receipt)
    return found, missing


def check_receipt(folder: Path, plan: RangePlan, rows: range) -> RangeReceipt | None:
    """Read what was published of a range, whose file is there; None where it is yet to be done.

    Raises:
        DumpError: As for `list_receipts`.
    """
    receipt = read_receipt(folder, plan, rows)
    if receipt is not None:
        _check_size(folder / receipt.file, receipt)
    return receipt


def _check_size(path: Path, receipt: RangeReceipt) -> None:
    try:
        status = path.lstat()
    except OSError as error:
        raise DumpError(
            f"{path}: expected the file of {_tell(receipt.rows)}: {error.strerror or error}",
            hint=_AGAIN,
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise DumpError(f"{path}: expected a regular file, received another kind", hint=_AGAIN)
    if status.st_size != receipt.bytes:
        raise DumpError(
            f"{path}: expected {receipt.bytes:,} bytes, received {status.st_size:,}", hint=_AGAIN
        )


def open_range(folder: Path, plan: RangePlan, receipt: RangeReceipt) -> Dump:
    """Open the file of a range, whose values are what its receipt says.

    Returns:
        A dump of the range's rows alone, to be closed.

    Raises:
        DumpError: It isn't there, has another size, is of another plan or range, or isn't complete.
    """
    path = folder / receipt.file
    _check_size(path, receipt)
    dump = open_dump(path)
    expected = json.loads(describe_range(plan, receipt.rows))
    told = open_json(dump.attrs.get(ATTRIBUTE))
    if told != expected or not dump.complete or dump.rows != len(receipt.rows):
        dump.close()
        received = "another range, or one of another plan" if told != expected else "a part of it"
        raise DumpError(
            f"{path}: expected {_tell(receipt.rows)}, received {received}",
            hint=_AGAIN,
        )
    return dump


def _place(folder: Path, rows: range) -> Path:
    return folder / f"{name_range(rows)}.json"


def _tell(rows: range) -> str:
    return f"rows {rows.start:,} to {rows.stop - 1:,}"
