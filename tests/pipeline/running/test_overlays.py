"""Overlays lie in their folder, whatever samples are called, and replace nothing but overlays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import kprobe
from kprobe.image_options import ImageOptions
from kprobe.pictures.colour import Scale
from kprobe.pictures.overlay import overlay
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.batches import Computed
from kprobe.pipeline.running.overlays import Overlays, name_overlay


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("tom.jpg", "tom.jpg.png"),
        ("cats/tom.jpg", "cats/tom.jpg.png"),
        ("digits.npz:scan[3]", "digits.npz:scan[3].png"),
        ("../tom.jpg", "tom.jpg-7.png"),
        ("/home/me/tom.jpg", "home/me/tom.jpg-7.png"),
        ("cats/../../tom.jpg", "cats/tom.jpg-7.png"),
        ("", "sample-7.png"),
        ("..", "sample-7.png"),
        ("a\nb\x00", "a_b_-7.png"),
        ("é" * 300, "é" * 100 + "-7.png"),
    ],
)
def test_an_overlay_is_called_as_its_sample_and_lies_in_the_folder(name, path):
    made = name_overlay(name, 7)
    assert made == Path(path)
    assert not made.is_absolute()
    assert ".." not in made.parts
    assert all(len(part.encode()) < 240 for part in made.parts)


def make(channels=3):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, channels), name="x"),
            layers.Conv2D(2, 3, name="conv"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(2, name="dense"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A plan of maps of three photos, and a batch of it."""
    photos = tmp_path_factory.mktemp("run") / "photos"
    (photos / "in").mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    for name, image in zip(("a.png", "in/b.png", "in/c.png"), images, strict=True):
        Image.fromarray(image).save(photos / name)
    job = make_job(model=make(), layers=None, cam="cam", inputs=photos)
    with plan_job(job) as plan:
        results = plan.computation({"x": images})
        yield plan, Computed(0, 3, results, {}, {"x": images}), photos


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))


def test_overlays_are_written_again_where_they_are(planned, tmp_path):
    plan, batch, _ = planned
    overlays = Overlays(plan, tmp_path / "new" / "out")
    with pytest.raises(kprobe.KprobeError, match=r"3 samples are done already, and .* no overlays"):
        overlays.check_there(3, None)
    for _ in range(2):
        overlays.draw(batch)
        overlays.check_there(3, None)
        assert list_files(tmp_path / "new/out") == ["a.png.png", "in/b.png.png", "in/c.png.png"]


@pytest.mark.parametrize("place", ["photos", "photos/a.png", "all.txt", "photos/*.png", "p*/*.png"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_an_overlay_of_a_photo_has_its_size_and_ratio(place, fit, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    photo = np.random.default_rng(0).integers(0, 256, (20, 36, 3), np.uint8)
    Image.fromarray(photo).save("photos/a.png")
    Path("all.txt").write_text("photos/a.png\n")
    given = kprobe.cam(model, place, overlays="out", images=ImageOptions(fit=fit))["cam"][0]
    padded = np.pad(photo, ((8, 8), (0, 0), (0, 0)))
    right = {"stretch": photo, "crop": photo[:, 8:28], "pad": padded}
    (path,) = Path("out").rglob("*.png")
    with Image.open(path) as image:
        scale = Scale(0, given.max() or 1)
        np.testing.assert_array_equal(np.asarray(image), overlay(right[fit], given, scale))


def test_overlays_of_a_large_photo_and_of_an_array_are_small(model, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (2048, 512), "red").save(tmp_path / "photos/a.jpg")
    kprobe.cam(model, tmp_path / "photos", overlays=tmp_path / "out")
    with Image.open(tmp_path / "out/a.jpg.png") as image:
        assert image.size == (640, 160)
    kprobe.cam(model, np.zeros((1, 8, 8, 3), np.uint8), overlays=tmp_path / "array")
    (path,) = (tmp_path / "array").iterdir()
    with Image.open(path) as image:
        assert image.size == (8, 8)


def test_what_couldnt_be_read_has_none(planned, tmp_path):
    plan, batch, _ = planned
    Overlays(plan, tmp_path).draw(replace(batch, faults={1: "in/b.png: damaged"}))
    assert list_files(tmp_path) == ["a.png.png", "in/c.png.png"]


def test_a_folder_among_the_samples_is_refused(planned):
    plan, _, photos = planned
    for folder in (photos, photos / "new", photos / "in" / ".." / "out"):
        with pytest.raises(kprobe.KprobeError, match="expected a folder outside of"):
            Overlays(plan, folder)
    assert list_files(photos) == ["a.png", "in/b.png", "in/c.png"]


def test_files_of_others_are_left_as_they_are(planned, tmp_path):
    plan, batch, photos = planned
    for number, make_other in enumerate(
        (
            lambda path: path.write_bytes((photos / "a.png").read_bytes()),
            lambda path: path.write_text("no image"),
            lambda path: path.symlink_to(photos / "a.png"),
            lambda path: path.symlink_to("nowhere"),
            lambda path: path.mkdir(),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        make_other(folder / "a.png.png")
        with pytest.raises(kprobe.KprobeError, match=r"a\.png\.png: expected no file, or an over"):
            Overlays(plan, folder).draw(batch)
        assert not list(folder.rglob("*.partial"))
    before = (photos / "a.png").read_bytes()
    # What is written beside goes through no link, either.
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / ".a.png.0.partial").symlink_to(photos / "a.png")
    Overlays(plan, tmp_path / "last").draw(batch)
    assert (photos / "a.png").read_bytes() == before


def test_a_link_out_of_the_folder_is_refused(planned, tmp_path):
    plan, batch, _ = planned
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "in").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(kprobe.KprobeError, match="received a link out of it"):
        Overlays(plan, tmp_path / "out").draw(batch)
    assert list_files(tmp_path / "elsewhere") == []


def test_a_file_in_the_place_of_the_folder_gets_a_line(planned, tmp_path):
    plan, _, _ = planned
    (tmp_path / "out").write_text("")
    with pytest.raises(
        kprobe.KprobeError, match="out: expected a folder for overlays, received a file"
    ):
        Overlays(plan, tmp_path / "out")


def test_arrays_get_overlays_and_what_is_no_image_a_line(tmp_path):
    rows = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("f4")
    found = kprobe.cam(make(1), rows, overlays=tmp_path / "out")
    assert found["cam"].shape == (3, 6, 6)
    for path in sorted((tmp_path / "out").iterdir()):
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((8, 8), "RGB")
    with pytest.raises(kprobe.KprobeError, match=r"images of 1, 3 or 4 channels, received x of"):
        kprobe.cam(make(2), np.concatenate([rows, rows], -1), overlays=tmp_path / "two")
