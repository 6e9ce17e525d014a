"""The partial file that a dump is until it is complete: taken, locked and renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

from kprobe.dumps.layout import FORMAT
from kprobe.dumps.output import read_output
from kprobe.dumps.space import lack_of_space
from kprobe.errors import DumpError
from kprobe.hdf5 import OpenForWritingError, open_for_reading

# A lock of the open file (fcntl_locking(2)), not flock: HDF5 takes flock when it reads, and would
# refuse to open a dump that is being written.
_LOCK = "hhqqi4x"
_WHOLE_FILE = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def partial_path(path: Path) -> Path:
    """Return the name of a dump that isn't complete."""
    return path.parent / f"{path.name}.partial"


def claim(path: Path, partial: Path, *, overwrite: bool, resume: bool) -> tuple[int, Path]:
    """Open the file that rows will go to for this process alone.

    Returns:
        Its descriptor, open for writing; closing it gives up the claim. And its path: the partial
        file if that is gone on with; else one of another name, that becomes the partial file when
        it is laid out, so that a kill before leaves none.

    Raises:
        DumpError: The dump exists already, its place can't be written to, another process
            writes there, or the partial file is something else than a dump, or one whose rows
            mustn't be lost.
    """
    check_output(path, overwrite=overwrite, resume=resume)
    new = partial.with_name(f"{partial.name}.new")
    try:
        if partial.exists():
            file = _open_alone(partial, os.O_RDWR)
            try:
                _refuse_kept(partial, overwrite=overwrite or resume)
                if resume and os.fstat(file).st_size:
                    return os.dup(file), partial
                partial.unlink()
            finally:
                os.close(file)
        file = _open_alone(new, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise explain(error, partial) from error
    return file, new


def check_output(path: str | os.PathLike[str], *, overwrite: bool, resume: bool = False) -> None:
    """Check that a dump can have this name, before there is anything to write.

    Raises:
        DumpError: There is something of that name that isn't a dump; a dump, or rows of one, which
            mustn't be overwritten; or there is no directory for it.
    """
    path = read_output(path)
    partial = partial_path(path)
    # One that is finished may be the very one that is to be gone on with.
    _refuse_existing(path, overwrite=overwrite or (resume and _look_at(partial) is None))
    directory = _look_at(path.parent)
    if directory is None or not stat.S_ISDIR(directory.st_mode):
        raise DumpError(f"{path}: there is no directory {path.parent}", hint="make it first")
    _refuse_special(partial)
    if partial.is_file():
        _refuse_locked(partial)
        _refuse_kept(partial, overwrite=overwrite or resume)


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
        status = path.stat()
        # How much more would go where there are holes, nobody knows.
        has_holes = status.st_blocks * 512 < status.st_size
        return lack_of_space(path, None if has_holes else status.st_size)
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "write to a directory of your own"
    return DumpError(f"{path}: can't be written: {error.strerror or error}", hint=hint)


def is_dump(path: Path) -> bool:
    """Tell whether a regular file is a dump, finished or not, and can be read.

    Raises:
        OpenForWritingError: That can't be told, since it is open for writing elsewhere.
    """
    try:
        with open_for_reading(path) as file:
            kind = file.attrs.get("format")
            return isinstance(kind, str) and kind == FORMAT
    except OpenForWritingError:
        raise
    except Exception:  # HDF5 reports damage in many types
        return False


def is_complete(path: Path) -> bool:
    """Tell whether a file is a finished dump."""
    if not is_dump(path):
        return False
    with open_for_reading(path) as file:
        return bool(file["complete"][()])


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


def _refuse_kept(partial: Path, *, overwrite: bool) -> None:
    """Refuse a partial file that isn't a dump, or whose rows would be lost."""
    if not partial.stat().st_size:
        return
    if not is_dump(partial):
        raise DumpError(
            f"{partial}: exists and is not a dump of kprobe, and is not replaced",
            hint="remove it, or choose another output",
        )
    if overwrite:
        return
    with open_for_reading(partial) as file:
        rows = int(file["committed"][()])
    if rows:
        raise DumpError(
            f"{partial}: holds {rows:,} samples of an earlier run",
            hint="go on with it with --resume, or start anew with --overwrite",
        )


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


def _open_alone(path: Path, flags: int) -> int:
    """Open and lock a file.

    Raises:
        OSError: It can't be opened.
        DumpError: Another process has it.
    """
    file = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(file)
            raise _in_use(path) from error
        return file  # a filesystem without locks
    # Between opening and locking, another process may have given the file another name.
    if not path.exists() or not os.path.samestat(os.fstat(file), path.stat()):
        os.close(file)
        raise _in_use(path)
    return file


def _refuse_locked(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        if struct.unpack(_LOCK, found)[0] != fcntl.F_UNLCK:
            raise _in_use(path)


def _in_use(path: Path) -> DumpError:
    return DumpError(
        f"{path}: another process is writing it", hint="wait for it, or choose another output"
    )
