"""Files that aren't here: addresses of the web, and what Git LFS leaves in a file's place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kprobe.errors import KprobeError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]{1,20})://(.{0,2000})", re.ASCII | re.DOTALL)
_POINTER = b"version https://git-lfs.github.com/spec/"
_DOWNLOADS = {
    "hf": "hf download {place}",
    "gs": "gcloud storage cp {address} .",
    "s3": "aws s3 cp {address} .",
}


def check_here(text: str, error: type[KprobeError]) -> None:
    """Check that a text names a file of this machine.

    Raises:
        error: It is an address of the web.
    """
    match = _ADDRESS.match(text)
    if match is None:
        return
    command = _DOWNLOADS.get(match[1], "curl -LO {address}" if "http" in match[1] else None)
    how = f", for example with `{command.format(address=text, place=match[2])}`" if command else ""
    raise error(f"{text}: expected a file, received an address", hint=f"download it first{how}")


def check_content(path: Path, start: bytes, error: type[KprobeError]) -> None:
    """Check that a file holds what it is to hold.

    Args:
        path: The file.
        start: What it begins with, 64 bytes at least.
        error: What is raised.

    Raises:
        error: It is a pointer of Git LFS.
    """
    if start.startswith(_POINTER):
        raise error(
            f"{path} is a pointer of Git LFS, in the place of the file",
            hint=f"`git lfs pull --include '*{path.name}'` fetches it",
        )
