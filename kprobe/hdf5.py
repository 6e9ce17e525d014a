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


class _File(io.RawIOBase):
    """A file that HDF5 reads by Python, and takes for no other that is open.

    It is closed when HDF5 forgets it, which is no fault, as it would be of `open`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence)
        self._place = offset + (os.fstat(self._file).st_size if start is None else start)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        content = memoryview(buffer).cast("B")
        done = 0
        while done < content.nbytes:  # the system reads at most 2 GB
            size = os.preadv(self._file, [content[done:]], self._place)
            if not size:
                break
            done += size
            self._place += size
        return done

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def opens_plainly(path: str | os.PathLike[str]) -> bool:
    """Tell whether h5py opens a file to read it without being told how, as other libraries do."""
    import h5py

    try:
        h5py.File(path, "r").close()
    except OSError:
        return False
    return True
