"""The partial file that a dump is until it is complete: taken, locked and renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

import h5py

from kprobe.dumps.layout import FORMAT
from kprobe.dumps.space import lack_of_space
from kprobe.errors import DumpError


def read_output(text: str | os.PathLike[str]) -> Path:
    """Take the name of a dump as the user wrote it.

    Raises:
        DumpError: It ends with a slash, which a `Path` would drop, or holds a NUL.
    """
    name = os.fspath(text)
    if name.endswith(os.sep):
        raise DumpError(f"{name}: expected the name of a file, and it ends with a slash")
    if "\0" in name:
        raise DumpError(f"{name!r}: expected the name of a file, and it holds a NUL character")
    return Path(name)


def partial_path(path: Path) -> Path:
    """Return the name of a dump that isn't complete."""
    return path.parent / f"{path.name}.partial"


def claim(path: Path, partial: Path, *, overwrite: bool) -> int:
    """Open the partial file for this process alone, its old content untouched.

    Returns:
        Its descriptor, open for writing. Closing it gives up the claim.

    Raises:
        DumpError: The dump exists already, its place can't be written to, another process
            writes there, or the partial file is something else than a dump.
    """
    check_output(path, overwrite=overwrite)
    try:
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise explain(error, partial) from error
    try:
        _lock(file, partial)
        # Only now: what another process is just laying out isn't a dump yet.
        if os.fstat(file).st_size and not is_dump(partial):
            raise DumpError(
                f"{partial}: exists and is not a dump of kprobe, and is not replaced",
                hint="remove it, or choose another output",
            )
        _refuse_existing(path, overwrite=overwrite)
    except BaseException as error:
        os.close(file)
        if isinstance(error, OSError):
            raise explain(error, partial) from error
        raise
    return file


def check_output(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Check that a dump can have this name, before there is anything to write.

    Raises:
        DumpError: There is something of that name that isn't a dump; a dump, which mustn't be
            overwritten; or there is no directory for it.
    """
    path = read_output(path)
    _refuse_existing(path, overwrite=overwrite)
    directory = _look_at(path.parent)
    if directory is None or not stat.S_ISDIR(directory.st_mode):
        raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")
    _refuse_special(partial_path(path))


def publish(partial: Path, path: Path, *, overwrite: bool) -> None:
    """Give a complete partial file its name, in one step that a crash can't cut in half.

    Raises:
        DumpError: There is a file of that name, which mustn't be overwritten, or the system
            refuses.
    """
    _refuse_existing(path, overwrite=overwrite)
    try:
        partial.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> DumpError:
    """Return the system's error in writing to a file as one line for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and path.exists():
        return lack_of_space(path, path.stat().st_size)
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "write to a directory of your own"
    return DumpError(f"{path}: can't be written: {error.strerror or error}", hint=hint)


def is_dump(path: Path) -> bool:
    """Tell whether a regular file is a dump, finished or not, and can be read."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            kind = file.attrs.get("format")
            return isinstance(kind, str) and kind == FORMAT
    except Exception:  # HDF5 reports damage in many types
        return False


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse whatever has this name, except for a dump that may be overwritten."""
    status = _look_at(path)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        raise DumpError(f"{path}: expected the name of a file, and it is a directory")
    # Only a regular file is opened: opening a pipe would wait for its other end.
    if not stat.S_ISREG(status.st_mode) or not is_dump(path):
        raise DumpError(
            f"{path}: exists and is not a dump of kprobe, and is not replaced",
            hint="choose another output",
        )
    if not overwrite:
        raise DumpError(f"{path}: exists already", hint="replace it with --overwrite")


def _refuse_special(partial: Path) -> None:
    """Refuse a partial file that opening would do something to: a pipe, a device."""
    status = _look_at(partial)
    if status and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise DumpError(
            f"{partial}: expected a place for the unfinished dump, and it is no regular file",
            hint="choose another output",
        )


def _look_at(path: Path) -> os.stat_result | None:
    """Return what there is under a name, None for nothing.

    Raises:
        DumpError: The system doesn't tell.
    """
    try:
        return path.stat()
    except FileNotFoundError:
        # A link to nothing is something, too.
        return path.lstat() if path.is_symlink() else None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise explain(error, path) from error


def _lock(file: int, partial: Path) -> None:
    # A lock of the open file (fcntl_locking(2)), not flock: HDF5 takes flock when it reads, and
    # would refuse to open a dump that is being written.
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    in_use = DumpError(
        f"{partial}: another process is writing it", hint="wait for it, or choose another output"
    )
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise in_use from error
        return  # a filesystem without locks
    # Between opening and locking, another process may have renamed the file to its final name.
    if not partial.exists() or not os.path.samestat(os.fstat(file), partial.stat()):
        raise in_use
