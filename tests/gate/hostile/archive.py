"""Zip archives: what other readers would find in them, what they would unpack, and where to."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from gate.hostile.case import Case
from gate.hostile.zip_writer import (
    Member,
    deflate,
    read_sample,
    write_end,
    write_end_64,
    write_zip,
)

OTHER = Member("config.json", b'{"class_name": "Other", "config": {}}')
ZIP64 = struct.pack("<2H2Q", 1, 16, 7, 7)


def _with(*members, name="model.keras", **options):
    """Make a case's file: an honest model with more members."""

    def make(folder, marker):
        return write_zip(folder / name, [*read_sample(), *members], **options)

    return make


def _changed(name="model.weights.h5", suffix=".keras", **changes):
    """Make a case's file: an honest model, one of whose members is changed.

    A change that is a function is given the member.
    """

    def make(folder, marker):
        members = [
            each.change(
                **{key: made(each) if callable(made) else made for key, made in changes.items()}
            )
            if each.name == name
            else each
            for each in read_sample()
        ]
        return write_zip(folder / f"model{suffix}", members)

    return make


def _by_zipfile(compression=zipfile.ZIP_STORED, folders=(), force_zip64=False, seekable=True):
    """Make a case's file as Python's own writer of archives does."""

    def make(folder, marker):
        path = folder / "model.keras"
        with path.open("wb") as file:
            target = file if seekable else _Stream(file)
            with zipfile.ZipFile(target, "w", compression) as archive:
                for name in folders:
                    archive.writestr(zipfile.ZipInfo(name), b"")
                for each in read_sample():
                    with archive.open(each.name, "w", force_zip64=force_zip64) as member:
                        member.write(each.content)
        return path

    return make


class _Stream(io.RawIOBase):
    """A file that can't seek, as a pipe."""

    def __init__(self, file):
        self._file = file

    def writable(self):
        return True

    def write(self, content):
        return self._file.write(content)


def _overlap(folder, marker):
    """Two members whose bytes are the same ones: the larger holds the smaller's header, too."""
    inner = Member("assets/b", b"x" * 100)
    written = write_zip(folder / "inner", [inner]).read_bytes()
    inside = written[: written.index(b"PK\1\2")]
    members = [*read_sample(), Member("assets/a", inside)]
    start = write_zip(folder / "outer", members).read_bytes().index(inside)
    (folder / "inner").unlink()
    (folder / "outer").unlink()
    second = Member("assets/b", b"", local={"magic": b""}, central={"header": start})
    size = {"size": 100, "packed": 100, "crc": zlib.crc32(inner.content), "header": start}
    path = write_zip(folder / "model.keras", [*members, second.change(central=size)])
    # The second one's header isn't written at all: its entry points into the first.
    content = path.read_bytes()
    place = content.index(b"PK\1\2") - 30 - len("assets/b") + 4
    rest = content[content.index(b"PK\1\2") :]
    directory = rest[: rest.index(b"PK\5\6")]
    path.write_bytes(content[:place] + directory + write_end(5, len(directory), place))
    return path


def _hidden_archive(folder, marker):
    """An archive with a comment that is an archive: readers differ in which end they take."""
    other = write_zip(folder / "other", [OTHER]).read_bytes()
    (folder / "other").unlink()

    def end(*fields):
        return write_end(*fields, comment=other)

    return write_zip(folder / "model.keras", read_sample(), end=end)


def _second_directory(folder, marker):
    """Members that no directory names, and a directory that no end does: for those who scan."""
    other = write_zip(folder / "other", [OTHER]).read_bytes()
    (folder / "other").unlink()
    return write_zip(folder / "model.keras", read_sample(), between=other)


def _cut(folder, marker):
    path = write_zip(folder / "model.keras", read_sample())
    path.write_bytes(path.read_bytes()[:-4000])
    return path


def _bomb(*, size, say=None):
    """Make a member of zeros, packed to a thousandth, that says it has `say` bytes."""

    def make(folder, marker):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
        packed = block * (size >> 20) + packer.flush()
        said = {
            "size": size if say is None else say,
            "crc": zlib.crc32(bytes(min(size, 16 << 20))),
        }
        member = Member("assets/vocabulary.txt", packed=packed, method=8, both=said)
        return write_zip(folder / "model.keras", [*read_sample(), member])

    return make


def _bytes(content, name):
    def make(folder, marker):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _many(count):
    def make(folder, marker):
        extra = [Member(f"assets/{i}") for i in range(count)]
        return write_zip(folder / "model.keras", [*read_sample(), *extra])

    return make


def _packed(member):
    return deflate(member.content)


def _field(kind, content):
    return struct.pack("<2H", kind, len(content)) + content


def _descriptor(sizes="2L", magic=b"PK\7\x08", crc=None):
    def make(member):
        checksum = zlib.crc32(member.content) if crc is None else crc
        length = len(member.content)
        return magic + struct.pack(f"<L{sizes}", checksum, length, length)

    return make


LATE = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
UNICODE_PATH = _field(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"assets/a")) + b"../../a")


def _layout(name, make, source=""):
    return Case(f"archive-{name}", make, "archive-layout", source)


def _members(name, *members, source="zip slip", **options):
    return Case(f"archive-{name}", _with(*members, **options), "archive-members", source)


def _named(name, path, source="zip slip (CVE-2025-12638)"):
    return _members(name, Member(path, b"x"), source=source)


def _like(name, path, attributes, source="links in archives"):
    member = Member(path, b"/etc/passwd", central={"attributes": attributes})
    return _members(name, member, source=source)


def _compressed(name, method, packed=b"x"):
    make = _with(Member("assets/a", b"x", method=method, packed=packed))
    return Case(f"archive-{name}", make, "archive-compression", "bombs of other methods")


HONEST = (
    ("as-keras-writes-it", _with()),
    ("deflated", _by_zipfile(zipfile.ZIP_DEFLATED)),
    ("with-folders", _by_zipfile(folders=("assets/", "assets/layers/"))),
    ("forced-zip64", _by_zipfile(force_zip64=True)),
    ("streamed", _by_zipfile(seekable=False)),
    ("streamed-deflated", _by_zipfile(zipfile.ZIP_DEFLATED, seekable=False)),
    ("streamed-zip64", _by_zipfile(force_zip64=True, seekable=False)),
    ("descriptor-without-magic", _changed(
        local=LATE, central={"flags": 8}, behind=_descriptor(magic=b""))),
    ("zip64-end", _with(end_64=write_end_64)),
    ("directory-in-another-order", _with(order=lambda entry: entry[46:])),
    ("with-assets", _with(Member("assets/layers/lookup/vocabulary.txt", "ä\nö".encode()))),
    ("unicode-name", _with(Member("assets/layers/größe/vocabulary.txt", b"a\nb"))),
    ("without-ending", _with(name="model")),
    ("other-ending", _with(name="model.v2")),
    ("times-and-owner", _changed(
        local={"extra": _field(0x5455, bytes(9)) + _field(0x7875, bytes(11))},
        central={"extra": _field(0x5455, bytes(5)) + _field(0x7875, bytes(11))},
    )),
    ("windows-times", _changed(central={"extra": _field(0x000A, bytes(32)), "attributes": 0x20})),
    ("zeros-well-deflated", _bomb(size=16 << 20)),
)  # fmt: skip

CASES = (
    *(Case(f"archive-honest-{name}", make, None) for name, make in HONEST),
    # What lies before, between and behind the members.
    Case("archive-elf-before", _with(before=b"\x7fELF" + bytes(60)), "file-type", "polyglots"),
    Case("archive-hdf5-before", _with(before=b"\x89HDF\r\n\x1a\n", name="model.json"), "file-type",
         "polyglots"),
    Case("archive-spanning-mark-before", _with(before=b"PK00"), "file-type", "polyglots"),
    _layout("member-that-isn't-named-before", _with(before=b"PK\3\4" + bytes(26)), "polyglots"),
    _layout("bytes-before-the-directory", _with(between=b"x" * 100), "polyglots"),
    _layout("second-directory", _second_directory, "polyglots"),
    _layout("bytes-between-members", _changed("config.json", behind=b"hidden"), "polyglots"),
    _layout("bytes-in-the-directory", _with(in_directory=b"x" * 50), "polyglots"),
    _layout("bytes-behind", _with(behind=b"<?php ?>"), "polyglots"),
    _layout("pdf-behind", _with(behind=b"%PDF-1.4" + bytes(500)), "polyglots"),
    _layout("comment", _with(end=lambda *fields: write_end(*fields, comment=b"hello"))),
    _layout("archive-in-the-comment", _hidden_archive, "ambiguous ends"),
    _layout("two-ends", _with(behind=write_end(0, 0, 0)), "ambiguous ends"),
    _layout("offsets-of-a-part", _with(before=b"PK\3\4" + bytes(96), shift=100), "polyglots"),
    _layout("comment-of-a-member", _changed(central={"comment": b"x" * 99})),
    _layout("overlapping", _overlap, "better zip bombs (CVE-2019-9674, CVE-2024-0450)"),
    # The header says one thing, the directory another: which one a reader believes differs.
    _layout("two-names", _changed("config.json", local={"name": b"c0nfig.json"}), "two parsers"),
    _layout("two-sizes", _changed(local={"size": 5}), "two parsers"),
    _layout("two-packed-sizes", _changed(local={"packed": 5}), "two parsers"),
    _layout("two-checksums", _changed(local={"crc": 5}), "two parsers"),
    _layout("two-methods", _changed(method=8, local={"method": 0}), "two parsers"),
    _layout("two-sets-of-flags", _changed(local={"flags": 2}), "two parsers"),
    _layout("stored-in-two-sizes", _changed(both={"size": 5}), "two parsers"),
    _layout("unicode-path", _with(Member("assets/a", both={"extra": UNICODE_PATH})),
            "two parsers: Python from 3.12 on takes this name"),
    _layout("unknown-extra", _changed(both={"extra": _field(0xCAFE, b"x" * 50)})),
    _layout("extra-twice", _changed(both={"extra": _field(0x5455, bytes(5)) * 2})),
    _layout("extra-that-ends-early", _changed(both={"extra": b"\x55\x54\xff\x00"})),
    _layout("extra-of-one-byte", _changed(both={"extra": b"U"})),
    _layout("zip64-unasked", _changed(both={"extra": ZIP64}), "two parsers"),
    _layout("zip64-missing", _changed(central={"size": 0xFFFFFFFF}), "two parsers"),
    _layout("zip64-in-the-header-alone-differs", _changed(
        local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "extra": ZIP64}), "two parsers"),
    _layout("descriptor-missing", _changed(both={"flags": 8})),
    _layout("descriptor-differs", _changed(both={"flags": 8}, behind=_descriptor(crc=1))),
    _layout("descriptor-with-more", _changed(
        both={"flags": 8}, behind=lambda member: _descriptor()(member) + b"x")),
    _layout("bytes-behind-deflated", _changed(
        method=8, packed=lambda member: _packed(member) + b"hidden")),
    _layout("zip64-end-elsewhere", _with(
        end_64=lambda *fields: write_end_64(*fields[:3], place=0)), "CVE-2025-8291"),
    _layout("zip64-end-differs", _with(
        end_64=lambda count, size, start, place: write_end_64(1, size, start, place)),
        "CVE-2025-8291"),
    _layout("zip64-end-longer", _with(
        end_64=lambda *fields: write_end_64(*fields, length=60)), "CVE-2025-8291"),
    _layout("zip64-locator-alone", _with(
        end_64=lambda *fields: write_end_64(*fields)[-20:]), "CVE-2025-8291"),
    _layout("several-disks", _with(end=lambda *fields: write_end(*fields, disk=1))),
    _layout("count-is-lower", _with(
        end=lambda count, *rest: write_end(count - 1, *rest)), "two parsers"),
    _layout("member-on-another-disk", _changed(central={"disk": 1})),
    # Names, and what kind of file they are of.
    _named("parent", "../../marker"),
    _named("parent-in-assets", "assets/../../marker"),
    _named("absolute", "/tmp/marker"),
    _named("drive", "C:/marker"),
    _named("backslashes", "assets\\..\\marker"),
    _named("dot", "assets/./a"),
    _named("no-name", "assets//a"),
    _named("current-folder", "./config.json"),
    _named("tilde", "~/.bashrc"),
    _named("nul", "assets/a\0.txt"),
    _named("escapes-of-a-terminal", "assets/\x1b]0;owned\x07"),
    _named("turned-around", "assets/\u202egpj.exe"),
    _named("long-name", "assets/" + "a" * 2000),
    _members("name-that-isn't-unicode", Member("x", both={"name": b"assets/\xff"})),
    _members("name-in-another-code", Member("x", both={"name": "assets/ä".encode(), "flags": 0})),
    _members("unnamed", Member("x", both={"name": b""})),
    _named("python", "sitecustomize.py", "more than Keras writes"),
    _named("pickle", "model.pkl", "more than Keras writes"),
    _named("pickled-weights", "model.weights.npz", "more than Keras writes"),
    _named("saved-model-inside", "saved_model.pb", "more than Keras writes"),
    _named("shards", "model.weights_00001.h5", "more than Keras writes"),
    _named("upper-case", "CONFIG.JSON", "more than Keras writes"),
    _named("config-as-folder", "config.json/", "more than Keras writes"),
    _named("mac-os", "__MACOSX/._config.json", "more than Keras writes"),
    _members("config-twice", OTHER, source="two parsers"),
    _members("config-twice-in-another-order", OTHER, order=len, source="two parsers"),
    _members("asset-twice", Member("assets/a", b"x"), Member("assets/a", b"y")),
    _members("file-and-folder", Member("assets/a", b"x"), Member("assets/a/b", b"y")),
    _members("file-and-empty-folder", Member("assets/a", b"x"), Member("assets/a/")),
    _members("assets-as-a-file", Member("assets", b"x")),
    _members("folder-with-bytes", Member("assets/a/", b"x")),
    Case("archive-without-config", lambda folder, marker: write_zip(
        folder / "model.keras", read_sample()[2:]), "file-type"),
    Case("archive-empty", lambda folder, marker: write_zip(folder / "model.keras", [
        Member("assets/a")]), "file-type"),
    Case("archive-of-numpy", lambda folder, marker: write_zip(folder / "model.keras", [
        Member("arr_0.npy", b"x")]), "file-type"),
    _like("link", "assets/vocabulary.txt", 0o120777 << 16),
    _like("device", "assets/vocabulary.txt", 0o020666 << 16),
    _like("pipe", "assets/vocabulary.txt", 0o010666 << 16),
    _like("folder-in-disguise", "assets/vocabulary.txt", 0o040755 << 16),
    _like("folder-of-windows", "assets/vocabulary.txt", 0x10),
    _like("junction-of-windows", "assets/vocabulary.txt", 0x400),
    Case("archive-weights-as-link", _changed(central={"attributes": 0o120777 << 16}),
         "archive-members", "links in archives"),
    # How members are packed.
    _compressed("bzip2", 12), _compressed("lzma", 14), _compressed("deflate64", 9),
    _compressed("zstandard", 93), _compressed("xz", 95), _compressed("ppmd", 98),
    _compressed("aes", 99), _compressed("imploded", 6),
    *(Case(f"archive-{name}", _changed(both={"flags": flags}), "archive-compression")
      for name, flags in (("encrypted", 1), ("strongly-encrypted", 0x41), ("masked", 0x2000),
                          ("patch", 0x20), ("unknown-flag", 0x8000))),
    # Sizes.
    Case("archive-bomb", _bomb(size=512 << 20), "archive-size", "CVE-2026-0897's kin"),
    Case("archive-bomb-that-lies", _bomb(size=64 << 20, say=1000), "archive-size", "zip bombs"),
    Case("archive-less-than-it-says", _bomb(size=1 << 20, say=2 << 20), "archive-size"),
    Case("archive-says-an-exabyte", _with(Member("assets/a", packed=b"\3\0", method=8, local={
        "size": 0xFFFFFFFF, "extra": _field(1, struct.pack("<Q", 1 << 60))}, central={
        "size": 0xFFFFFFFF, "extra": _field(1, struct.pack("<Q", 1 << 60))})), "archive-size"),
    Case("archive-many-members", _many(10_001), "archive-size"),
    # Damage.
    Case("archive-cut", _cut, "archive-damaged"),
    Case("archive-other-checksum", _changed(both={"crc": 1}), "archive-damaged"),
    Case("archive-other-checksum-deflated", _changed(method=8, both={"crc": 1}), "archive-damaged"),
    Case("archive-not-deflated", _changed(method=8, packed=b"\xff" * 99), "archive-damaged"),
    Case("archive-deflated-in-part", _changed(
        method=8, packed=lambda member: _packed(member)[:-9]), "archive-damaged"),
    Case("archive-no-entry", _changed(central={"magic": b"PK\1\1"}), "archive-damaged"),
    Case("archive-no-header", _changed(local={"magic": b"PK\3\1"}), "archive-damaged"),
    # Another type than the ending says.
    *(Case(f"type-zip-as-{ending}", _with(name=f"model.{ending}"), "file-type", "by the ending")
      for ending in ("h5", "hdf5", "H5", "json", "tflite", "onnx")),
    *(Case(f"type-{name}-as-{ending}", _bytes(content, f"model.{ending}"), "file-type")
      for name, content, ending in (
          ("json", b'{"class_name": "Sequential", "config": {}}', "keras"),
          ("json", b' {"class_name": "Sequential", "config": {}}', "h5"),
          ("tflite", b"\x1c\0\0\0TFL3" + bytes(56), "keras"),
          ("pickle", b"\x80\x04\x95\x10" + bytes(60), "keras"),
          ("script", b"#!/bin/sh\nexit 1\n", "keras"),
          ("nothing", b"", "keras"),
      )),
)  # fmt: skip
