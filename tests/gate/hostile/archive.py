"""Zip archives: what other readers would find in them, what they would unpack, and where to."""

from __future__ import annotations

import struct
import zlib

from gate.hostile.archive_files import (
    OTHER,
    ZIP64,
    bomb,
    changed,
    descriptor,
    extend,
    field,
    many,
    packed,
    put_bytes,
)
from gate.hostile.case import Case
from gate.hostile.zip_writer import (
    Member,
    read_sample,
    write_end,
    write_end_64,
    write_zip,
)


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


UNICODE_PATH = field(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"assets/a")) + b"../../a")


def _layout(name, make, source=""):
    return Case(f"archive-{name}", make, "archive-layout", source)


def _members(name, *members, source="zip slip", **options):
    return Case(f"archive-{name}", extend(*members, **options), "archive-members", source)


def _named(name, path, source="zip slip (CVE-2025-12638)"):
    return _members(name, Member(path, b"x"), source=source)


def _like(name, path, attributes, source="links in archives"):
    member = Member(path, b"/etc/passwd", central={"attributes": attributes})
    return _members(name, member, source=source)


def _compressed(name, method, packed=b"x"):
    make = extend(Member("assets/a", b"x", method=method, packed=packed))
    return Case(f"archive-{name}", make, "archive-compression", "bombs of other methods")


CASES = (
    # What lies before, between and behind the members.
    Case("archive-elf-before", extend(before=b"\x7fELF" + bytes(60)), "file-type", "polyglots"),
    Case("archive-hdf5-before", extend(before=b"\x89HDF\r\n\x1a\n", name="model.json"), "file-type",
         "polyglots"),
    Case("archive-spanning-mark-before", extend(before=b"PK00"), "file-type", "polyglots"),
    _layout("member-that-isn't-named-before", extend(before=b"PK\3\4" + bytes(26)), "polyglots"),
    _layout("bytes-before-the-directory", extend(between=b"x" * 100), "polyglots"),
    _layout("second-directory", _second_directory, "polyglots"),
    _layout("bytes-between-members", changed("config.json", behind=b"hidden"), "polyglots"),
    _layout("bytes-in-the-directory", extend(in_directory=b"x" * 50), "polyglots"),
    _layout("bytes-behind", extend(behind=b"<?php ?>"), "polyglots"),
    _layout("pdf-behind", extend(behind=b"%PDF-1.4" + bytes(500)), "polyglots"),
    _layout("comment", extend(end=lambda *fields: write_end(*fields, comment=b"hello"))),
    _layout("archive-in-the-comment", _hidden_archive, "ambiguous ends"),
    _layout("two-ends", extend(behind=write_end(0, 0, 0)), "ambiguous ends"),
    _layout("offsets-of-a-part", extend(before=b"PK\3\4" + bytes(96), shift=100), "polyglots"),
    _layout("comment-of-a-member", changed(central={"comment": b"x" * 99})),
    _layout("overlapping", _overlap, "better zip bombs (CVE-2019-9674, CVE-2024-0450)"),
    # The header says one thing, the directory another: which one a reader believes differs.
    _layout("two-names", changed("config.json", local={"name": b"c0nfig.json"}), "two parsers"),
    _layout("two-sizes", changed(local={"size": 5}), "two parsers"),
    _layout("two-packed-sizes", changed(local={"packed": 5}), "two parsers"),
    _layout("two-checksums", changed(local={"crc": 5}), "two parsers"),
    _layout("two-methods", changed(method=8, local={"method": 0}), "two parsers"),
    _layout("two-sets-of-flags", changed(local={"flags": 2}), "two parsers"),
    _layout("stored-in-two-sizes", changed(both={"size": 5}), "two parsers"),
    _layout("unicode-path", extend(Member("assets/a", both={"extra": UNICODE_PATH})),
            "two parsers: Python from 3.12 on takes this name"),
    _layout("unknown-extra", changed(both={"extra": field(0xCAFE, b"x" * 50)})),
    _layout("extra-twice", changed(both={"extra": field(0x5455, bytes(5)) * 2})),
    _layout("extra-that-ends-early", changed(both={"extra": b"\x55\x54\xff\x00"})),
    _layout("extra-of-one-byte", changed(both={"extra": b"U"})),
    _layout("zip64-unasked", changed(both={"extra": ZIP64}), "two parsers"),
    _layout("zip64-missing", changed(central={"size": 0xFFFFFFFF}), "two parsers"),
    _layout("zip64-in-the-header-alone-differs", changed(
        local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "extra": ZIP64}), "two parsers"),
    _layout("descriptor-missing", changed(both={"flags": 8})),
    _layout("descriptor-differs", changed(both={"flags": 8}, behind=descriptor(crc=1))),
    _layout("descriptor-with-more", changed(
        both={"flags": 8}, behind=lambda member: descriptor()(member) + b"x")),
    _layout("bytes-behind-deflated", changed(
        method=8, packed=lambda member: packed(member) + b"hidden")),
    _layout("zip64-end-elsewhere", extend(
        end_64=lambda *fields: write_end_64(*fields[:3], place=0)), "CVE-2025-8291"),
    _layout("zip64-end-differs", extend(
        end_64=lambda count, size, start, place: write_end_64(1, size, start, place)),
        "CVE-2025-8291"),
    _layout("zip64-end-longer", extend(
        end_64=lambda *fields: write_end_64(*fields, length=60)), "CVE-2025-8291"),
    _layout("zip64-locator-alone", extend(
        end_64=lambda *fields: write_end_64(*fields)[-20:]), "CVE-2025-8291"),
    _layout("several-disks", extend(end=lambda *fields: write_end(*fields, disk=1))),
    _layout("count-is-lower", extend(
        end=lambda count, *rest: write_end(count - 1, *rest)), "two parsers"),
    _layout("member-on-another-disk", changed(central={"disk": 1})),
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
    Case("archive-weights-as-link", changed(central={"attributes": 0o120777 << 16}),
         "archive-members", "links in archives"),
    # How members are packed.
    _compressed("bzip2", 12), _compressed("lzma", 14), _compressed("deflate64", 9),
    _compressed("zstandard", 93), _compressed("xz", 95), _compressed("ppmd", 98),
    _compressed("aes", 99), _compressed("imploded", 6),
    *(Case(f"archive-{name}", changed(both={"flags": flags}), "archive-compression")
      for name, flags in (("encrypted", 1), ("strongly-encrypted", 0x41), ("masked", 0x2000),
                          ("patch", 0x20), ("unknown-flag", 0x8000))),
    # Sizes.
    Case("archive-bomb", bomb(size=512 << 20), "archive-size", "CVE-2026-0897's kin"),
    Case("archive-bomb-that-lies", bomb(size=64 << 20, say=1000), "archive-size", "zip bombs"),
    Case("archive-less-than-it-says", bomb(size=1 << 20, say=2 << 20), "archive-size"),
    Case("archive-says-an-exabyte", extend(Member("assets/a", packed=b"\3\0", method=8, local={
        "size": 0xFFFFFFFF, "extra": field(1, struct.pack("<Q", 1 << 60))}, central={
        "size": 0xFFFFFFFF, "extra": field(1, struct.pack("<Q", 1 << 60))})), "archive-size"),
    Case("archive-many-members", many(10_001), "archive-size"),
    # Damage.
    Case("archive-cut", _cut, "archive-damaged"),
    Case("archive-other-checksum", changed(both={"crc": 1}), "archive-damaged"),
    Case("archive-other-checksum-deflated", changed(method=8, both={"crc": 1}), "archive-damaged"),
    Case("archive-not-deflated", changed(method=8, packed=b"\xff" * 99), "archive-damaged"),
    Case("archive-deflated-in-part", changed(
        method=8, packed=lambda member: packed(member)[:-9]), "archive-damaged"),
    Case("archive-no-entry", changed(central={"magic": b"PK\1\1"}), "archive-damaged"),
    Case("archive-no-header", changed(local={"magic": b"PK\3\1"}), "archive-damaged"),
    # Another type than the ending says.
    *(Case(f"type-zip-as-{ending}", extend(name=f"model.{ending}"), "file-type", "by the ending")
      for ending in ("h5", "hdf5", "H5", "json", "tflite", "onnx")),
    *(Case(f"type-{name}-as-{ending}", put_bytes(content, f"model.{ending}"), "file-type")
      for name, content, ending in (
          ("json", b'{"class_name": "Sequential", "config": {}}', "keras"),
          ("json", b' {"class_name": "Sequential", "config": {}}', "h5"),
          ("tflite", b"\x1c\0\0\0TFL3" + bytes(56), "keras"),
          ("pickle", b"\x80\x04\x95\x10" + bytes(60), "keras"),
          ("script", b"#!/bin/sh\nexit 1\n", "keras"),
          ("nothing", b"", "keras"),
      )),
)  # fmt: skip
