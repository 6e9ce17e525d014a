"""Write bytes to their places in a file, and see that they get to the disk meanwhile.

What is only written waits in memory: each byte of a dump then takes a page that the system has to
find, and give up again later, until all goes to the disk in one long flush. Measured on ext4 with
two cores, 3.3 GB, 7 noisy rounds in turn: 0.25 GB/s for 12 s of processor time, and 1.7 to 2.0 GB/s
only where a file of that size was deleted just before; 0.8 to 1.3 GB/s past memory (O_DIRECT);
1.9 to 2.5 GB/s in the way below, in which a few pages serve all of the file.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections import deque
from typing import Any

_log = logging.getLogger(__name__)

# Smaller files may well be read again before they leave memory.
_LEAST_FILE_BYTES = 256 << 20
# Fewer bytes at a time aren't worth a disk's round.
_LEAST_BYTES = 256 << 10
_PART_BYTES = 1 << 20
_COPIED_BYTES = 4 << 20
# What may be on its way: more isn't faster, and is longer waited for at a commit.
_PARTS_UNDER_WAY = 64
# What copy_file_range(2) says of files, and of parts of one that overlap, which it doesn't copy.
_NO_COPY = (
    *(errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF),
    *(errno.EISDIR, errno.ETXTBSY),
)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # <fcntl.h>

_sync_file_range: Any = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)


def write_at(file: int, place: int, content: memoryview) -> None:
    """Write bytes at an offset, all of them.

    HDF5's own driver does it by the same call (H5FDsec2.c), so that no filesystem takes from h5py
    what it doesn't take from here.
    """
    content = content.cast("B")
    done = 0
    while done < content.nbytes:
        done += os.pwrite(file, content[done:], place + done)


class WriteBehind:
    """Writes to a file that set out for the disk at once, and whose pages are free after that.

    Any number of threads may write. Nothing is safe before the file is synchronized all the same:
    the disk has memory of its own, and the file's length and places are written elsewhere.

    Args:
        file: Descriptor of the file. An error of the disk that is raised here isn't told again to
            who synchronizes the same one.
        size: How large it becomes, in bytes.
    """

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self._pushes = size >= _LEAST_FILE_BYTES and _sync_file_range is not None
        self._under_way: deque[tuple[int, int]] = deque()

    def write(self, place: int, content: memoryview) -> None:
        """Write bytes at an offset, all of them; wait while too many others are on their way.

        Raises:
            OSError: They can't be written, or earlier ones couldn't.
        """
        content = content.cast("B")
        pushes = self._pushes and content.nbytes >= _LEAST_BYTES
        begin = 0
        while begin < content.nbytes:
            # Where parts meet they share no page, which could leave memory with neither.
            end = begin + _PART_BYTES - (place + begin) % _PART_BYTES
            part = content[begin:end]
            write_at(self._file, place + begin, part)
            if pushes:
                self._push(place + begin, part.nbytes)
            begin = end

    def copy(self, source: int, begin: int, size: int, place: int) -> None:
        """Write to an offset what another file, or another place of this one, holds.

        Args:
            source: Descriptor of the file to read.
            begin: The byte offset to read from; where both are the same file, behind `place`.
            size: How many bytes.
            place: The byte offset to write to.

        Raises:
            OSError: They can't be read or written, or earlier ones couldn't.
        """
        done = self._copy_inside(source, begin, size, place)
        for more in range(done, size, _COPIED_BYTES):
            piece = os.pread(source, min(_COPIED_BYTES, size - more), begin + more)
            self.write(place + more, memoryview(piece))

    def _copy_inside(self, source: int, begin: int, size: int, place: int) -> int:
        """Copy within the system, and tell how many bytes; fewer where it doesn't do that."""
        if not hasattr(os, "copy_file_range"):
            return 0
        done = 0
        while done < size:
            part = min(_PART_BYTES - (place + done) % _PART_BYTES, size - done)
            try:
                copied = os.copy_file_range(source, self._file, part, begin + done, place + done)
            except OSError as error:
                if error.errno in _NO_COPY:
                    break
                raise
            if not copied:
                break
            if self._pushes and copied >= _LEAST_BYTES:
                self._push(place + done, copied)
            done += copied
        return done

    def _push(self, place: int, size: int) -> None:
        self._sync(place, size, _WRITE)
        self._under_way.append((place, size))
        if len(self._under_way) > _PARTS_UNDER_WAY:
            place, size = self._under_way.popleft()
            self._sync(place, size, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
            # Pages are left alone that another thread has written to since.
            os.posix_fadvise(self._file, place, size, os.POSIX_FADV_DONTNEED)

    def _sync(self, place: int, size: int, flags: int) -> None:
        """Call sync_file_range(2)."""
        arguments = ctypes.c_int64(place), ctypes.c_int64(size), ctypes.c_uint(flags)
        if self._pushes and _sync_file_range(self._file, *arguments):
            error = ctypes.get_errno()
            if error not in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP):
                raise OSError(error, os.strerror(error))
            self._pushes = False
            _log.info("what is written waits in memory for a commit: %s", os.strerror(error))
