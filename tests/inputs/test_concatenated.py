"""Sources that are given in a row, or fit a pattern, give their rows one after another."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

ROWS = np.arange(44.0, dtype="float32").reshape(11, 4)
LEFT = ModelInput("left", (None, 4), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def parts():
    for number, rows in enumerate(np.split(ROWS, [3, 3, 10])):
        np.save(f"{number}.npy", rows)
        np.savez(f"{number}.npz", left=rows, other=-rows)
        with h5py.File(f"{number}.h5", "w") as file:
            file["deep/rows"] = rows
            file["left"] = rows


@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("*.npy", "{}.npy[{}]"),
        ("left=?.npz", "{}.npz:left[{}]"),
        ("[0-9].h5:/deep/rows", "{}.h5:deep/rows[{}]"),
        ("left=*.h5", "{}.h5:left[{}]"),
    ],
)
def test_rows_follow_one_another_and_keep_their_names(text, names, batch_size, parts):
    with open_all([text], [LEFT]) as samples:
        np.testing.assert_array_equal(samples.peek(5)["left"], ROWS[:5])
        batches = [batch["left"] for _, batch in samples.batches(batch_size)]
        np.testing.assert_array_equal(np.concatenate(batches), ROWS)
        places = [(0, row) for row in range(3)] + [(2, row) for row in range(7)] + [(3, 0)]
        expected = [names.format(*place) for place in places]
        assert [name.decode() for name in samples.names()[:]] == expected
        assert [name.decode() for name in samples.names()[2:5]] == expected[2:5]
        assert samples.identity()[0]["parts"][2]["bytes"] > 100


def test_negative_reads_the_other_array(parts):
    with open_all(["left=*.npz:other"], [LEFT]) as samples:
        ((_, batch),) = samples.batches(20)
        np.testing.assert_array_equal(batch["left"], -ROWS)


def test_parts_must_agree(parts):
    np.save("4.npy", np.zeros((2, 5), "float32"))
    np.save("5.npy", ROWS.astype("float64"))
    for pattern, fault in [
        ("*[04].npy", r"received \(4,\) float32 from 0.npy and \(5,\) float32 from 4.npy"),
        ("*[05].npy", r"received \(4,\) float32 from 0.npy and \(4,\) float64 from 5.npy"),
        ("0.np*", "0.npy, and files of several arrays such as 0.npz"),
    ]:
        with pytest.raises(InputError, match=fault):
            open_all([pattern], [LEFT])


def test_images_and_arrays_do_not_mix(parts):
    PIL.Image.new("RGB", (4, 4)).save("1.png")
    with pytest.raises(InputError, match=r"expected images alone, received 0\.npy too"):
        open_all(["[01].[np]*"], [LEFT])


def test_a_key_that_one_file_lacks_is_named(parts):
    np.savez("9.npz", right=ROWS)
    with pytest.raises(InputError, match=r"9.npz: no array 'left'; it holds right"):
        open_all(["*.npz:left"], [LEFT])
    assert Path("9.npz").exists()


def test_sources_of_any_kind_are_read_in_the_order_given(parts):
    texts = ["left=2.h5:left", "0.npy", "[13].npz:left"]
    with open_all(texts, [LEFT]) as samples:
        batches = [batch["left"] for _, batch in samples.batches(4)]
        np.testing.assert_array_equal(np.concatenate(batches), [*ROWS[3:10], *ROWS[:3], ROWS[10]])
        names = [name.decode() for name in samples.names()[:]]
        assert names[6:8] == ["2.h5:left[6]", "0.npy[0]"]
        assert names[-1] == "3.npz:left[0]"
        assert samples.identity()[0]["rows"] == 11


def test_each_of_several_inputs_has_sources_in_a_row(parts):
    right = ModelInput("right", (None, 4), "float32")
    texts = ["left=0.npy", "right=2.npz:other", "left=3.npy"]
    texts += ["left=3.npy", "left=3.npy", "left=3.npy"]
    with open_all(texts, [LEFT, right]) as samples:
        ((_, batch),) = samples.batches(10)
        np.testing.assert_array_equal(batch["left"], [*ROWS[:3], *[ROWS[10]] * 4])
        np.testing.assert_array_equal(batch["right"], -ROWS[3:10])


def test_folders_in_a_row_keep_their_names_and_labels():
    for number, name in enumerate(["old/a/1.png", "old/b/1.png", "newer/a/1.png"]):
        Path(name).parent.mkdir(parents=True)
        PIL.Image.fromarray(np.full((8, 9, 3), number, np.uint8)).save(name)
    image = ModelInput("x", (None, 8, 9, 3), "float32")
    with open_all(["old/", "newer"], [image], labels_from_folders=True) as samples:
        assert [name.decode() for name in samples.names()[:]] == [
            "old/a/1.png",
            "old/b/1.png",
            "newer/a/1.png",
        ]
        assert samples.names()[:0].dtype == samples.names()[:].dtype
        assert samples.labels.classes == ["a", "b"]
        assert samples.labels.indices.tolist() == [0, 1, 0]
        ((_, batch),) = samples.batches(10)
        assert batch["x"][:, 0, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("texts", [["*/rows.npy"], ["left=0/rows.npy", "1/rows.npy"]])
def test_files_of_one_name_are_told_apart_by_their_folders(texts):
    for folder in ("0", "1"):
        Path(folder).mkdir()
        np.save(f"{folder}/rows.npy", ROWS[:2])
    with open_all(texts, [LEFT]) as samples:
        names = {name.decode() for name in samples.names()[:]}
    assert names == {f"{folder}/rows.npy[{row}]" for folder in (0, 1) for row in (0, 1)}


def test_images_and_arrays_of_files_of_one_name_are_told_apart():
    for number, folder in enumerate(["0", "1"]):
        Path(folder).mkdir()
        np.savez(f"{folder}/rows.npz", left=ROWS[:1])
        PIL.Image.fromarray(np.full((8, 9, 3), number, np.uint8)).save(f"{folder}/x.png")
    with open_all(["0/rows.npz", "1/rows.npz"], [LEFT]) as samples:
        names = [name.decode() for name in samples.names()[:]]
        assert names == ["0/rows.npz:left[0]", "1/rows.npz:left[0]"]
    image = ModelInput("x", (None, 8, 9, 3), "float32")
    with open_all(["0/x.png", "1/x.png"], [image]) as samples:
        assert [name.decode() for name in samples.names()[:]] == ["0/x.png", "1/x.png"]


@pytest.mark.parametrize(
    ("parts", "shape"),
    [
        (((8, 9), (8, 7)), (8, -1, 3)),
        (((8, 9), (6, 7)), (-1, -1, 3)),
        (((8, 9), (8, 7), (8, 9), (6, 5)), (-1, -1, 3)),
        (((8, 9), (8, 9), (6, 9), (6, 9)), (-1, 9, 3)),
    ],
)
def test_images_that_keep_their_sizes_follow_one_another(parts, shape):
    for number, size in enumerate(parts):
        image = np.full((*size, 3), number, np.uint8)
        PIL.Image.fromarray(image).save(f"{number}.png")
    half = len(parts) // 2
    for name, numbers in (("a", range(half)), ("b", range(half, len(parts)))):
        Path(f"{name}.txt").write_text("".join(f"{number}.png\n" for number in numbers))
    with open_all(["?.txt"], [ModelInput("x", (None, None, None, 3), "float32")]) as samples:
        assert samples.specs()["x"][0] == shape
        ((_, batch),) = samples.batches(10)
        for number, (row, size) in enumerate(zip(batch["x"], parts, strict=True)):
            np.testing.assert_array_equal(row, np.full((*size, 3), number, np.uint8))
