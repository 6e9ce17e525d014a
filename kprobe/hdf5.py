"""Open HDF5 files for reading, whatever else has them open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.errors import KprobeError

if TYPE_CHECKING:
    import os

# What HDF5 has for files that are marked as open for writing (H5F_open in H5Fint.c).
_MARKED = "already open for write"


class OpenForWritingError(KprobeError):
    """An HDF5 file that is open for writing elsewhere, and can't be read meanwhile."""


def open_for_reading(path: str | os.PathLike[str]) -> Any:
    """Open an HDF5 file for reading, whatever else has it open.

    HDF5 opens a file that is open in the process already only if both are to lock it in the same
    way, and refuses one that another process has locked unless it needn't lock it. So all ways are
    tried. The first is h5py's own, so that others may open the file in that way after this.

    Args:
        path: The file.

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
        raise OpenForWritingError(
            f"{path}: is open for writing elsewhere, and can't be read meanwhile",
            hint=f"close it there; if what wrote it was killed, `h5clear -s {path}` frees it",
        ) from errors[-1]
    raise errors[0]


def opens_plainly(path: str | os.PathLike[str]) -> bool:
    """Tell whether h5py opens a file to read it without being told how, as other libraries do."""
    import h5py

    try:
        h5py.File(path, "r").close()
    except OSError:
        return False
    return True
