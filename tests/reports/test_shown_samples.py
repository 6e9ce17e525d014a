from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import InputError
from kprobe.reports.shown_samples import choose_rows, draw_images, name_samples


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A dump of six labelled samples, of which the first and the fourth couldn't be read."""
    path = tmp_path_factory.mktemp("dumps") / "a.h5"
    classes = np.array([0, 1, 1, 0, 0, 1], "i4")
    attrs = {"classes": ["cat", "犬"], "layout": "label"}
    label = Column("label", (6,), classes.dtype, attrs, classes, by_sample=True)
    columns = [Column("a", (2,), np.dtype("f4"), {"addresses": ["a"]}), label, VALID, REASON]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=list("abcdef"))) as writer:
        valid = np.array([0, 1, 1, 0, 1, 1], "u1")
        reason = np.where(valid, b"", b"torn").astype(REASON.dtype)
        writer.write(0, {"a": np.ones((6, 2), "f4"), "valid": valid, "reason": reason})
        writer.finish()
    return path


def test_those_that_could_not_be_read_are_passed_over(path):
    with open_dump(path) as dump:
        assert choose_rows(dump, ()) == [1, 2, 4, 5]
        assert choose_rows(dump, ["d"]) == [3]


def test_samples_have_their_labels(path):
    with open_dump(path) as dump:
        assert name_samples(dump, [4, 1]) == ["e (cat)", "b (犬)"]


def decode(uri):
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_images_are_those_of_the_samples_small_and_in_their_ratio(path, tmp_path):
    colours = np.array([[9, 9, 9], [200, 30, 30], [9, 9, 9], [9, 9, 9], [30, 160, 60]], np.uint8)
    np.save(tmp_path / "all.npy", np.tile(colours[:, None, None], (1, 128, 512, 1)))
    (tmp_path / "photos").mkdir()
    for name, colour in zip("abcde", colours.tolist(), strict=True):
        Image.new("RGB", (512, 128), tuple(colour)).save(tmp_path / "photos" / name, "PNG")
    with open_dump(path) as dump:
        for place in ("all.npy", "photos"):
            drawn = [decode(uri) for uri in draw_images(dump, [4, 1], tmp_path / place)]
            for image, row in zip(drawn, (4, 1), strict=True):
                assert image.shape == (64, 256, 3)
                assert np.abs(image - colours[row]).max() <= 8
        np.save(tmp_path / "grey.npy", np.full((2, 8, 8), 0.5))
        assert np.abs(decode(draw_images(dump, [1], tmp_path / "grey.npy")[0]) - 128).max() <= 4
        assert draw_images(dump, [1], None) == []
        with pytest.raises(InputError, match=r"photos: has no file 'f'"):
            draw_images(dump, [5], tmp_path / "photos")


def test_a_number_longer_than_python_takes_is_no_row(path):
    with (
        open_dump(path) as dump,
        pytest.raises(InputError, match="has no sample '99999"),
    ):
        choose_rows(dump, ["9" * 5000])
