"""`kprobe cam`: maps of a folder of images, in HDF5 and laid over them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kprobe
from kprobe.pictures.colour import Scale
from kprobe.pictures.overlay import overlay

DIGITS = "sample_models/digits_cnn.keras"
JOB = ["cam", DIGITS, "-i", "photos", "--overlays", "out", "--scale", "1/255"]


@pytest.fixture
def photos(folder):
    """A folder of ten scans as PNG files of 8 by 8 pixels, nine of them in a folder inside."""
    with np.load("sample_models/digits.npz") as scans:
        images = np.uint8(scans[scans.files[0]][:10].reshape(10, 8, 8) * 255)
    (folder / "photos" / "more").mkdir(parents=True)
    for number, image in enumerate(images):
        place = "photos" if number == 0 else "photos/more"
        Image.fromarray(image).save(f"{place}/{number}.png")
    return images


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*"))


def test_a_folder_gets_maps_and_overlays(kprobe_here, photos):
    done = kprobe_here(*JOB)
    assert done.exit_code == 0, done.stderr
    assert "digits_cnn.cam.h5: 10 samples of 3 datasets" in done.stderr
    assert "grad-cam of pool2 for the largest score of digit; overlays in out\n" in done.stderr
    assert list_files("out") == ["0.png.png", *(f"more/{n}.png.png" for n in range(1, 10))]
    with kprobe.open_dump("digits_cnn.cam.h5") as dump:
        maps, names = dump["cam"][:], dump.sample
        labels = np.load("sample_models/digits_labels.npy")[:10]
        np.testing.assert_array_equal(dump["unit"][1:], labels[1:])  # it takes the first for 3
        assert (dump["score"][:] > 0.5).all()
    for image, heat, name in zip(photos, maps, names, strict=True):
        with Image.open(f"out/{name}.png") as drawn:
            right = overlay(image, heat, Scale(0, float(heat.max()) or 1))
            np.testing.assert_array_equal(np.asarray(drawn), right)
    assert "options:  cam grad-cam" in kprobe_here("show", "digits_cnn.cam.h5").stdout
    # A run that is continued has the overlays of an earlier one, or says that they aren't there.
    Path("out/more/3.png.png").unlink()
    done = kprobe_here(*JOB, "--resume")
    assert done.exit_code != 0
    assert "10 samples are done already, and out has no overlays of 1 of them" in done.stderr
    assert "--overwrite, or leave --overlays out" in done.stderr


def test_options_say_which_map(kprobe_here, photos):
    Path("photos/more/1.png").write_bytes(b"\x89PNG, cut short")
    job = [*JOB, "--layer", "relu1", "--of", "digit", "--unit", "3", "--method", "grad-cam++"]
    done = kprobe_here(*job, "--limit", "3", "--on-error", "skip", "-o", "a.h5", "--json")
    assert done.exit_code == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["samples"], told["left_out"], told["overlays"]) == (3, 1, "out")
    assert list_files("out") == ["0.png.png", "more/2.png.png"]
    # What couldn't be read has no overlay in a run that is continued, either.
    again = kprobe_here(*job, "--limit", "3", "--on-error", "skip", "-o", "a.h5", "--resume")
    assert again.exit_code == 3, again.stderr
    scaled = np.float32(photos[[0, 2], ..., None]) / 255
    expected = kprobe.cam(DIGITS, scaled, "relu1", unit=3, method="grad-cam++")
    with kprobe.open_dump("a.h5") as dump:
        np.testing.assert_allclose(dump["cam"][:][[0, 2]], expected["cam"], rtol=1e-5, atol=1e-9)
        assert dump["unit"][:].tolist() == [3, 0, 3]


def test_what_cant_be_gets_a_line_in_the_words_of_the_command_line(kprobe_here, photos):
    done = kprobe_here(*JOB, "--method", "cam")
    assert done.exit_code == 2
    assert "cam needs global average pooling and one dense layer that gives digit" in done.stderr
    assert not Path("out").exists()
    assert "--layer" in kprobe_here(*JOB, "--layr", "relu1").stderr
    done = kprobe_here(*JOB, "-o", "-", "--json")
    assert (done.exit_code, "--json and -o - both want stdout" in done.stderr) == (2, True)
