"""Images as samples, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import PIL.Image
import pytest
import xarray

import kprobe

DIGITS = "sample_models/digits_cnn.keras"  # takes (None, 8, 8, 1)


@pytest.fixture
def scans(digits, kprobe_here):
    """A folder with a folder of PNG images for each of two classes."""
    for number, scan in enumerate(digits[:10]):
        folder = Path("scans", "even" if number % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (scan[..., 0] * 255 / digits.max()).round().astype("uint8")
        PIL.Image.fromarray(pixels).resize((20, 16)).save(folder / f"{number}.png")
    return sorted(path.relative_to("scans").as_posix() for path in Path("scans").rglob("*.png"))


def test_a_folder_of_images_is_dumped_with_labels(scans, kprobe_here, digits_cnn):
    done = kprobe_here(
        *("dump", DIGITS, "--layers", "features", "--input", "scans", "-o", "a.h5"),
        *("--labels-from-folders", "--interpolation", "nearest", "--scale", "1/16"),
    )
    assert done.exit_code == 0, done.stderr
    loaded = [
        keras.utils.load_img(
            f"scans/{name}", color_mode="grayscale", target_size=(8, 8), interpolation="nearest"
        )
        for name in scans
    ]
    images = np.stack([keras.utils.img_to_array(image) for image in loaded]) / 16
    reference = keras.Function(digits_cnn.inputs, digits_cnn.get_layer("features").output)([images])
    with kprobe.open_dump("a.h5") as dump:
        assert dump.sample.tolist() == scans
        assert dump.label.tolist() == ["even"] * 5 + ["odd"] * 5
        assert list(dump) == ["features"]
        np.testing.assert_allclose(dump["features"][:], reference, rtol=1e-5, atol=1e-5)
        (source,) = json.loads(dump.attrs["inputs"])
        assert source["interpolation"] == "nearest"
        assert source["resize"] == [8, 8]
    with h5py.File("a.h5") as file:
        assert file["label"].dtype == np.int32
        assert file["label"].attrs["classes"].tolist() == ["even", "odd"]
    with xarray.open_dataset("a.h5", engine="h5netcdf") as labeled:
        assert labeled["label"].dims == ("sample",)
        assert labeled["features"].where(labeled["label"] == 1, drop=True).shape[0] == 5


def test_a_dry_run_lists_what_is_fetched_and_not_what_is_known_of_samples(scans, kprobe_here):
    arguments = ["dump", DIGITS, "--layers", "features,features:kernel", "--input", "scans"]
    arguments += ["--labels-from-folders", "--on-error", "skip", "-o", "a.h5"]
    plan = json.loads(kprobe_here(*arguments, "--dry-run", "--json").stdout)
    assert [each["address"] for each in plan["datasets"]] == ["features", "features:kernel"]
    rows = kprobe_here(*arguments, "--dry-run").stdout.splitlines()
    assert [row.split()[0] for row in rows[:4]] == ["address", "features", "features:kernel", "in"]
    done = json.loads(kprobe_here(*arguments, "--json").stdout)
    assert done["datasets"] == len(plan["datasets"])
    assert done["written"] == plan["bytes"]
    with h5py.File("a.h5") as file:
        stored = [file[each["dataset"]] for each in plan["datasets"]]
        assert plan["bytes"] == sum(dataset.nbytes for dataset in stored)
        assert {"label", "valid", "reason"} < {*file}


def test_a_dump_without_labels_has_none(scans, kprobe_here):
    kprobe_here("dump", DIGITS, "--layers", "features", "--input", "scans", "-o", "a.h5")
    with kprobe.open_dump("a.h5") as dump:
        assert dump.label is None


def test_label_is_no_name_for_a_layer(kprobe_here):
    done = kprobe_here("dump", DIGITS, "--layers", "label=features", "-o", "a.h5")
    assert "the name 'label' is kept by the dump's format for itself" in done.stderr


def test_the_limit_cuts_labels_too(scans, kprobe_here):
    done = kprobe_here(
        *("dump", DIGITS, "--layers", "features", "--input", "scans", "-o", "a.h5"),
        *("--labels-from-folders", "--limit", "7"),
    )
    assert done.exit_code == 0, done.stderr
    with kprobe.open_dump("a.h5") as dump:
        assert dump.label.tolist() == ["even"] * 5 + ["odd"] * 2


def test_a_damaged_image_is_one_line(scans, kprobe_here):
    Path("scans/even/4.png").write_bytes(Path("scans/even/4.png").read_bytes()[:60])
    done = kprobe_here("dump", DIGITS, "--layers", "features", "--input", "scans", "-o", "a.h5")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == ["kprobe: even/4.png: the PNG image is damaged or cut short"]


@pytest.mark.parametrize("given", ["scans", "scans/*/*"])
def test_a_folder_of_many_kinds_is_read_and_what_holds_no_image_is_counted(
    given, scans, kprobe_here, digits_cnn
):
    with PIL.Image.open("scans/even/0.png") as image:
        for name in ("even/20.webp", "odd/21.TIF", "odd/22.JPG"):
            image.save(f"scans/{name}", lossless=True)
    Path("scans/odd/lost.jpg").write_text("<html>404</html>")
    arguments = ["dump", DIGITS, "--layers", "features", "--input", given]
    arguments += ["--interpolation", "nearest"]
    done = kprobe_here(*arguments, "-o", "a.h5")
    assert done.exit_code == 0, done.stderr
    note = f"kprobe: {given}: left out 1 of 14 files, which hold no image: odd/lost.jpg"
    assert note in done.stderr.splitlines()
    names = sorted([*scans, "even/20.webp", "odd/21.TIF", "odd/22.JPG"])
    options = {"color_mode": "grayscale", "target_size": (8, 8), "interpolation": "nearest"}
    images = np.stack([np.asarray(keras.utils.load_img(f"scans/{n}", **options)) for n in names])
    features = keras.Function(digits_cnn.inputs, digits_cnn.get_layer("features").output)
    with kprobe.open_dump("a.h5") as dump:
        assert dump.sample.tolist() == names
        reference = features([images[..., None].astype("float32")])
        np.testing.assert_allclose(dump["features"][:], reference, rtol=1e-4, atol=1e-2)
    done = kprobe_here(*arguments, "--on-error", "skip", "-o", "b.h5")
    assert done.exit_code == 3
    with kprobe.open_dump("b.h5") as dump:
        assert dump.sample[~dump.valid].tolist() == ["odd/lost.jpg"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--resize", "big"], "expected HEIGHTxWIDTH in pixels, or model, received 'big'"),
        (["--resize", "0x8"], "expected HEIGHTxWIDTH in pixels, or model, received '0x8'"),
        (["--fit", "cut"], "expected stretch, crop, pad, received 'cut'"),
        (["--channels", "2"], "expected 1, 3, 4, received '2'"),
        (["--fit", "crop", "--fit", "pad"], "--fit is given twice for one input"),
        (["--fit", "image=crop"], "no input 'image'; the model's inputs: scan"),
        (["--resize", "9x9"], "expects shape (None, 8, 8, 1), received (10, 9, 9, 1)"),
    ],
)
def test_options_that_there_are_not_are_refused(arguments, fault, scans, kprobe_here):
    done = kprobe_here(
        *("dump", DIGITS, "--layers", "features", "--input", "scans", "-o", "a.h5", *arguments)
    )
    assert done.exit_code == 2
    assert fault in done.stderr.replace("\n", " ")
