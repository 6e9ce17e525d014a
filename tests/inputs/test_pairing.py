"""What the user gave reaches the input that was meant, or none."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from opened import open_all

from kprobe.inputs import ModelInput
from kprobe.inputs.locating import Location, parse_location

IMAGE = ModelInput("image", (None, 2), "float32")
LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None, 2), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(value):
    return np.full((3, 2), value, "float32")


def write_files():
    """Each array is filled with a number of its own."""
    np.save("one.npy", rows(1))
    np.save("left=one.npy", rows(2))
    np.save("colon:1.npy", rows(3))
    np.savez("lone.npz", whatever=rows(4))
    np.savez("several.npz", image=rows(5), labels=np.arange(3), other=rows(6))
    np.savez("pairs.npz", left=rows(7), right=rows(8), labels=np.arange(3))
    with h5py.File("lone.h5", "w") as file:
        file["deep/only"] = rows(9)
        file["count"] = 3  # a single value is no samples
    with h5py.File("several.h5", "w") as file:
        file["image"] = rows(10)
        file["acts/roi:0"] = rows(11)
    with h5py.File("pairs.h5", "w") as file:
        file["left"] = rows(12)
        file["right"] = rows(13)
        axis = file.create_dataset("sample", data=np.arange(3))
        axis.make_scale("sample")
        file["left"].dims[0].attach_scale(axis)
    Path("no_extension").write_bytes(Path("lone.npz").read_bytes())
    Path("wrong.npy").write_bytes(Path("lone.h5").read_bytes())


def read(texts, *inputs):
    with open_all(texts, inputs) as samples:
        ((_, batch),) = samples.batches(8)
    return {name: int(array[0, 0]) for name, array in batch.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("one.npy", 1),
        ("image=one.npy", 1),
        ("./one.npy", 1),
        ("left=one.npy", 2),  # a file of that name wins
        ("image=left=one.npy", 2),
        ("colon:1.npy", 3),
        ("image=colon:1.npy", 3),
        ("lone.npz", 4),
        ("image=lone.npz", 4),
        ("no_extension", 4),
        ("lone.npz:whatever", 4),
        ("several.npz", 5),
        ("several.npz:other", 6),
        ("image=several.npz:other", 6),
        ("pairs.npz:right", 8),
        ("lone.h5", 9),
        ("wrong.npy", 9),
        ("lone.h5:/deep/only", 9),
        ("lone.h5:deep/only", 9),
        ("image=lone.h5:/deep/only", 9),
        ("several.h5", 10),
        ("several.h5:acts/roi:0", 11),
        ("several.h5:/acts/roi:0", 11),
        ("pairs.h5:right", 13),
    ],
)
def test_a_single_input_needs_no_name(text, value):
    write_files()
    assert read([text], IMAGE) == {"image": value}


@pytest.mark.parametrize(
    ("texts", "left", "right"),
    [
        (["pairs.npz"], 7, 8),
        (["pairs.h5"], 12, 13),
        (["left=several.npz:other", "right=lone.npz"], 6, 4),
        (["right=pairs.npz", "left=pairs.h5"], 12, 8),
        (["right=pairs.h5:left", "left=pairs.h5:/right"], 13, 12),
        (["left=./left=one.npy", "right=several.h5:image"], 2, 10),
    ],
)
def test_several_inputs_are_matched_by_name_whatever_the_order(texts, left, right):
    write_files()
    assert read(texts, LEFT, RIGHT) == {"left": left, "right": right}


@pytest.mark.parametrize(
    ("text", "name", "path", "key"),
    [
        ("-", None, None, None),
        ("image=-", "image", None, None),
        ("a.npy", None, "a.npy", None),
        ("image=a.npy", "image", "a.npy", None),
        ("imge=a.npy", "imge", "a.npy", None),
        ("runs/lr=0.1/a.npy", None, "runs/lr=0.1/a.npy", None),
        ("image=runs/lr=0.1/a.npy", "image", "runs/lr=0.1/a.npy", None),
        ("a.h5:/x/y:0", None, "a.h5", "/x/y:0"),
        ("a.H5:x", None, "a.H5", "x"),
        ("a.h5:", None, "a.h5", None),
        ("image=a.npz:x", "image", "a.npz", "x"),
        ("model/in=a.npy", "model/in", "a.npy", None),
    ],
)
def test_texts_are_read_by_their_punctuation_where_no_file_exists(text, name, path, key):
    found = parse_location(text, ["image", "model/in"])
    assert found == Location(text, name, path and Path(path), key)


def test_a_home_directory_is_found_behind_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_files()
    assert read(["image=~/one.npy"], IMAGE) == {"image": 1}
