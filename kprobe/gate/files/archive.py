"""Whether a `.keras` archive is as Keras writes it, told without unpacking it into memory."""

from __future__ import annotations

import os
import stat
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.errors import ShortageError
from kprobe.gate.files.archive_layout import STORED, ArchiveMember, read_members
from kprobe.gate.files.checksum import compute_crc32
from kprobe.gate.files.config_json import MAX_BYTES
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show
from kprobe.hdf5 import Section
from kprobe.naming import list_names
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.gate.opened import OpenedFile

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# What layers keep in files of their own, such as vocabularies; folders are named by some tools.
_ASSETS = "assets/"
_KERAS = (METADATA, CONFIG, WEIGHTS)

# These are read in one go.
_JSON_BYTES = {CONFIG: MAX_BYTES, METADATA: 1 << 20}

_BLOCK = 1 << 18  # bytes: what is read and unpacked at a time fits the cache


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold.

    Attributes:
        members: How many members.
        size: How many bytes they unpack to, together.
        expansion: How many times the bytes that it takes in the archive a member may unpack to.
            Keras stores members as they are. Weights that are all zeros deflate to a thousandth.
        small: How many bytes a member may unpack to however few it takes.
    """

    members: int = 10_000
    size: int = 1 << 40
    expansion: int = 100
    small: int = 256 * 1024**2


LIMITS = ArchiveLimits()


class _MoreBehindError(Exception):
    """There are bytes behind the end of what is deflated."""


def find_archive_faults(opened: OpenedFile, limits: ArchiveLimits = LIMITS) -> Iterator[Fault]:
    """Find how a zip archive isn't one that Keras writes, or an ordinary tool for Keras.

    Members are unpacked block by block, for their checksums, and only once all that is said of
    them is in order. What passes reads the same with every reader of zip archives.

    Args:
        opened: The file.
        limits: What it may hold.

    Yields:
        The faults of the layout, or else of the names and sizes, or else of the contents.
    """
    members = read_members(opened, limits.members)
    if isinstance(members, Fault):
        yield members
        return
    if all(member.name != CONFIG for member in members):
        # What numpy saves, say: no danger.
        yield Fault("file-type", f"is not a model file: a zip archive without {CONFIG}")
        return
    faults = [*_find_name_faults(members), *_find_size_faults(members, limits)]
    yield from faults
    if not faults:
        for member in members:
            yield from _find_content_faults(opened, member)


def list_members(opened: OpenedFile, limits: ArchiveLimits = LIMITS) -> dict[str, ArchiveMember]:
    """List the members of an archive in which no faults were found, by their names.

    Of another one, some may be missing, or all.
    """
    members = read_members(opened, limits.members)
    return {} if isinstance(members, Fault) else {member.name: member for member in members}


def list_assets(opened: OpenedFile) -> list[ArchiveMember]:
    """List what layers keep in files of their own, none of which leads out of `assets/`."""
    return [each for name, each in list_members(opened).items() if _is_asset(name)]


def read_member(opened: OpenedFile, member: ArchiveMember) -> bytes:
    """Read and unpack a member of an archive in which no faults were found.

    It is as large as `member.size` says, in bytes.
    """
    packed = opened.read(member.packed, member.offset)
    if member.method == STORED:
        return packed
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size or 1)


def unpack_member(opened: OpenedFile, member: ArchiveMember) -> Iterator[bytes | memoryview]:
    """Unpack a member of an archive in which no faults were found, block by block.

    Each is overwritten by the next. There is no more than `member.size` says, in bytes.
    """
    left = member.size
    blocks = _read_blocks(opened, member)
    for block in blocks if member.method == STORED else _unpack_blocks(blocks):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            break


@contextmanager
def open_member(opened: OpenedFile, member: ArchiveMember) -> Iterator[Section]:
    """Open a member of an archive in which no faults were found, as a file of its own.

    It is read where it lies if it is stored, else unpacked to a file without a name, where
    temporary files are kept.

    Raises:
        ShortageError: It can't be unpacked there.
    """
    if member.method == STORED:
        yield Section(opened.descriptor, member.offset, member.size)
        return
    import tempfile  # takes long to import, and few archives are packed

    with ExitStack() as stack:
        try:
            unpacked = stack.enter_context(tempfile.TemporaryFile())
            for block in unpack_member(opened, member):
                unpacked.write(block)
            unpacked.flush()
        except OSError as error:
            raise find_shortage(error) or ShortageError(
                f"{opened.path}: its weights can't be unpacked to a temporary file: "
                f"{error.strerror}",
                hint=f"set TMPDIR to a folder with room for {member.size:,} bytes",
            ) from None
        yield Section(unpacked.fileno(), 0, member.size)


def _find_name_faults(members: Sequence[ArchiveMember]) -> Iterator[Fault]:
    names: set[str] = set()
    folders: set[str] = set()
    odd = []
    for member in members:
        name = member.name
        if fault := _find_kind_fault(member):
            yield fault
        if name in names:
            yield Fault("archive-members", f"has its member {show(name)} twice")
        names.add(name)
        if name in _KERAS:
            continue
        if not _is_asset(name):
            odd.append(name)
        parts = name.removesuffix("/").split("/")
        depth = len(parts) + name.endswith("/")
        folders.update("/".join(parts[:i]) for i in range(1, depth))
    if odd:
        received = list_names(map(show, odd), 2)
        yield Fault(
            "archive-members", f"expected {', '.join(_KERAS)} and {_ASSETS}, received {received}"
        )
    for name in sorted(folders & names)[:1]:
        yield Fault("archive-members", f"has {show(name)} as a file and as a folder")


def _is_asset(name: str) -> bool:
    return name.startswith(_ASSETS) and all(map(_is_plain, name.removesuffix("/").split("/")))


def _is_plain(part: str) -> bool:
    """Tell whether a part of a path means itself on every system."""
    return part not in ("", ".", "..") and part.isprintable() and "\\" not in part


def _find_kind_fault(member: ArchiveMember) -> Fault | None:
    """Find a member that is neither a file nor a folder, or is said to be both."""
    is_folder = member.name.endswith("/")
    kind = stat.S_IFMT(member.attributes >> 16)
    windows = member.attributes
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG) or (
        windows & stat.FILE_ATTRIBUTE_REPARSE_POINT
        or (windows & stat.FILE_ATTRIBUTE_DIRECTORY and not is_folder)
        or (is_folder and member.size)
    ):
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        return Fault("archive-members", f"has a member that is {what}: {show(member.name)}")
    return None


def _find_size_faults(members: Sequence[ArchiveMember], limits: ArchiveLimits) -> Iterator[Fault]:
    for member in members:
        if member.size > (most := _JSON_BYTES.get(member.name, member.size)):
            text = f"has a {member.name} of {member.size:,} bytes, above the limit of {most:,}"
            yield Fault("config-size", text)
        if member.size > max(limits.small, limits.expansion * member.packed):
            yield Fault(
                "archive-size",
                f"expected a member to unpack to at most {limits.expansion} times its size, "
                f"received {show(member.name)}: {member.packed:,} bytes for {member.size:,}",
            )
    total = sum(member.size for member in members)
    if total > limits.size:
        yield Fault(
            "archive-size", f"unpacks to {total:,} bytes, above the limit of {limits.size:,}"
        )


def _find_content_faults(opened: OpenedFile, member: ArchiveMember) -> Iterator[Fault]:
    """Unpack a member block by block, and find how it differs from what is said of it."""
    name = show(member.name)
    if member.method == STORED and member.packed == member.size:
        if compute_crc32(opened.descriptor, member.offset, member.size) != member.checksum:
            yield Fault("archive-damaged", f"has a damaged member, {name}: its checksum differs")
        return
    size = checksum = 0
    blocks = _read_blocks(opened, member)
    try:
        for block in blocks if member.method == STORED else _unpack_blocks(blocks):
            size += len(block)
            if size > member.size:
                break
            checksum = zlib.crc32(block, checksum)
    except zlib.error:
        yield Fault("archive-damaged", f"has a damaged member, {name}")
    except _MoreBehindError:
        yield Fault("archive-layout", f"has other bytes behind its compressed member {name}")
    else:
        if size != member.size:
            than = f"{'more' if size > member.size else 'less'} than the {member.size:,} bytes"
            yield Fault("archive-size", f"has a member that unpacks to {than} it says, {name}")
        elif checksum != member.checksum:
            yield Fault("archive-damaged", f"has a damaged member, {name}: its checksum differs")


def _read_blocks(opened: OpenedFile, member: ArchiveMember) -> Iterator[memoryview]:
    """Read a member's bytes as they lie in the file; each block is overwritten by the next."""
    buffer = memoryview(bytearray(min(_BLOCK, member.packed)))
    place, end = member.offset, member.offset + member.packed
    # Nothing is read where the file was cut meanwhile.
    while place < end and (count := os.preadv(opened.descriptor, [buffer[: end - place]], place)):
        yield buffer[:count]
        place += count


def _unpack_blocks(blocks: Iterator[memoryview]) -> Iterator[bytes]:
    """Unpack what is deflated, never more than a block at a time.

    Raises:
        zlib.error: It is damaged, or ends early.
        _MoreBehindError: It has ended before its bytes have.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or next(blocks, b"")
        unpacked = unpacker.decompress(packed, _BLOCK)
        if not packed and not unpacked:
            raise zlib.error("ends early")
        yield unpacked
    if unpacker.unused_data or next(blocks, None):
        raise _MoreBehindError
