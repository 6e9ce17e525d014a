"""Every mistake about samples gets its own words: expected, received, and what to do."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

IMAGE = ModelInput("image", (None, 8, 8, 3), "float32")
GRAY = ModelInput("image", (None, 8, 8, 1), "float32")
FLAT = ModelInput("x", (None, 8, 8), "float32")
ANY = ModelInput("x", (None, None), "float32")
IDS = ModelInput("ids", (None, 5), "int32")
TEXT = ModelInput("text", (None,), "string")
LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None, 2), "float32")
MISSING = "expected a file of arrays, records or images, received a path where there is no file"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(texts, *inputs, **options):
    """Give the faults and the hint of what can't be opened."""
    with pytest.raises(InputError) as caught:
        open_all(texts, inputs, **options)
    assert caught.value.exit_code == 2
    assert all("\n" not in fault for fault in caught.value.faults)
    return list(caught.value.faults), caught.value.hint


def save(name, shape, dtype="float32"):
    np.save(name, np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("model_input", "shape", "hint"),
    [
        (IMAGE, (8, 8, 3), "a.npy looks like one sample without the batch axis: give array[None]"),
        (IMAGE, (9, 3, 8, 8), "a.npy has its channels first: give np.moveaxis(array, 1, -1)"),
        (
            ModelInput("image", (None, 3, 8, 8), "float32"),
            (9, 8, 8, 3),
            "a.npy has its channels last: give np.moveaxis(array, -1, 1)",
        ),
        (GRAY, (9, 8, 8), "a.npy lacks the last axis: give array[..., None]"),
        (FLAT, (9, 8, 8, 1), "a.npy has a last axis too many: give array[..., 0]"),
        (
            FLAT,
            (9, 64),
            "a.npy has as many values a sample: array.reshape(-1, 8, 8) if it is in order",
        ),
        (IMAGE, (9, 7, 8, 3), None),
        (ANY, (9,), None),
        (ANY, (9, 2, 2), None),
    ],
)
def test_a_wrong_shape_is_shown_beside_the_right_one(model_input, shape, hint):
    save("a.npy", shape)
    assert refuse(["a.npy"], model_input) == (
        [
            f"input '{model_input.name}' expects shape {model_input.shape}, "
            f"received {shape} from a.npy"
        ],
        hint,
    )


def test_axes_of_any_length_take_any_length():
    save("a.npy", (3, 7))
    open_all(["a.npy"], [ANY]).close()


@pytest.mark.parametrize(
    ("expected", "received", "shown"),
    [
        ("int32", "float32", "float32"),
        ("uint8", "float64", "float64"),
        ("bool", "float32", "float32"),
        ("float32", "complex64", "complex64"),
        ("float32", "U3", "strings"),
        ("int64", "S3", "strings"),
        ("string", "float32", "float32"),
        ("bfloat16", "U3", "strings"),
    ],
)
def test_a_dtype_that_cannot_be_meant_is_refused(expected, received, shown):
    save("a.npy", (2, 5), received)
    faults, hint = refuse(["a.npy"], ModelInput("x", (None, 5), expected))
    assert faults == [f"input 'x' expects {expected}, received {shown} from a.npy"]
    if shown != "strings" and expected != "string" and received != "complex64":
        assert hint == f"convert a.npy: array.astype('{expected}')"
    else:
        assert hint is None


@pytest.mark.parametrize("received", ["uint8", "int64", "float16", "float64", "bool", "uint32"])
@pytest.mark.parametrize("expected", ["float32", "float16", "bfloat16", "complex64"])
def test_numbers_of_any_kind_feed_a_float_input(received, expected):
    save("a.npy", (2, 5), received)
    open_all(["a.npy"], [ModelInput("x", (None, 5), expected)]).close()


@pytest.mark.parametrize("received", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("expected", ["int32", "uint8", "bool", "int64"])
def test_integers_feed_an_integer_input(received, expected):
    save("a.npy", (2, 5), received)
    open_all(["a.npy"], [ModelInput("x", (None, 5), expected)]).close()


def test_an_integer_that_casting_would_wrap_round_is_refused_with_its_row():
    values = np.zeros((9, 5), "int64")
    values[6, 2] = 3_000_000_000
    np.save("ids.npy", values)
    with open_all(["ids.npy"], [IDS]) as samples:
        with pytest.raises(InputError) as caught:
            list(samples.batches(4))
        assert caught.value.faults == (
            "input 'ids' expects int32 (-2147483648 to 2147483647), received 3000000000 in "
            "ids.npy[6]",
        )
        assert len(list(samples.batches(2, stop=6))) == 3
    np.save("ids.npy", -values)
    byte = ModelInput("ids", (None, 5), "uint8")
    with open_all(["ids.npy"], [byte]) as samples, pytest.raises(InputError) as caught:
        samples.peek(9)
    assert "(0 to 255), received -3000000000 in ids.npy[6]" in str(caught.value)


def test_an_unknown_input_lists_the_inputs_and_the_nearest():
    save("a.npy", (2, 2))
    assert refuse(["lfet=a.npy", "right=a.npy"], LEFT, RIGHT) == (
        [
            "lfet=a.npy: no input 'lfet'; the model's inputs: left (None, 2) float32, "
            "right (None, 2) float32"
        ],
        "did you mean left=...?",
    )


def test_missing_inputs_are_listed():
    save("a.npy", (2, 2))
    assert refuse(["right=a.npy"], LEFT, RIGHT) == (
        [
            "expected a source for every input that these layers need, received none for "
            "left (None, 2) float32"
        ],
        'add inputs={"left": ...}',
    )


def test_several_inputs_are_never_matched_by_position():
    save("a.npy", (2, 2))
    assert refuse(["a.npy"], LEFT, RIGHT) == (
        [
            "a.npy: expected the name of an input with it, as the model has 2: "
            "left (None, 2) float32, right (None, 2) float32"
        ],
        'say which, for example inputs={"left": ...}',
    )


def test_sources_in_a_row_have_samples_of_one_shape():
    save("a.npy", (2, 2))
    save("b.npy", (2, 3))
    assert refuse(["a.npy", "left=b.npy"], LEFT) == (
        [
            "a.npy, b.npy: expected samples of one shape and dtype, received (2,) float32 from "
            "a.npy and (3,) float32 from b.npy"
        ],
        None,
    )


def test_what_has_no_known_end_is_in_no_row():
    save("a.npy", (2, 2))
    Path("given.py").write_text("import numpy as np\ndef ones(): yield np.ones((3, 2), 'f4')\n")
    assert refuse(["given.py:ones", "a.npy"], LEFT)[0] == [
        "given.py:ones has no known end, and can't be put in a row with other sources"
    ]


def test_the_length_of_what_has_no_known_end_is_not_made_up():
    Path("given.py").write_text("import numpy as np\ndef ones(): yield np.ones((3, 5), 'f4')\n")
    assert refuse(["given.py:ones"], LEFT)[0] == [
        "input 'left' expects shape (None, 2), received (None, 5) from given.py:ones"
    ]


def test_sources_of_different_length_are_refused_even_under_a_limit():
    save("a.npy", (100, 2))
    save("b.npy", (99, 2))
    assert refuse(["left=a.npy", "right=b.npy"], LEFT, RIGHT, limit=5) == (
        ["expected as many rows for every input, received 100 from a.npy, 99 from b.npy"],
        None,
    )


def test_an_empty_input_is_refused():
    save("a.npy", (0, 2))
    assert refuse(["a.npy"], LEFT) == (
        ["input 'left' expects samples, received none: a.npy has 0 rows"],
        None,
    )


def test_a_single_value_is_refused():
    np.save("a.npy", np.float32(3))
    assert refuse(["a.npy"], LEFT)[0] == [
        "a.npy: expected rows of samples, received a single value"
    ]


def test_all_faults_come_at_once():
    save("a.npy", (3, 7), "complex64")
    faults, hint = refuse(["left=a.npy", "right=missing.npy", "up=a.npy"], LEFT, RIGHT)
    assert faults == [
        f"missing.npy: {MISSING}",
        "up=a.npy: no input 'up'; the model's inputs: left (None, 2) float32, "
        "right (None, 2) float32",
        "input 'left' expects shape (None, 2), received (3, 7) from a.npy",
        "input 'left' expects float32, received complex64 from a.npy",
    ]
    assert hint is None


# --- files -----------------------------------------------------------------------------------


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
    with open_all(["a.h5"], [LEFT]) as samples:
        assert samples.peek(4)["left"].all()
    Path("part1.h5").unlink()
    assert refuse(["a.h5"], LEFT)[0] == [
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


# --- standard input --------------------------------------------------------------------------


class Stdin:
    def __init__(self, content, terminal=False):
        self.buffer = io.BytesIO(content)
        self._terminal = terminal

    def isatty(self):
        return self._terminal


def test_stdin_must_bring_a_npy_array(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(b"PK\x03\x04 and so on"))
    assert refuse(["-"], LEFT)[0][0].startswith(
        "stdin: expected a .npy array, received something else ("
    )
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    assert refuse(["-"], LEFT)[0] == ["stdin: expected a .npy array, received nothing"]
    monkeypatch.setattr(sys, "stdin", Stdin(b"", terminal=True))
    assert refuse(["-"], LEFT) == (
        ["stdin: expected a .npy array, received a terminal"],
        "pipe it in: make_samples | kprobe dump ... inputs='-'",
    )


def test_stdin_in_column_major_order_is_refused(monkeypatch):
    file = io.BytesIO()
    np.save(file, np.asfortranarray(np.zeros((3, 2))))
    monkeypatch.setattr(sys, "stdin", Stdin(file.getvalue()))
    assert refuse(["-"], LEFT) == (
        [
            "stdin: expected rows one after another, received an array in column-major (Fortran) "
            "order"
        ],
        "save np.ascontiguousarray(array)",
    )


def test_stdin_feeds_one_input_only(monkeypatch):
    file = io.BytesIO()
    np.save(file, np.zeros((3, 2)))
    monkeypatch.setattr(sys, "stdin", Stdin(file.getvalue()))
    assert refuse(["left=-", "right=-"], LEFT, RIGHT)[0] == [
        "right=-: standard input feeds one input only"
    ]
