"""Dumps of strangers: what HDF5 can hold, and no dump does, is damage, in one line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from gate.hostile.hdf5_files import point_at_long
from gate.hostile.hdf5_layouts import stop_heap

import kprobe
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.dimensions import read_axes, read_labels
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.h5"
    about = {"addresses": ["net/a"], "dtype": "float32", "layout": "dense"}
    column = Column("a", (4, 4, 2), np.dtype("f4"), about, axes=("height", "width", "channel"))
    contents = Contents(columns=[column], samples=["one", "two", "three"], attrs={"model": "m"})
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, {"a": np.ones((3, 4, 4, 2), "f4")})
        writer.finish()
    return path


def put(file, name, value, **options):
    """Put another dataset in the place of one, with what is said of it."""
    attrs = {
        key: value for key, value in file[name].attrs.items() if not key.startswith("DIMENSION")
    }
    del file[name]
    file.create_dataset(name, data=value, **options).attrs.update(attrs)


def link(file, target):
    del file["a"]
    file["a"] = target


def lie_elsewhere(file):
    attrs = dict(file["a"].attrs)
    del attrs["DIMENSION_LIST"], attrs["DIMENSION_LABELS"], file["a"]
    outside = [(file.filename, 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("a", (3, 4), "f4", external=outside).attrs.update(attrs)


def be_virtual(file):
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(file.filename, "elsewhere", (3, 4))
    attrs = {"addresses": ["net/a"]}
    del file["a"]
    file.create_virtual_dataset("a", layout).attrs.update(attrs)


def lie_elsewhere_in_part(file):
    """Make a column of rows of several shapes, whose values lie in another file."""
    attrs = {key: file["a"].attrs[key] for key in ("addresses", "dtype")}
    del file["a"]
    group = file.create_group("a")
    group.attrs.update({**attrs, "layout": "ragged"})
    group["offsets"], group["shapes"] = np.arange(4), np.ones((3, 1), np.int64)
    group["values"] = h5py.ExternalLink("other.h5", "a")


def put_filtered(number):
    def change(file):
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((3, 4))
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        attrs = {"addresses": ["net/a"]}
        del file["a"]
        space = h5py.h5s.create_simple((3, 4))
        made = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, space, dcpl=settings)
        made.write_direct_chunk((0, 0), bytes(48))
        file["a"].attrs.update(attrs)

    return change


def put_unwritten(**options):
    def change(file):
        attrs = {"addresses": ["net/a"]}
        del file["a"]
        file.create_dataset("a", (3, 1 << 40), "f4", **options).attrs.update(attrs)

    return change


def put_bomb(name, shape, kind, packed, left_out=0):
    """Put a dataset there of one block, which unpacks to far more than it takes."""

    def change(file):
        attrs = {"addresses": ["net/a"]} if name == "a" else {}
        del file[name]
        dataset = file.create_dataset(name, shape, kind, chunks=shape, compression="gzip")
        dataset.id.write_direct_chunk((0,) * len(shape), packed, left_out)
        dataset.attrs.update(attrs)

    return change


DAMAGED = {
    "values of several shapes in another file": lie_elsewhere_in_part,
    "a packing that no dump has": put_filtered(511),
    "values that were never written": put_unwritten(),
    "blocks that were never written": put_unwritten(chunks=(3, 100)),
    "a block that is cut short": put_bomb("a", (3, 4), "f4", b"x" * 40, left_out=1),
    "a block of gigabytes": put_bomb("a", (3, 1 << 28), "f4", b"x" * 1000),
    "names of gigabytes": put_bomb("sample_name", (3,), "S1000000000", b"x" * 1000),
    "more JSON than any dump has": lambda file: file.attrs.__setitem__("graph", "[" * (17 << 20)),
    "fewer rows than are committed": lambda file: put(file, "a", np.ones((2, 4), "f4")),
    "a number for all rows": lambda file: put(file, "a", np.float32(1)),
    "records": lambda file: put(file, "a", np.zeros((3, 4), [("x", "f4"), ("y", "i4")])),
    "bytes": lambda file: put(file, "a", np.full((3, 4), b"ab")),
    "numbers wider than any model's": lambda file: put(file, "a", np.ones((3, 4), np.longdouble)),
    "no values at all": lambda file: put(file, "a", h5py.Empty("f4")),
    "values in another file": lie_elsewhere,
    "a view of another file": be_virtual,
    "names that are numbers": lambda file: put(file, "sample_name", np.arange(3)),
    "names of two axes": lambda file: put(file, "sample_name", np.full((3, 2), b"a")),
    "an address that is a number": lambda file: file["a"].attrs.__setitem__("addresses", 5),
    "addresses that are numbers": lambda file: file["a"].attrs.__setitem__("addresses", [5]),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_what_no_dump_has_is_damage(fault, path):
    with h5py.File(path, "r+") as file:
        DAMAGED[fault](file)
    with pytest.raises(DumpError, match="expected a dump, received a damaged one: "):
        kprobe.open_dump(path)


def test_texts_that_lie_in_one_place_are_counted_each(path):
    with h5py.File(path) as file:
        values = {name: (thing[()], dict(thing.attrs)) for name, thing in file.items()}
        attrs = dict(file.attrs)
    # In HDF5's oldest format, which has no checksums.
    with h5py.File(path, "w") as file:
        file.attrs.update({**attrs, "long": "x" * 500_000})
        for name, (value, told) in values.items():
            file[name] = value
            if "addresses" in told:
                file[name].attrs["addresses"] = ["y" * 9] * 1000
    assert len(kprobe.open_dump(path)) == 1
    content = bytearray(path.read_bytes())
    point_at_long(content)  # 500 MB of addresses, in a file of 600 KB
    path.write_bytes(content)
    with pytest.raises(DumpError, match="take more bytes than those of any dump"):
        kprobe.open_dump(path)


def test_texts_without_end_are_damage(path):
    content = bytearray(path.read_bytes())
    stop_heap(content)
    path.write_bytes(content)
    with pytest.raises(DumpError, match="a damaged one: a heap of texts is damaged"):
        kprobe.open_dump(path)


@pytest.mark.parametrize("number", [32004, 32008, 32015])
def test_a_dump_may_be_packed_as_hdf5plugin_does(number, path):
    with h5py.File(path, "r+") as file:
        put_filtered(number)(file)
    with kprobe.open_dump(path) as dump:
        assert dump["net/a"].shape == (3, 4)


def test_a_dump_may_be_packed_tightly(path):
    with h5py.File(path, "r+") as file:
        put(file, "a", np.ones((3, 1 << 20), "f4"), chunks=(1, 1 << 20), compression="gzip")
        put(file, "sample_name", np.full(3, b"one", "S10000"), compression="gzip")
    with kprobe.open_dump(path) as dump:
        assert (dump["net/a"][1] == 1).all()
        assert dump.sample[0] == "one"


@pytest.mark.parametrize("name", ["other.h5", "nowhere.h5"])
def test_a_link_to_another_file_is_damage(name, path):
    (path.parent / "other.h5").write_bytes(path.read_bytes())
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        link(file, h5py.ExternalLink(name, "a"))
    with pytest.raises(DumpError, match="a damaged one: a is a link to another file"):
        kprobe.open_dump(path)


@pytest.mark.parametrize("target", [h5py.SoftLink("/nowhere"), h5py.SoftLink("/a")])
def test_no_link_is_followed(target, path):
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        link(file, target)
    with kprobe.open_dump(path) as dump:
        assert list(dump) == []
    page = kprobe.report(path, output=path.with_name("r.html")).read_text()
    assert "net/a" not in page


@pytest.mark.parametrize("name", ["DIMENSION_LABELS", "DIMENSION_LIST"])
@pytest.mark.parametrize("value", [np.array(["x" * 50] * 3000, "S"), 5, h5py.Empty("f4")])
def test_names_of_more_axes_than_there_are_are_none(name, value, path):
    # HDF5 would write them behind its memory, and end the process.
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        file["a"].attrs[name] = value
    known = ["height", "width", "channel"]
    with kprobe.open_dump(path) as dump:
        if name == "DIMENSION_LABELS":
            assert read_labels(dump["net/a"]) == [None] * 4
        else:
            assert [label for label, _ in read_axes(dump["net/a"])] == known
    kprobe.report(path, output=path.with_name("r.html"))
    assert [tensor.count for tensor in kprobe.stats(path).tensors] == [96]


JSON = {
    "text": "{",
    "deep": "[" * 100_000,
    "number": 5,
    "list": "[1,[2]]",
    "long": "[" + "9" * 5000,
}


@pytest.mark.parametrize("value", JSON.values(), ids=JSON)
def test_an_attribute_that_isnt_what_it_should_be_is_as_none(value, path):
    np.save(path.with_name("i.npy"), np.zeros((3, 4, 4, 3), np.uint8))
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        for name in ("inputs", "options", "graph", "job"):
            file.attrs[name] = value
        file.attrs["model"] = h5py.Empty("f4")
        file["complete"][()] = 0
    page = kprobe.report(path, output=path.with_name("r.html"))
    assert page.stat().st_size
    assert kprobe.diff(path, path).same
    figure = kprobe.plot(path, overlay=path.with_name("i.npy"))
    assert figure.axes
