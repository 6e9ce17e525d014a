"""Kinds of images that TensorFlow doesn't decode are read as `keras.utils.load_img` reads them."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError
from kprobe.image_options import ImageForm, ImageOptions
from kprobe.inputs import ModelInput
from kprobe.inputs.images.decoding import make_row
from kprobe.inputs.images.header import ImageHeader, find_kind, read_header
from kprobe.inputs.images.pillow import UndecodedError, decode_by_pillow

COLOR_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}
PIXELS = np.random.default_rng(0).integers(0, 256, (19, 26, 4), "uint8")
DEEP = np.random.default_rng(1).integers(0, 65536, (9, 7), "uint16")
FREE = ModelInput("image", (None, None, None, 3), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_image(mode):
    if mode == "1":
        return PIL.Image.fromarray(PIXELS[..., 0] > 128)
    if mode == "P":
        return PIL.Image.fromarray(PIXELS[..., :3]).quantize(16)
    if mode == "CMYK":
        return PIL.Image.fromarray(PIXELS[..., :3]).convert("CMYK")
    chosen = PIXELS[..., 0] if mode == "L" else PIXELS[..., : len(mode)]
    return PIL.Image.fromarray(np.ascontiguousarray(chosen))


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(content, channels):
    form = ImageForm(
        size=None, channels=channels, fit="stretch", interpolation="nearest", axes="HWC"
    )
    return make_row(tf.constant(content), form).numpy()


def load(content, channels):
    image = keras.utils.load_img(io.BytesIO(content), color_mode=COLOR_MODES[channels])
    return keras.utils.img_to_array(image)


KINDS = {
    "WebP": [("RGB", {"lossless": True}), ("RGB", {"quality": 70}), ("RGBA", {"lossless": True})],
    "TIFF": [
        ("RGB", {}),
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "jpeg"}),
        ("RGB", {"big_tiff": True}),
        ("RGBA", {"compression": "tiff_deflate"}),
        ("L", {}),
        ("1", {}),
        ("P", {}),
        ("CMYK", {}),
    ],
    "JPEG 2000": [("RGB", {"irreversible": False}), ("L", {})],
    "AVIF": [("RGB", {})],
}


@pytest.mark.parametrize("channels", COLOR_MODES)
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [(kind, mode, options) for kind, cases in KINDS.items() for mode, options in cases],
)
def test_decoding_equals_load_img_bit_for_bit(kind, mode, options, channels):
    content = encode(make_image(mode), kind.replace(" ", ""), **options)
    assert find_kind(content) == kind
    np.testing.assert_array_equal(read(content, channels), load(content, channels))
    stored = {"1": 1, "L": 1, "RGBA": 4}.get(mode, 3)
    assert read_header(io.BytesIO(content)) == ImageHeader((19, 26), stored)


@pytest.mark.parametrize("channels", COLOR_MODES)
def test_of_16_bits_the_upper_8_are_kept(channels):
    content = encode(PIL.Image.fromarray(DEEP), "TIFF")
    rows = read(content, channels)
    np.testing.assert_array_equal(rows[..., 0], DEEP >> 8)
    assert rows.shape == (9, 7, channels)
    assert read_header(io.BytesIO(content)) == ImageHeader((9, 7), 1)


@pytest.mark.parametrize("kind", ["TIFF", "WebP"])
def test_of_several_pages_or_frames_the_first_is_taken(kind):
    pages = [PIL.Image.fromarray(PIXELS[..., n : n + 3]) for n in (0, 1)]
    options = {"lossless": True} if kind == "WebP" else {}
    content = encode(pages[0], kind, save_all=True, append_images=pages[1:], **options)
    np.testing.assert_array_equal(read(content, 3), PIXELS[..., :3])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_page_lies_as_load_img_lays_it(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    content = encode(make_image("RGB"), "TIFF", exif=exif)
    expected = load(content, 3)
    np.testing.assert_array_equal(read(content, 3), expected)
    assert read_header(io.BytesIO(content)).size == expected.shape[:2]


@pytest.mark.parametrize("kind", ["WebP", "TIFF"])
def test_what_is_damaged_is_a_row_that_cannot_be_read(kind):
    good = encode(make_image("RGB"), kind)
    Path("pages").mkdir()
    Path("pages/a.tif").write_bytes(good)
    Path("pages/b.tif").write_bytes(good[:40])
    Path("pages/c.tif").write_bytes(encode(PIL.Image.fromarray(DEEP.astype("float32")), "TIFF"))
    options = {"": ImageOptions(resize=(19, 26))}
    with open_all(["pages"], [FREE], images=options, on_error="skip") as samples:
        ((_, batch),) = samples.batches(9)
    np.testing.assert_array_equal(batch["image"][0], load(good, 3))
    assert samples.faults == {
        1: f"b.tif: the {kind} image is damaged or cut short",
        2: "c.tif: expected 8 or 16 bits a channel, received 32",
    }


def test_what_pillow_knows_besides_is_not_decoded():
    content = encode(make_image("RGB"), "PCX")
    with pytest.raises(UndecodedError):
        decode_by_pillow(content, 3)


def test_records_may_hold_them():
    content = encode(make_image("RGB"), "WebP", lossless=True)
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
    example = tf.train.Example(features=tf.train.Features(feature={"image": feature}))
    with tf.io.TFRecordWriter("a.tfrecord") as writer:
        writer.write(example.SerializeToString())
    with open_all(["a.tfrecord"], [FREE]) as samples:
        ((_, batch),) = samples.batches(1)
    np.testing.assert_array_equal(batch["image"][0], PIXELS[..., :3])


WITHOUT = """
import sys
sys.modules["PIL"] = None  # as if it weren't installed
from kprobe.errors import InputError
from kprobe.inputs import ModelInput, SampleSpec, open_samples
free = ModelInput("image", (None, 19, 26, 3), "float32")
for given in ("pages", "pages/*", "pages/b.webp", ["pages/b.webp", "pages/a.jpg"]):
    try:
        with open_samples(SampleSpec(inputs=given), [free]) as samples:
            list(samples.batches(9))
    except InputError as error:
        print(error)
with open_samples(SampleSpec(inputs="pages", on_error="skip"), [free]) as samples:
    ((_, batch),) = samples.batches(9)
    assert batch["image"][0].any()
    print(samples.faults[1])
"""


def test_without_pillow_the_line_is_told_that_installs_it(warm_python):
    Path("pages").mkdir()
    make_image("RGB").save("pages/a.jpg")
    make_image("RGB").save("pages/b.webp")
    done = warm_python.run("-c", WITHOUT)
    needs = "need Pillow, which isn't installed: b.webp; pip install 'kprobe[images]'"
    row = "b.webp: WebP images need Pillow: pip install 'kprobe[images]'"
    assert done.stdout.splitlines() == [
        f"pages: WebP images {needs}",
        f"pages/*: WebP images {needs}",
        row,
        row,
        row,
    ], done.stderr


def test_an_image_beyond_the_largest_that_pillow_takes_is_said_to_be_too_large():
    # One grey strip, packed to a few kilobytes: nothing of that size is made here.
    file = io.BytesIO()
    PIL.Image.new("1", (8, 8)).save(file, "TIFF", compression="raw")
    content = bytearray(file.getvalue())
    for tag in (256, 257):  # width and height, in a directory of entries of 12 bytes
        place = content.index(tag.to_bytes(2, "little"))
        content[place + 8 : place + 12] = (20_000).to_bytes(4, "little")
    with pytest.raises(UndecodedError) as caught:
        decode_by_pillow(bytes(content), 1)
    assert str(caught.value) == (
        "the image is too large: expected 178,956,970 pixels at most, received 400,000,000"
    )
    Path("a.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif: the image is too large: expected 178,956,970"):
        open_all("a.tif", [FREE])
