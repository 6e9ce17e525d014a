"""What may be at the place of a dump, and of the partial file that it is until it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.dumps.create import FORMAT
from kprobe.dumps.files.lock import refuse_locked
from kprobe.dumps.files.place import refuse_link, refuse_shared
from kprobe.dumps.files.space import lack_of_space
from kprobe.dumps.output import read_output
from kprobe.dumps.soundness import open_sound
from kprobe.errors import DumpError, Hint, Setting
from kprobe.hdf5 import OpenForWritingError, open_afresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is written beside its place, and continued.

    Attributes:
        format: The attribute `format` of such a file.
        name: What it is called in messages.
    """

    format: str
    name: str


DUMP = FileKind(FORMAT, "a dump of kprobe")


def partial_path(path: Path) -> Path:
    """Return the name of a dump that isn't complete."""
    return path.parent / f"{path.name}.partial"


def list_places(path: Path) -> list[Path]:
    """List the names that a dump of this name has, until it is complete and then."""
    partial = partial_path(path)
    return [path, partial, partial.with_name(f"{partial.name}.new")]


def check_output(
    path: str | os.PathLike[str], *, overwrite: bool, resume: bool = False, kind: FileKind = DUMP
) -> None:
    """Check that a dump can have this name, before there is anything to write.

    Raises:
        DumpError: There is something of that name that isn't a dump, or a link; a dump, or rows of
            one, which mustn't be overwritten; or there is no directory for it.
    """
    path = read_output(path)
    partial = partial_path(path)
    # One that is finished may be the very one that is to be resumed.
    kept = resume and _look_at(partial) is None
    refuse_existing(path, overwrite=overwrite or kept, kind=kind)
    directory = _look_at(path.parent)
    if directory is None or not stat.S_ISDIR(directory.st_mode):
        raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")
    refuse_special(partial)
    if partial.is_file():
        refuse_locked(partial)
        refuse_kept(partial, overwrite=overwrite or resume, kind=kind)


def explain(error: OSError, path: Path) -> DumpError:
    """Return the system's error in writing to a file as one line for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and path.exists():
        status = path.stat()
        # How much more would go where there are holes, nobody knows.
        has_holes = status.st_blocks * 512 < status.st_size
        return lack_of_space(path, None if has_holes else status.st_size)
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "write to a directory of your own"
    return DumpError(f"{path}: can't be written: {error.strerror or error}", hint=hint)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise the system's errors in the block as those of writing to a file.

    Raises:
        DumpError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, which has its name when it is whole.

    Nobody else's file lies beside it under such a name.

    Raises:
        DumpError: The system refuses, or there is a link.
    """
    refuse_link(path)
    beside = path.with_name(f".kprobe-{secrets.token_hex(8)}")
    with explained(path):
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def is_dump(path: Path, kind: FileKind = DUMP) -> bool:
    """Tell whether a regular file is a dump, or of another kind, finished or not, and can be read.

    Raises:
        OpenForWritingError: That can't be told, since it is open for writing elsewhere.
    """
    try:
        with open_sound(path) as file:
            found = file.attrs.get("format")
            return isinstance(found, str) and found == kind.format
    except OpenForWritingError:
        raise
    except Exception:  # HDF5 reports damage in many types
        return False


def is_complete(path: Path, kind: FileKind = DUMP) -> bool:
    """Tell whether a file is a finished dump, or one of another kind.

    Raises:
        OpenForWritingError: That can't be told, since it is open for writing elsewhere.
    """
    if not is_dump(path, kind):
        return False
    with open_afresh(path) as file:
        return bool(file["complete"][()])


def refuse_existing(path: Path, *, overwrite: bool, kind: FileKind = DUMP) -> None:
    """Refuse whatever has this name, except for a file of the kind that may be overwritten."""
    status = _look_at(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise DumpError(
            f"{path}: expected the name of a file, received a directory", hint="name a file in it"
        )
    refuse_link(path)
    if status is None:
        return
    # Only a regular file is opened: opening a pipe would wait for its other end.
    if not stat.S_ISREG(status.st_mode) or not is_dump(path, kind):
        raise DumpError(
            f"{path}: exists and is not {kind.name}, and is not replaced",
            hint="choose another output",
        )
    if not overwrite:
        raise DumpError(
            f"{path}: exists already", hint=Hint("replace it with ", Setting("overwrite", True))
        )


def refuse_kept(partial: Path, *, overwrite: bool, kind: FileKind = DUMP) -> None:
    """Refuse a partial file that isn't of the kind, or whose rows would be lost; none is fine."""
    # Without its lock it may be published meanwhile.
    with contextlib.suppress(FileNotFoundError):
        if not partial.stat().st_size:
            return
        if not is_dump(partial, kind):
            partial.stat()
            raise DumpError(
                f"{partial}: exists and is not {kind.name}, and is not replaced",
                hint="remove it, or choose another output",
            )
        if overwrite:
            return
        with open_afresh(partial) as file:
            rows = int(file["committed"][()])
        if rows:
            raise DumpError(
                f"{partial}: holds {rows:,} samples of an earlier run",
                hint=Hint(
                    "continue it with ",
                    Setting("resume", True),
                    ", or start anew with ",
                    Setting("overwrite", True),
                ),
            )


def refuse_special(path: Path) -> None:
    """Refuse a place for rows that opening would do something to: a link, a pipe, a device."""
    refuse_link(path)
    refuse_shared(path)
    status = _look_at(path)
    if status and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise DumpError(
            f"{path}: expected a regular file for the unfinished dump, received a pipe or a device",
            hint="choose another output",
        )


def _look_at(path: Path) -> os.stat_result | None:
    """Return what there is under a name, None for nothing.

    Raises:
        DumpError: The system doesn't tell.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise explain(error, path) from error
