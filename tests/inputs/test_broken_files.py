"""Files of samples that are missing, damaged or of the wrong kind, each told in its own words."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from opened import open_all, refuse, save

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None, 2), "float32")
MISSING = "expected a file of arrays, records or images, received a path where there is no file"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_missing_file_is_named_with_the_nearest():
    save("shapes.npy", (1, 2))
    expected = (
        [f"shape.npy: {MISSING}"],
        "did you mean shapes.npy?",
    )
    assert refuse(["shape.npy"], LEFT) == expected
    assert refuse(["left=shape.npy"], LEFT) == expected
    assert refuse(["gone/x.h5:/y"], LEFT) == (
        [f"gone/x.h5: {MISSING}"],
        None,
    )


def test_an_empty_text_is_refused():
    assert refuse([""], LEFT)[0] == ["inputs: expected a source, received nothing"]
    assert refuse(["left="], LEFT)[0] == ["inputs: left: expected a source, received nothing"]


def test_an_empty_directory_is_refused():
    Path("images").mkdir()
    assert refuse(["images"], LEFT)[0] == ["images: expected images, received none"]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused():
    save("a.npy", (1, 2))
    Path("a.npy").chmod(0)
    assert refuse(["a.npy"], LEFT)[0] == ["a.npy: can't be read: Permission denied"]


def test_a_file_name_that_the_system_refuses_is_a_fault():
    assert refuse(["x" * 300], LEFT)[0] == ["x" * 300 + ": can't be read: File name too long"]


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "an empty one (0 bytes)"),
        (b"hello, world, this is text", "one that begins b'hello, world, th'"),
        (b"\x80\x04K\x01.", "a pickle, which is never loaded"),
    ],
)
def test_a_file_that_is_no_array_is_refused(content, received):
    Path("a.npy").write_bytes(content)
    assert refuse(["a.npy"], LEFT)[0] == [
        f"a.npy: expected a file of arrays, records or images, received {received}"
    ]


PICKLED = "expected an array of plain values, received pickled objects, which are never loaded"


class Bomb:
    def __reduce__(self):
        return (sys.exit, ("unpickled",))


def test_pickled_objects_are_never_unpickled():
    bombs = np.array([Bomb(), Bomb()], object)
    np.save("a.npy", bombs)
    np.savez("a.npz", left=bombs)
    np.savez_compressed("b.npz", left=bombs)
    np.savez_compressed("c.npz", left=np.asfortranarray([bombs, bombs]))
    assert refuse(["a.npy"], LEFT)[0] == [f"a.npy: {PICKLED}"]
    for name in ["a.npz", "b.npz", "c.npz"]:
        assert refuse([name], LEFT)[0] == [f"{name}:left: {PICKLED}"]


def test_pickled_objects_beside_the_samples_do_no_harm():
    np.savez("a.npz", left=np.zeros((1, 2)), names=np.array([Bomb()], object))
    open_all(["a.npz"], [LEFT]).close()


def test_a_npy_cut_short_says_how_many_rows_there_are():
    save("a.npy", (10, 2))
    Path("a.npy").write_bytes(Path("a.npy").read_bytes()[:-20])
    assert refuse(["a.npy"], LEFT)[0] == [
        "a.npy: expected 10 rows, received 7: the file is cut short"
    ]
    Path("a.npy").write_bytes(b"\x93NUMPY\x01\x00v")
    assert refuse(["a.npy"], LEFT)[0][0].startswith(
        "a.npy: expected a .npy array, received something else ("
    )


def test_a_file_cut_short_while_it_is_read_is_a_fault_and_no_crash():
    save("a.npy", (4000, 2))
    with open_all(["a.npy"], [LEFT]) as samples:
        os.truncate("a.npy", 8128)
        with pytest.raises(InputError, match="ends in row 1000: it changed while it was read"):
            list(samples.batches(100))


@pytest.mark.parametrize(
    ("dtype", "fault"),
    [
        ([("x", "f4"), ("y", "f4")], "expected an array of plain values, received records of"),
        ("V2", "expected an array of numbers or strings, received raw bytes"),
        ("M8[s]", "expected numbers or strings, received datetime64[s]"),
        ("longdouble", "expected numbers or strings, received float128"),
    ],
)
def test_values_that_no_model_takes_are_refused(dtype, fault):
    np.save("a.npy", np.zeros((2, 2), dtype))
    assert refuse(["a.npy"], LEFT)[0][0].startswith(f"a.npy: {fault}")


def test_a_key_of_a_npy_is_refused():
    save("a.npy", (1, 2))
    assert refuse(["a.npy:left"], LEFT)[0] == [
        "a.npy:left: a.npy is one array, without keys such as 'left'"
    ]


# --- .npz ------------------------------------------------------------------------------------


def test_several_arrays_without_one_named_like_the_input_are_listed():
    np.savez("a.npz", images=np.zeros((1, 2)), labels=np.zeros(1))
    assert refuse(["a.npz"], LEFT) == (
        ["a.npz: expected one array, or one named left, received images, labels"],
        "say which, for example inputs='left=a.npz:images'",
    )
    assert refuse(["a.npz"], LEFT, RIGHT) == (
        ["a.npz: expected arrays named left, right, received images, labels"],
        "say which, for example inputs='left=a.npz:images'",
    )


def test_a_missing_key_lists_those_that_exist():
    np.savez("a.npz", images=np.zeros((1, 2)), labels=np.zeros(1))
    assert refuse(["a.npz:image"], LEFT) == (
        ["a.npz: no array 'image'; it holds images, labels"],
        "did you mean a.npz:images?",
    )


def test_an_input_missing_in_a_npz_is_named():
    np.savez("a.npz", left=np.zeros((1, 2)), labels=np.zeros(1))
    assert refuse(["a.npz"], LEFT, RIGHT)[0] == [
        "expected a source for every input that these layers need, received none for "
        "right (None, 2) float32"
    ]


def test_an_archive_without_arrays_is_refused():
    with zipfile.ZipFile("model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert refuse(["model.keras"], LEFT)[0] == [
        "model.keras: expected a .npz file, received an archive without arrays, holding config.json"
    ]
    np.savez("empty.npz")
    assert refuse(["empty.npz"], LEFT)[0] == [
        "empty.npz: expected a .npz file, received an archive without arrays, holding none"
    ]


def test_a_damaged_archive_is_refused():
    np.savez("a.npz", left=np.zeros((100, 2)))
    Path("a.npz").write_bytes(Path("a.npz").read_bytes()[:-40])
    assert refuse(["a.npz"], LEFT)[0][0].startswith(
        "a.npz: expected a .npz file, received a damaged one ("
    )


def test_damaged_data_in_a_compressed_archive_is_a_fault_when_it_is_reached():
    rows = np.random.default_rng(0).random((5000, 2))
    np.savez_compressed("a.npz", left=rows)
    content = bytearray(Path("a.npz").read_bytes())
    content[-2000:-1900] = bytes(100)
    Path("a.npz").write_bytes(content)
    with open_all(["a.npz"], [LEFT]) as samples, pytest.raises(InputError) as caught:
        list(samples.batches(100))
    assert str(caught.value).startswith("a.npz:left: can't be read: ")


# --- HDF5 ------------------------------------------------------------------------------------


def write_hdf5():
    with h5py.File("a.h5", "w") as file:
        file["acts/conv5_3"] = np.zeros((1, 2))
        file["acts/rpn_class"] = np.zeros((1, 2))


def test_a_missing_dataset_lists_those_that_exist_and_the_nearest():
    write_hdf5()
    assert refuse(["a.h5:acts/conv5_4"], LEFT) == (
        ["a.h5: no dataset '/acts/conv5_4'; it holds acts/conv5_3, acts/rpn_class"],
        "did you mean a.h5:acts/conv5_3?",
    )


def test_a_group_is_no_dataset():
    write_hdf5()
    assert refuse(["a.h5:/acts"], LEFT)[0] == [
        "a.h5: a group, no dataset, at '/acts'; it holds acts/conv5_3, acts/rpn_class"
    ]


def test_several_datasets_without_a_path_are_listed():
    write_hdf5()
    assert refuse(["a.h5"], LEFT) == (
        ["a.h5: expected one array, or one named left, received acts/conv5_3, acts/rpn_class"],
        "say which, for example inputs='left=a.h5:acts/conv5_3'",
    )


def test_a_long_list_is_cut():
    np.savez("a.npz", **{f"a{number}": np.zeros(1) for number in range(20)})
    assert refuse(["a.npz:x"], LEFT)[0][0].endswith("a10, a11 and 8 more")


def test_an_hdf5_file_without_datasets_is_refused():
    h5py.File("a.h5", "w").close()
    assert refuse(["a.h5"], LEFT)[0] == ["a.h5: expected arrays, received a file without any"]


def test_an_hdf5_file_cut_short_is_refused():
    with h5py.File("a.h5", "w") as file:
        file["left"] = np.zeros((1000, 2))
    os.truncate("a.h5", 3000)
    assert refuse(["a.h5"], LEFT)[0][0].startswith(
        "a.h5: expected an HDF5 file, received one that can't be opened ("
    )


def test_arrays_of_varying_length_are_refused():
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("left", (3,), h5py.vlen_dtype("float32"))
    assert refuse(["a.h5"], LEFT)[0] == [
        "a.h5:left: expected numbers or strings, received a dataset of references or of arrays "
        "of varying length"
    ]


def test_a_virtual_dataset_with_a_missing_part_is_refused():
    layout = h5py.VirtualLayout((4, 2), "float32")
    for part in range(2):
        with h5py.File(f"part{part}.h5", "w") as file:
            file["x"] = np.ones((2, 2), "float32")
        layout[part * 2 : part * 2 + 2] = h5py.VirtualSource(f"part{part}.h5", "x", (2, 2))
    with h5py.File("a.h5", "w") as file:
        file.create_virtual_dataset("left", layout)
    with open_all(["a.h5"], [LEFT], allow="external") as samples:
        assert samples.peek(4)["left"].all()
    Path("part1.h5").unlink()
    assert refuse(["a.h5"], LEFT, allow="external")[0] == [
        "a.h5:left: a part of this virtual dataset is missing: no file part1.h5"
    ]


def test_damaged_chunks_are_a_fault_when_they_are_reached():
    rows = np.random.default_rng(0).random((1000, 2))
    with h5py.File("a.h5", "w") as file:
        dataset = file.create_dataset("left", data=rows, chunks=(100, 2), compression="gzip")
        place = dataset.id.get_chunk_info(5).byte_offset
    with Path("a.h5").open("r+b") as file:
        file.seek(place)
        file.write(bytes(100))
    with open_all(["a.h5"], [LEFT]) as samples, pytest.raises(InputError) as caught:
        list(samples.batches(50))
    assert str(caught.value).startswith("a.h5:left: rows 500 to 549 can't be read: ")
