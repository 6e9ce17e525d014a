"""Open the weights inside a `.keras` archive without unpacking them."""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kprobe.errors import ModelError
from kprobe.hdf5 import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.gate.findings import Opened

# Above this a compressed weights member is not unpacked to a temporary file just to list it.
MAX_UNPACKED_BYTES = 16 * 1024**3


@contextmanager
def open_weights_member(opened: Opened) -> Iterator[Any]:
    """Open the HDF5 member of a `.keras` archive, in place where it is stored uncompressed.

    Args:
        opened: The archive.

    Yields:
        A binary file that can seek.

    Raises:
        ModelError: If there is no such member.
    """
    import zipfile

    with zipfile.ZipFile(opened.name) as archive:
        try:
            member = archive.getinfo("model.weights.h5")
        except KeyError:
            raise ModelError(f"{opened.path} holds no model.weights.h5") from None
        if member.compress_type == zipfile.ZIP_STORED:
            header = os.pread(opened.descriptor, 30, member.header_offset)
            name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
            start = member.header_offset + 30 + name_bytes + extra_bytes
            yield Section(opened.descriptor, start, member.file_size)
            return
        if member.file_size > MAX_UNPACKED_BYTES:
            raise ModelError(f"{opened.path}: its weights unpack to {member.file_size:,} bytes")
        import shutil

        with archive.open(member) as packed, tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(packed, unpacked)
            unpacked.seek(0)
            yield unpacked
