"""Small JSON files of a directory of ranges, of which nothing is believed unchecked."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from kprobe.errors import DumpError
from kprobe.gate.files.config_json import MAX_BYTES, parse_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class DamagedError(ValueError):
    """A record that isn't as kprobe writes it."""


def write_record(values: Mapping[str, Any]) -> bytes:
    """Write a record: the same bytes for the same values in the same order."""
    return json.dumps(values, indent=1).encode() + b"\n"


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        FileNotFoundError: There is none.
        OSError: It can't be read.
        DumpError: It is no JSON object, or no regular file.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise DumpError(f"{path}: expected a regular file, received another kind")
        content = b""
        while len(content) <= MAX_BYTES and (part := os.read(file, 1 << 20)):
            content += part
    finally:
        os.close(file)
    values, faults = parse_config(content, "record")
    if values is None:
        raise DumpError(f"{path}: expected a record of kprobe, received one that {faults[0].text}")
    return values


def take(values: Mapping[str, Any], name: str, kind: type, fits: Callable[[Any], bool]) -> Any:
    """Take a value of a record.

    Raises:
        DamagedError: It isn't there, is of another kind, or doesn't fit.
    """
    value = values.get(name)
    if type(value) is not kind or not fits(value):
        raise DamagedError(f"{name} is {value!r:.60}")
    return value
