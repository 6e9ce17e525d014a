"""Folders for files in passing, which don't stay, not even for long where a process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A folder that is younger may not be locked yet.
_YOUNG_SECONDS = 60


@contextlib.contextmanager
def make_scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that goes away behind the block.

    Who uses it has it locked. So the next one that is made under the same prefix, in the same
    place, takes those away whose process was killed.

    Args:
        prefix: What its name begins with.
        parent: Where it is made; None for where temporary files go.

    Yields:
        The folder.

    Raises:
        OSError: It can't be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_abandoned(place, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a filesystem without locks
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _remove_abandoned(place: Path, prefix: str) -> None:
    with contextlib.suppress(OSError):
        for path in place.iterdir():
            if path.name.startswith(prefix) and _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Tell whether a folder is this user's, and nobody's any more."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        status = os.fstat(opened)
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_SECONDS:
            return False
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(opened)
    return True
