"""The images of samples: found by name or number, and cut as the model's own were."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kprobe.errors import InputError
from kprobe.pipeline.plotting.sample_images import SampleImages

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos" / "cats"
    place.mkdir(parents=True)
    Image.fromarray(PIXELS).save(place / "a.png")
    Image.fromarray(PIXELS[..., 0]).save(place / "grey.png")
    (place / "none.png").write_text("not an image")
    return tmp_path / "photos"


def test_an_image_is_found_by_the_name_of_its_sample(folder):
    for place in (folder, folder / "cats", folder / "cats" / "a.png"):
        np.testing.assert_array_equal(SampleImages(str(place)).read(3, "cats/a.png"), PIXELS)
    grey = SampleImages(str(folder)).read(0, "cats/grey.png")
    np.testing.assert_array_equal(grey, PIXELS[..., :1])


def test_arrays_are_images_by_number(tmp_path):
    images = np.stack([PIXELS, PIXELS[::-1]])
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "b.npz", image=images / 255, other=images[..., 0])
    np.savez(tmp_path / "c.npz", image=images.astype("f4"))
    for place in ("a.npy", "b.npz:image", "c.npz"):
        read = SampleImages(str(tmp_path / place)).read(1, "b.npz:image[1]")
        np.testing.assert_array_equal(read, PIXELS[::-1])
    np.testing.assert_array_equal(
        SampleImages(str(tmp_path / "b.npz:other")).read(0, ""), PIXELS[..., :1]
    )


@pytest.mark.parametrize(
    ("place", "name", "line"),
    [
        ("nowhere", "a", "{0}/nowhere: no such file or folder"),
        ("photos", "dogs/b.png", "{0}/photos: has no file 'dogs/b.png'"),
        ("photos/cats", "../../x.npy", "{0}/photos/cats: has no file '../../x.npy'"),
        ("photos", "/etc/passwd", "{0}/photos: has no file '/etc/passwd'"),
        ("photos", "cats/none.png", "{0}/photos/cats/none.png: expected an image, rec"),
        ("x.npy", "", "{0}/x.npy: expected an image of sample 9, received 2 images"),
        ("x.npz:b", "", "{0}/x.npz: expected one of its arrays, {0}/x.npz:KEY; it has a"),
        ("bad.npy", "", "{0}/bad.npy: can't be read: "),
        ("long.npy", "", "{0}/long.npy: expected images of 1, 3 or 4 channels, received"),
    ],
)
def test_what_is_no_image_has_a_line(folder, tmp_path, place, name, line):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 4)))
    np.savez(tmp_path / "x.npz", a=np.zeros((2, 3, 4)), c=np.zeros(3))
    np.save(tmp_path / "long.npy", np.zeros((20, 7)))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY garbage")
    with pytest.raises(InputError) as refused:
        SampleImages(str(tmp_path / place)).read(9, name)
    assert str(refused.value).startswith(line.format(tmp_path))
