"""Dumps of whatever columns and rows there are: what is read is what was written."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from math import prod
from pathlib import Path

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.layout import lay_out
from kprobe.dumps.names import RESERVED_NAMES, RESERVED_PREFIX, check_names, column_name
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing import pieces
from kprobe.dumps.writing.batch import take_array
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

DTYPES = ["f2", "f4", "f8", "i1", "i8", "u1", "u4", "c8"]
SHAPES = st.lists(st.integers(1, 5), max_size=3).map(tuple)


def fill(dtype, shape, seed):
    """Bytes of any kind."""
    size = prod(shape) * np.dtype(dtype).itemsize
    content = np.random.default_rng(seed).integers(0, 256, size, "u1")
    return content.view(dtype).reshape(shape)


@st.composite
def dumps(draw):
    """Columns, the rows of each, and the sizes of the batches in which they are written."""
    rows = draw(st.integers(0, 7))
    columns, values = [], {}
    for number in range(draw(st.integers(1, 4))):
        name = f"column {number}"
        dtype, shape = draw(st.sampled_from(DTYPES)), draw(SHAPES)
        seed = draw(st.integers(0, 999))
        if draw(st.booleans()):
            columns.append(Column(name, shape, np.dtype(dtype), {"addresses": [f"a/{number}"]}))
            values[name] = fill(dtype, (rows, *shape), seed)
        else:
            sizes = [(*shape, draw(st.integers(0, 4))) for _ in range(rows)]
            shape = (*shape, -1)
            columns.append(Column(name, shape, np.dtype(dtype), {"addresses": [f"a/{number}"]}))
            values[name] = [fill(dtype, size, seed + row) for row, size in enumerate(sizes)]
    edges = draw(st.lists(st.integers(0, rows), max_size=3))
    return columns, values, rows, sorted({0, rows, *edges})


def is_same(read, written):
    read, written = np.asarray(read), np.asarray(written)
    return (
        read.shape == written.shape
        and read.dtype == written.dtype
        and (read.tobytes() == written.tobytes())
    )


@settings(max_examples=50)
@given(dumps())
def test_what_is_read_is_what_was_written(dump):
    columns, values, rows, edges = dump
    contents = Contents(columns=columns, samples=[f"sample {row}" for row in range(rows)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with Writer(OutputSpec(path=path), contents) as writer:
            for start, stop in pairwise(edges):
                writer.write(start, {name: value[start:stop] for name, value in values.items()})
            writer.finish()
        with open_dump(path) as read:
            assert (read.complete, read.rows, read.committed) == (True, rows, rows)
            assert list(read) == [f"a/{number}" for number in range(len(columns))]
            for number, (name, value) in enumerate(values.items()):
                found = read[f"a/{number}"]
                assert len(found) == rows
                for row in range(rows):
                    assert is_same(found[row], value[row]), (name, row)
        with h5py.File(path) as file:
            assert [each.decode() for each in file["sample_name"]] == contents.samples


@settings(max_examples=50)
@given(dumps())
def test_no_two_datasets_share_a_byte_and_each_lies_where_hdf5_says(dump):
    columns, _, rows, _ = dump
    columns = [column for column in columns if not column.ragged]
    contents = Contents(columns=columns, samples=[f"sample {row}" for row in range(rows)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        offsets = lay_out(path, contents)
        with h5py.File(path) as file:
            stored = {name: (file[name].id.get_offset(), file[name].nbytes) for name in file}
        end = path.stat().st_size
    for name, offset in offsets.items():
        assert stored[name][0] == offset
    taken = sorted((offset, offset + size) for offset, size in stored.values() if offset)
    assert all(one[1] <= other[0] for one, other in pairwise(taken))
    assert all(stop <= end for _, stop in taken)


@given(dumps(), st.integers(0, 5))
def test_pieces_cover_each_byte_once(dump, start):
    columns, values, _, _ = dump
    even = {column.name: column for column in columns if not column.ragged}
    arrays = {name: values[name] for name in even}
    stride = 1 << 16
    offsets = {name: number * stride for number, name in enumerate(even)}
    place = np.zeros(stride * (len(even) + 1), "u1")
    times = np.zeros_like(place)
    for offset, content in pieces.cut(start, arrays, even, offsets):
        place[offset : offset + content.nbytes] = content
        times[offset : offset + content.nbytes] += 1
    assert times.max(initial=0) <= 1
    expected = np.zeros_like(place)
    for name, array in arrays.items():
        begin = offsets[name] + start * even[name].row_bytes
        expected[begin : begin + array.nbytes] = np.frombuffer(array.tobytes(), "u1")
    np.testing.assert_array_equal(place, expected)
    assert times.sum() == sum(array.nbytes for array in arrays.values())


ADDRESSES = st.text("ab/.[0]'@:", min_size=1, max_size=4)
NAMES = st.one_of(ADDRESSES, st.sampled_from([*sorted(RESERVED_NAMES), f"{RESERVED_PREFIX}0"]))


@given(st.lists(st.tuples(ADDRESSES, NAMES), max_size=5))
def test_names_that_pass_tell_the_address_again(pairs):
    try:
        check_names(pairs)
    except DumpError:
        return
    names = [name for _, name in dict.fromkeys(pairs)]
    assert len(set(names)) == len(names)
    assert not {*names} & RESERVED_NAMES
    # A name that is an address at the same time is that of its own.
    known = {address for address, _ in pairs}
    assert all(name == address or name not in known for address, name in pairs)


@given(st.lists(ADDRESSES, max_size=5, unique=True))
def test_the_names_of_addresses_are_refused_only_where_two_are_alike(addresses):
    names = [column_name(address) for address in addresses]
    good = all(name != "." for name in names) and len({*names}) == len(names)
    others = [{*addresses} - {address} for address in addresses]
    good = good and not any(name in other for name, other in zip(names, others, strict=True))
    try:
        check_names(zip(addresses, names, strict=True))
    except DumpError:
        assert not good
    else:
        assert good


@given(st_numpy.arrays(st.sampled_from(["f4", "i2"]), SHAPES))
def test_any_array_is_taken_as_it_is(array):
    assert take_array("a", array) is array
    assert is_same(take_array("a", memoryview(array)), array)
