"""Open HDF5 files for reading, whatever else has them open."""

from __future__ import annotations

import io
import os
from typing import Any

from kprobe.errors import KprobeError

# How HDF5 refuses a file that is marked as open for writing (H5F_open in H5Fint.c).
_MARKED = "already open for write"


class OpenForWritingError(KprobeError):
    """An HDF5 file that is open for writing elsewhere, so that it can't be used meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(
            f"{path}: is open for writing elsewhere, and can't be used meanwhile",
            hint=f"close it there; if what wrote it was killed, `h5clear -s {path}` frees it",
        )


def open_for_reading(
    path: str | os.PathLike[str], *, shown: str | os.PathLike[str] | None = None
) -> Any:
    """Open an HDF5 file for reading, whatever else has it open.

    HDF5 opens a file that is open in the process already only if both are to lock it in the same
    way, and refuses one that another process has locked unless it needn't lock it. So all ways are
    tried. The first is h5py's own, so that others may open the file in that way after this.

    Args:
        path: The file.
        shown: What messages call it; None for the path.

    Returns:
        The file, an `h5py.File`; closing it closes nothing that others have opened.

    Raises:
        OSError: It isn't there, isn't HDF5, is damaged, or the system doesn't let it be read.
        OpenForWritingError: It is open for writing elsewhere, in a way that bars readers.
    """
    import h5py  # takes 0.1 s, which what reads no HDF5 needn't wait for

    errors = []
    for locking in (None, False, "best-effort", True):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            errors.append(error)
    if any(_MARKED in str(error) for error in errors):
        raise OpenForWritingError(shown or path) from errors[-1]
    raise errors[0]


def open_afresh(path: str | os.PathLike[str]) -> Any:
    """Open an HDF5 file for reading, as it is on the disk now.

    As long as anything in the process has a file open, HDF5 gives everyone what it has read of it
    before. For a file that is changed by other means than HDF5, as dumps are, that may be wrong.

    Args:
        path: The file.

    Returns:
        As `open_for_reading`.

    Raises:
        OSError: As for `open_for_reading`.
        OpenForWritingError: As for `open_for_reading`.
    """
    import h5py

    file = open_for_reading(path)
    # Who writes to it by HDF5 in this process has what isn't on the disk yet.
    if file.mode == "r" and h5py.h5f.get_obj_count(file.id, h5py.h5f.OBJ_ALL) > 1:
        file.close()
        file = h5py.File(_File(path), "r")
    return file


class Section(io.RawIOBase):
    """A part of an open file, which HDF5 reads by Python, as a file of its own.

    HDF5 takes it for no other that is open, and locks nothing. What lies behind the end of the file
    reads as zeros, as HDF5 itself has it.

    Args:
        descriptor: The file, which stays open meanwhile. Its own position isn't moved.
        start: Where the part begins, in bytes.
        length: How long it is; None for all that is behind `start`, as it grows.
    """

    def __init__(self, descriptor: int, start: int = 0, length: int | None = None) -> None:
        self._descriptor = descriptor
        self._start = start
        self._length = length
        self._place = 0

    def __len__(self) -> int:
        if self._length is None:
            return max(0, os.fstat(self._descriptor).st_size - self._start)
        return self._length

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a place in the part."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence)
        self._place = offset + (len(self) if start is None else start)
        return self._place

    def tell(self) -> int:
        """Tell the place in the part."""
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, and tell how many bytes of it are the file's."""
        content = memoryview(buffer).cast("B")
        wanted = content.nbytes
        if self._length is not None:
            wanted = max(0, min(wanted, self._length - self._place))
        done = 0
        while done < wanted:  # the system reads at most 2 GB
            part = content[done:wanted]
            size = os.preadv(self._descriptor, [part], self._start + self._place)
            if not size:
                break
            done += size
            self._place += size
        if done < content.nbytes:  # HDF5 doesn't look at how much was read
            content[done:] = bytes(content.nbytes - done)
        return done

    def read_at(self, place: int, count: int) -> bytes:
        """Read `count` bytes from `place` on, or as many as there are; nothing is moved."""
        if self._length is not None:
            count = min(count, self._length - place)
        return os.pread(self._descriptor, count, self._start + place) if count > 0 else b""


def read_beside(file: Any, path: str | os.PathLike[str]) -> Section:
    """Give the bytes of a file that is open in HDF5.

    Args:
        file: The open file, an `h5py.File`, which stays open meanwhile.
        path: Its path.
    """
    try:
        return Section(file.id.get_vfd_handle())
    except (RuntimeError, ValueError, NotImplementedError):
        return _File(path)  # HDF5 itself reads it by Python


class _File(Section):
    """A whole file, which is closed when HDF5 forgets it: no fault, as it would be of `open`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
