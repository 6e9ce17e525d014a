"""What the HDF5 of a model may hold, before any of its values is read.

Everything is asked of HDF5 itself, so that what is checked is what it reads: a file that its own
parser can't read has no verdict of another one. No value of a dataset is read, no filter is loaded
and no other file is opened.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any

import h5py
from h5py import h5, h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5s

from kprobe.gate.files.hdf5_blocks import check_blocks
from kprobe.gate.files.hdf5_datasets import (
    EXTERNAL,
    OWN_FILTERS,
    UNPACKED,
    UNPACKED_RATIO,
    BrokenRuleError,
    StoredDataset,
    measure_dataset,
)
from kprobe.gate.files.hdf5_header import UnreadableError, read_attributes
from kprobe.gate.files.hdf5_texts import Heaps
from kprobe.gate.files.hdf5_types import describe_type, name_type
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.hdf5 import Section

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
# Far above what any Keras writes: objects in a file, attributes of an object, groups in groups,
# bytes of a name and of a path.
MOST_OBJECTS, MOST_ATTRIBUTES, DEEPEST = 100_000, 256, 200
LONGEST_NAME, LONGEST_PATH = 1024, 2048
# Bytes of an attribute: no config is larger.
LARGEST_ATTRIBUTE = 256 << 20
# The messages that headers of groups and datasets of plain values have: shape, links, type, fill
# values, a link, layout, a group's settings, filters, attributes, comments, times, continuations, a
# table of symbols, and where many attributes are. Values outside are found by what has them.
_MESSAGES = sum(
    1 << kind
    for kind in (0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22)
) | EXTERNAL  # fmt: skip
_LINKS = {h5l.TYPE_SOFT: "another name", h5l.TYPE_EXTERNAL: "another file"}
# A file of fewer bytes is read at once: HDF5 asks for each of its parts by itself.
_SMALL = 4 << 20


def find_hdf5_faults(file: Section, found: list[StoredDataset]) -> Iterator[Fault]:
    """Find what the HDF5 of a model holds that it mustn't.

    Args:
        file: The file, or the part of an archive that is one.
        found: Gets the datasets that break no rule, as they are found: all of them, where the
            iteration ends without a fault.

    Yields:
        What breaks a rule. Where nothing behind it can be trusted, it is the last one.
    """
    if fault := _judge_beginning(file):
        yield fault
        return
    try:
        with closing(_open(file)) as opened:
            yield from _Walk(file, found).go(h5g.open(opened, b"/"))
    except BrokenRuleError as error:
        yield Fault(error.rule, str(error))
    except Exception as error:  # HDF5 reports damage in many types
        yield _tell_damage(error)


def _open(file: Section) -> Any:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    if len(file) <= _SMALL:
        access.set_fapl_core(backing_store=False)
        access.set_file_image(file.read_at(0, len(file)))
    else:
        access.set_fileobj_driver(h5py.h5fd.fileobj_driver, file)
    return h5f.open(repr(file).encode(), h5f.ACC_RDONLY, access)


def _judge_beginning(file: Section) -> Fault | None:
    """Judge the superblock: where HDF5's own header is, and where the file ends."""
    head = file.read_at(0, 96)
    if head[:8] != _SIGNATURE:
        return Fault("hdf5-layout", "doesn't begin with HDF5's own header")
    try:
        version = head[8]
        if version in (0, 1):
            sizes = head[13:15]
            start, _, end, more = struct.unpack_from("<QQQQ", head, 24 if version == 0 else 28)
        elif version in (2, 3):
            sizes = head[9:11]
            start, more, end = struct.unpack_from("<QQQ", head, 12)
        else:
            return Fault("hdf5-layout", f"has version {version} of HDF5's header")
    except (struct.error, IndexError):
        return Fault("hdf5-damaged", f"ends after {len(file):,} bytes")
    if sizes != b"\x08\x08" or start or more != _UNDEFINED:
        return Fault("hdf5-layout", "has a header of HDF5 as Keras writes none")
    if end > len(file):
        return Fault("hdf5-damaged", f"ends after {len(file):,} of {end:,} bytes")
    if end < len(file):
        return Fault("hdf5-layout", f"has {len(file) - end:,} bytes behind its end")
    return None


class _Walk:
    """One way through a file, from group to group; each object is seen once."""

    def __init__(self, file: Section, found: list[StoredDataset]) -> None:
        self._file = file
        self._size = len(file)
        self._found = found
        self._seen: dict[int, str] = {}
        self._stored = self._unpacked = self._said = 0
        self._exceeded = False
        self._heaps = Heaps(file)

    def go(self, root: Any) -> Iterator[Fault]:
        info = h5o.get_info(root)
        self._seen[info.addr] = "/"
        yield from self._judge(root, info, "")
        pending = [(root, "", 0)]
        while pending:
            group, path, depth = pending.pop()
            for name, kind, address in self._list_links(group):
                inside = f"{path}/{_decode(name)}" if path else _decode(name)
                self._note(inside, depth, name, kind, address)
                thing = h5o.open(group, name)
                info = h5o.get_info(thing)
                if info.addr != address:
                    raise BrokenRuleError("hdf5-links", f"{_show(inside)} is two objects")
                yield from self._judge(thing, info, inside)
                if self._exceeded:  # what comes is still more
                    return
                if isinstance(thing, h5g.GroupID):
                    pending.append((thing, inside, depth + 1))

    def _list_links(self, group: Any) -> list[tuple[bytes, int, int]]:
        links: list[tuple[bytes, int, int]] = []
        room = MOST_OBJECTS - len(self._seen)

        def note(name: bytes, info: Any) -> bool:
            links.append((name, info.type, info.u))
            return len(links) > room

        # In the order in which they lie: sorting those of a damaged group ends the process.
        group.links.iterate(note, info=True, order=h5.ITER_NATIVE)
        if len(links) > room:
            raise BrokenRuleError(
                "hdf5-size", f"has more than {MOST_OBJECTS:,} groups and datasets"
            )
        return links

    def _note(self, path: str, depth: int, name: bytes, kind: int, address: int) -> None:
        """Note where a link leads to.

        Raises:
            BrokenRuleError: It isn't one that a file of Keras has; nothing behind it is looked at.
        """
        if len(name) > LONGEST_NAME or len(path) > LONGEST_PATH or depth >= DEEPEST:
            raise BrokenRuleError(
                "hdf5-size", f"{_show(path)} lies too deep, or its name is too long"
            )
        if kind != h5l.TYPE_HARD:
            where = _LINKS.get(kind, "something else")
            raise BrokenRuleError("hdf5-links", f"{_show(path)} is a link to {where}")
        if name in (b"", b".") or b"/" in name:
            raise BrokenRuleError("hdf5-links", f"{_show(path)} has no name of its own")
        first = self._seen.setdefault(address, path)
        if first is not path:
            raise BrokenRuleError(
                "hdf5-links", f"{_show(path)} is the same object as {_show(first)}"
            )

    def _judge(self, thing: Any, info: Any, path: str) -> Iterator[Fault]:
        """Judge an object by itself."""
        try:
            self._check(thing, info, path)
        except BrokenRuleError as error:
            yield Fault(error.rule, f"{_show(path)} {error}")

    def _check(self, thing: Any, info: Any, path: str) -> None:
        if not isinstance(thing, h5d.DatasetID | h5g.GroupID):
            raise BrokenRuleError("hdf5-types", "is a type, and neither a group nor a dataset")
        messages = info.hdr.mesg.present
        if info.rc != 1 and path:
            raise BrokenRuleError("hdf5-links", f"has {info.rc:,} names")
        if messages & ~_MESSAGES or info.hdr.mesg.shared:
            raise BrokenRuleError(
                "hdf5-types", "has parts that lie elsewhere, or that no Keras writes"
            )
        if isinstance(thing, h5d.DatasetID):
            dataset = measure_dataset(thing, path, messages, OWN_FILTERS)
            self._count(dataset)
            if dataset.block:
                check_blocks(thing, dataset.block, self._file)
            if dataset.dtype == "str":
                self._say(self._count_texts(thing, dataset))
            self._found.append(dataset)
        if info.num_attrs:
            self._check_attributes(thing, info)

    def _count(self, dataset: StoredDataset) -> None:
        self._stored += dataset.stored
        self._unpacked += dataset.unpacked - dataset.stored
        if self._stored > self._size:
            self._exceeded = True
            text = f"and others before it take {self._stored:,} bytes, and the file fewer"
            raise BrokenRuleError("hdf5-size", text)
        if self._unpacked > UNPACKED + UNPACKED_RATIO * self._size:
            self._exceeded = True
            text = f"and others before it unpack to {self._unpacked:,} bytes, which is too much"
            raise BrokenRuleError("hdf5-size", text)

    def _check_attributes(self, thing: Any, info: Any) -> None:
        if info.num_attrs > MOST_ATTRIBUTES:
            raise BrokenRuleError("hdf5-size", f"has {info.num_attrs:,} attributes")
        names: list[bytes] = []
        h5a.iterate(thing, names.append, order=h5.ITER_NATIVE)
        texts = []
        for name in names:
            if len(name) > LONGEST_NAME:
                raise BrokenRuleError("hdf5-size", "has an attribute whose name is too long")
            attribute = h5a.open(thing, name)
            kind = attribute.get_type()
            if (dtype := name_type(kind)) is None:
                received = describe_type(kind)
                raise BrokenRuleError("hdf5-types", f"has {received} in attribute {_show(name)}")
            space = attribute.get_space()
            if space.get_simple_extent_type() == h5s.NULL:
                raise BrokenRuleError("hdf5-types", f"has no value in attribute {_show(name)}")
            if dtype == "str":
                texts.append(name)
            else:
                self._say(space.get_simple_extent_npoints() * kind.get_size(), name)
        if texts:
            self._measure_texts(texts, info.addr)

    def _measure_texts(self, names: list[bytes], address: int) -> None:
        stored = {attribute.name: attribute for attribute in read_attributes(self._file, address)}
        for name in names:
            if name not in stored:
                raise UnreadableError("an attribute isn't where it should be")
            self._say(self._heaps.measure(stored[name]), name)

    def _count_texts(self, thing: Any, dataset: StoredDataset) -> int:
        """Count the bytes of the texts of a dataset whose texts are of any length."""
        offset = thing.get_offset()
        if offset is None and dataset.stored:
            raise BrokenRuleError("hdf5-types", "has texts of any length in blocks")
        return self._heaps.count(self._file.read_at(offset or 0, dataset.stored))

    def _say(self, size: int, name: bytes = b"") -> None:
        """Count what attributes and texts take: each of them lies in the file by itself."""
        self._said += size
        if size > LARGEST_ATTRIBUTE and name:
            raise BrokenRuleError("hdf5-size", f"has {size:,} bytes in attribute {_show(name)}")
        if self._said > self._size:
            self._exceeded = True
            raise BrokenRuleError("hdf5-size", "has texts that take more bytes than the file")


def _decode(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BrokenRuleError("hdf5-links", f"{_show(name)} has a name that isn't UTF-8") from None


def _show(name: str | bytes) -> str:
    return show(name or "/")


def _tell_damage(error: Exception) -> Fault:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return Fault("hdf5-damaged", f"HDF5 can't read it: {show(reason, '')}")
