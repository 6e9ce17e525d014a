"""Layers of two dumps are compared as their arrays are."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.analysis import patterns as patterns_module
from kprobe.analysis.representations import Alikeness, Pattern
from kprobe.analysis.similarity import measure_similarity
from kprobe.dumps.contents import VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import InputError

ROWS = 50


def write(path, arrays, names, valid=None):
    columns = [
        Column(name, rows.shape[1:], rows.dtype, {"addresses": [name]})
        for name, rows in arrays.items()
    ]
    known = {} if valid is None else {"valid": valid}
    contents = Contents(columns=[*columns, *([VALID] if known else [])], samples=names)
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, arrays | known)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two dumps of the same samples, B's in another order; their arrays in A's order."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 6, 5)).astype("f4")
    a = {"conv": x, "dense": random.normal(size=(ROWS, 9)).astype("f2")}
    b = {"block/conv": np.tanh(x * 2).reshape(ROWS, 30), "count": random.integers(0, 9, (ROWS, 4))}
    names = [f"s{row}" for row in range(ROWS)]
    order = random.permutation(ROWS)
    folder = tmp_path_factory.mktemp("dumps")
    valid = np.ones(ROWS, np.uint8)
    valid[7] = 0
    path_a = write(folder / "a.h5", a, names, valid)
    stored = {name.replace("/", "."): rows[order] for name, rows in b.items()}
    return path_a, write(folder / "b.h5", stored, [names[row] for row in order]), a, b


def compute(method, a, b, batches):
    """The same from arrays in memory."""
    alike = Alikeness(method, len(a), len(b))
    for batch in batches:
        patterns = []
        for layers in (a, b):
            patterns.append([])
            for rows in layers.values():
                values = rows[batch].reshape(len(batch), -1).astype("f8")
                patterns[-1].append(Pattern(len(batch)))
                patterns[-1][-1].add(values)
        alike.add(*patterns)
    return alike.finish()


@pytest.mark.parametrize("method", ["cka", "rsa"])
def test_layers_are_joined_by_their_samples(sides, method):
    path_a, path_b, a, b = sides
    found = measure_similarity(path_a, path_b, method=method)
    kept = np.delete(np.arange(ROWS), 7)
    np.testing.assert_allclose(found.values, compute(method, a, b, [kept]), rtol=1e-6, atol=1e-9)
    assert (found.layers_a, found.layers_b) == (("conv", "dense"), ("block.conv", "count"))
    assert (found.samples, found.batches) == (49, 1)
    # A layer and a squashed one of its own are alike, those that were drawn apart aren't.
    assert found.values[0, 0] > 0.7
    assert abs(found.values[1]).max() < 0.3


@pytest.mark.parametrize("compressed", [False, True])
def test_batches_are_dealt_by_chance_and_read_in_parts(sides, tmp_path, monkeypatch, compressed):
    path_a, path_b, a, b = sides
    # Less than a row of 6 by 5 values, so that both axes are cut; and pieces of one block.
    monkeypatch.setattr(patterns_module, "_BLOCK", 17 * 4)
    monkeypatch.setattr(patterns_module, "_PIECE", 17 * 4)
    if compressed:
        path_a = pack(path_a, tmp_path / "packed.h5")
    seen: list[int] = []
    found = measure_similarity(path_a, path_b, batch_size=20, progress=seen.append)
    kept = np.delete(np.arange(ROWS), 7)
    order = np.arange(49)
    np.random.default_rng(0).shuffle(order)
    batches = [kept[np.sort(part)] for part in np.array_split(order, 3)]
    np.testing.assert_allclose(found.values, compute("cka", a, b, batches), rtol=1e-6, atol=1e-9)
    assert (seen, found.batches) == ([17, 16, 16], 3)


def pack(path, packed):
    """Write a dump again as other tools may, in chunks that are compressed."""
    with h5py.File(path) as file, h5py.File(packed, "w") as copy:
        copy.attrs.update(file.attrs)
        for name in file:
            if "addresses" not in file[name].attrs:
                file.copy(name, copy)
                continue
            copy.create_dataset(name, data=file[name][()], compression="gzip", chunks=True)
            copy[name].attrs.update(file[name].attrs)
    return packed


def test_a_layer_is_the_same_as_itself(sides):
    found = kprobe.similarity(sides[0], sides[0], "conv, dens?")
    np.testing.assert_allclose(np.diag(found.values), 1, rtol=1e-12)
    table = found.to_pandas()
    assert (list(table.index), list(table.columns)) == ([*sides[2]], [*sides[2]])


def test_it_is_stored_and_plain(sides, tmp_path):
    found = kprobe.similarity(sides[0], sides[1])
    found.save(tmp_path / "cka.h5")
    with h5py.File(tmp_path / "cka.h5") as file:
        assert np.array_equal(file["similarity"][()], found.values)
        assert file["b"].asstr()[:].tolist() == ["block.conv", "count"]
        assert file.attrs["samples"] == 49
    assert [path.name for path in tmp_path.iterdir()] == ["cka.h5"]
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["similarity"] == found.values.tolist()
    with pytest.raises(kprobe.KprobeError, match="there is no directory"):
        found.save(tmp_path / "missing" / "cka.h5")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as where the disk is full
    try:
        with pytest.raises(kprobe.KprobeError, match="can't be written: File too large"):
            found.save(tmp_path / "cka2.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["cka.h5"]


def test_it_is_printed_as_a_table(sides):
    found = kprobe.similarity(sides[0], sides[1])
    title, header, *rows = str(found).splitlines()
    assert title == f"CKA over 49 samples: {sides[0]} by {sides[1]}"
    assert header.split() == ["block.conv", "count"]
    assert [row.split() for row in rows] == [
        [name, *(f"{value:.3f}" for value in values)]
        for name, values in zip(found.layers_a, found.values, strict=True)
    ]
    assert repr(found) == f"<Similarity, {title}: 2 by 2 layers>"


def test_it_is_stored_in_place_of_its_like_alone(sides, tmp_path):
    found = kprobe.similarity(sides[0], sides[1])
    found.save(tmp_path / "cka.h5")
    found.save(tmp_path / "cka.h5")
    (tmp_path / "notes.txt").write_text("mine")
    for taken in (sides[0], tmp_path / "notes.txt"):
        before = Path(taken).read_bytes()
        with pytest.raises(kprobe.KprobeError, match="exists and is not a matrix"):
            found.save(taken)
        assert Path(taken).read_bytes() == before


def test_constant_layers_are_like_nothing(sides, tmp_path):
    names = [f"s{row}" for row in range(ROWS)]
    arrays = {"same": np.full((ROWS, 3), 5, "f4"), "conv": sides[2]["conv"]}
    found = kprobe.similarity(write(tmp_path / "c.h5", arrays, names), sides[0])
    assert np.isnan(found.values[0]).all()
    assert found.notes == ("constant, or with NaN or infinity, and so like nothing: same",)
    assert found.to_json()["similarity"][0] == [None, None]


def test_what_cannot_be_compared_is_said(sides, tmp_path):
    path_a, path_b, *_ = sides
    few = write(tmp_path / "few.h5", {"x": np.ones((3, 2), "f4")}, ["s0", "s1", "s2"])
    for arguments, settings, said in [
        ((path_a, few), {}, "received 47 that .*few.h5 hasn't in .*a.h5: s10, s11"),
        ((few, few), {}, "expected 4 samples or more that both have, received 3"),
        ((path_a, path_b, "cnv,conv"), {}, "neither dump has the address 'cnv'"),
        ((path_a, path_b, "conv"), {}, "b.h5: expected layers to compare, received none"),
        ((path_a, path_b), {"method": "cca"}, "expected the method cka or rsa, received 'cca'"),
        ((path_a, path_b), {"batch_size": 3}, "expected 4 samples in a batch or more"),
    ]:
        with pytest.raises(InputError, match=said):
            kprobe.similarity(*arguments, **settings)
