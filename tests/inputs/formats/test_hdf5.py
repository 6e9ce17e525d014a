"""HDF5 of strangers is read where it lies: no other file is opened, unless that is allowed."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pytest
from gate.hostile.hdf5_files import point_at_long
from gate.hostile.hdf5_layouts import stop_heap
from watching import Watch

from kprobe.errors import InputError
from kprobe.inputs.formats.hdf5 import Hdf5File
from kprobe.inputs.spec import SampleSpec

VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)


def store_outside(file, folder):
    (folder / "other.bin").write_bytes(VALUES.tobytes())
    file.create_dataset("x", (3, 2), "f4", external=[(str(folder / "other.bin"), 0, VALUES.nbytes)])


def view(file, _folder):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 2))
    file.create_virtual_dataset("x", layout)


def link(file, _folder):
    file["x"] = h5py.ExternalLink("other.h5", "x")


def link_on_the_way(file, _folder):
    file["group/there"] = h5py.ExternalLink("other.h5", "/")
    file["x"] = h5py.SoftLink("/group/there/x")


def link_part(file, _folder):
    group = file.create_group("x")
    group.attrs["layout"] = "ragged"
    group["offsets"], group["shapes"] = np.array([0, 1, 2, 3]), np.array([[1, 2]] * 3)
    group["values"] = h5py.ExternalLink("other.h5", "x")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # HDF5 looks for parts of views there
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = VALUES
    return tmp_path


def make(place, change):
    path = place / "a.h5"
    with h5py.File(path, "w") as file:
        change(file, place)
    return path


def open_key(path, key="x", **options):
    container = Hdf5File(path, "a.h5", {"source": "a.h5"}, **options)
    return contextlib.closing(container.open(key))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (store_outside, "has its values in other files"),
        (view, "is a view of other datasets"),
        (link, "is linked to in another file"),
        (link_on_the_way, "is linked to in another file"),
        (link_part, "is linked to in another file"),
    ],
)
def test_no_other_file_is_opened_unless_it_is_allowed(change, fault, place):
    path = make(place, change)
    with Watch(place) as watch:
        with pytest.raises(InputError) as caught:
            open_key(path)
        assert str(caught.value) == f"a.h5:x: {fault}; allow that with allow='external'"
        with pytest.raises(InputError, match="no dataset '/y'"):
            open_key(path, "y")
        assert watch.names() == {"a.h5"}
        with open_key(path, external=True) as source:
            np.testing.assert_array_equal(np.reshape(source.read(0, 3), (3, 2)), VALUES)
        assert watch.names() > {"a.h5"}


def test_a_link_within_the_file_is_followed(place):
    def change(file, _folder):
        file["group/values"] = VALUES
        file["group/again"] = h5py.SoftLink("values")
        file["x"] = h5py.SoftLink("/group/again")
        file["round"] = h5py.SoftLink("round")

    path = make(place, change)
    with open_key(path) as source:
        np.testing.assert_array_equal(source.read(1, 3), VALUES[1:])
    with pytest.raises(InputError, match="no dataset '/round'"):
        open_key(path, "round")


def put_packed(number, chunk=(3, 2)):
    def change(file, _folder):
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk(chunk)
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((3, 2), (h5py.h5s.UNLIMITED,) * 2)
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, dcpl=settings)

    return change


def test_samples_may_be_packed_as_dumps_may(place):
    for number in (32004, 32008, 32015, h5py.h5z.FILTER_DEFLATE):
        with open_key(make(place, put_packed(number))) as source:
            assert source.rows == 3
    with pytest.raises(InputError, match=r"a.h5:x: is packed by filter 511, which isn't allowed"):
        open_key(make(place, put_packed(511)))


def test_a_block_of_gigabytes_that_takes_nothing_is_refused(place):
    path = make(place, put_packed(h5py.h5z.FILTER_DEFLATE, (1 << 14, 1 << 14)))
    with pytest.raises(InputError, match="a block of it unpacks to 1,073,741,824 bytes at once"):
        open_key(path)


def test_a_block_that_is_cut_short_is_refused(place):
    def change(file, _folder):
        file.create_dataset("x", (3, 2), "f4", chunks=(3, 2)).id.write_direct_chunk((0, 0), b"ab")

    with pytest.raises(InputError, match="has a block of 2 bytes in the place of 24"):
        open_key(make(place, change))


def test_texts_of_any_length_may_lie_in_blocks(place):
    def change(file, _folder):
        file.create_dataset("x", data=["one", "three"], chunks=(1,), compression="gzip")
        file.create_dataset("y", data=np.arange(5), chunks=(2,), maxshape=(None,))

    path = make(place, change)
    with open_key(path) as source, open_key(path, "y") as numbers:
        assert source.read(0, 2).tolist() == [b"one", b"three"]
        assert numbers.read(0, 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("patch", "fault"),
    [
        (point_at_long, "many texts lie in one place"),
        (stop_heap, "a heap of texts is damaged"),
    ],
)
def test_texts_that_never_end_or_lie_in_one_place_are_damage(patch, fault, place):
    def change(file, _folder):
        file["x"] = ["y" * 9] * 100
        file.attrs["long"] = "x" * 500_000

    path = make(place, change)
    with open_key(path) as source:
        assert source.read(98, 100).tolist() == [b"y" * 9] * 2
    content = bytearray(path.read_bytes())
    patch(content)
    path.write_bytes(content)
    with open_key(path) as source, pytest.raises(InputError, match=fault):
        source.read(0, 100)


def test_what_is_allowed_is_said_as_for_models():
    assert SampleSpec(allow="external").allowed == {"external"}
    assert SampleSpec(allow=["lambda", "external"]).allowed == {"lambda", "external"}
    with pytest.raises(InputError, match="allow: expected"):
        SampleSpec(allow="everything")
