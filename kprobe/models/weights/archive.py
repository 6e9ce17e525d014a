"""Open what a `.keras` archive holds beside its config, by what the gate tells of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kprobe.errors import ModelError
from kprobe.gate.files.archive import WEIGHTS, list_assets, list_members, open_member, unpack_member
from kprobe.gate.files.archive_layout import STORED
from kprobe.gate.opened import OpenedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kprobe.gate.findings import Opened

# Above this a compressed weights member is not unpacked to a temporary file just to list it.
MAX_UNPACKED_BYTES = 16 * 1024**3


@contextmanager
def open_weights_member(opened: Opened) -> Iterator[Any]:
    """Open the HDF5 member of a `.keras` archive, in place where it is stored uncompressed.

    Else it is unpacked to a file without a name, where temporary files are kept.

    Args:
        opened: The archive, in which the gate found no fault.

    Yields:
        A binary file that can seek.

    Raises:
        ModelError: There is no such member.
        ShortageError: There is no place to unpack it to.
    """
    if not isinstance(opened, OpenedFile) or not (member := list_members(opened).get(WEIGHTS)):
        raise ModelError(f"{opened.path} holds no {WEIGHTS}")
    if member.method != STORED and member.size > MAX_UNPACKED_BYTES:
        raise ModelError(f"{opened.path}: its weights unpack to {member.size:,} bytes")
    with open_member(opened, member) as section:
        yield section


def unpack_assets(opened: Opened, folder: Path) -> None:
    """Unpack the files that layers keep in a `.keras` archive, `assets/` and what is below it.

    Args:
        opened: The archive, in which the gate found no fault.
        folder: Where to; nothing else is in there.

    Raises:
        OSError: They can't be written.
    """
    if not isinstance(opened, OpenedFile):
        return
    for member in list_assets(opened):
        path = folder / member.name
        if member.name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for block in unpack_member(opened, member):
                file.write(block)
