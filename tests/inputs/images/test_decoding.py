"""Images are decoded and resized as `keras.utils.load_img` does it."""

from __future__ import annotations

import json

import keras
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

from kprobe.image_options import ImageForm
from kprobe.inputs.images.decoding import make_row

COLOR_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}


def make_pixels(height=57, width=83, channels=3, seed=0):
    """Soft colours with some noise, as photographs have."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), "uint8")
    planes = [
        PIL.Image.fromarray(small[..., n]).resize((width, height), PIL.Image.Resampling.BICUBIC)
        for n in range(channels)
    ]
    noise = generator.integers(-9, 9, (height, width, channels))
    return np.clip(np.stack(planes, -1).astype(int) + noise, 0, 255).astype("uint8")


def make_image(mode):
    pixels = make_pixels(channels=4)
    if mode == "1":
        return PIL.Image.fromarray(pixels[..., 0] > 128)
    if mode in ("L", "LA"):
        chosen = pixels[..., 0] if mode == "L" else pixels[..., :2]
        return PIL.Image.fromarray(np.ascontiguousarray(chosen), mode)
    if mode == "P":
        return PIL.Image.fromarray(pixels[..., :3]).quantize(16)
    if mode == "CMYK":
        return PIL.Image.fromarray(pixels[..., :3]).convert("CMYK")
    return PIL.Image.fromarray(np.ascontiguousarray(pixels[..., : len(mode)]), mode)


def read(path, channels=3, size=None, fit="stretch", interpolation="bilinear", axes="HWC"):
    form = ImageForm(size=size, channels=channels, fit=fit, interpolation=interpolation, axes=axes)
    row = make_row(tf.constant(path.read_bytes()), form)
    assert row.dtype == tf.uint8
    return row.numpy()


def load(path, channels=3, **options):
    image = keras.utils.load_img(path, color_mode=COLOR_MODES[channels], **options)
    return keras.utils.img_to_array(image)


@pytest.mark.parametrize("channels", COLOR_MODES)
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("jpg", "RGB", {"quality": 90, "subsampling": 0}),
        ("jpg", "RGB", {"quality": 75, "subsampling": 2}),
        ("jpg", "RGB", {"progressive": True}),
        ("jpg", "L", {}),
        ("png", "RGB", {}),
        ("png", "RGBA", {}),
        ("png", "L", {}),
        ("png", "LA", {}),
        ("png", "1", {}),
        ("png", "P", {}),
        ("png", "P", {"transparency": 3}),
        ("gif", "P", {}),
        ("gif", "L", {}),
        ("bmp", "RGB", {}),
        ("bmp", "P", {}),
        ("bmp", "L", {}),
    ],
)
def test_decoding_equals_load_img_bit_for_bit(kind, mode, options, channels, tmp_path):
    path = tmp_path / f"image.{kind}"
    make_image(mode).save(path, **options)
    np.testing.assert_array_equal(read(path, channels), load(path, channels))


def test_a_cmyk_jpeg_is_within_one_level(tmp_path):
    make_image("CMYK").save(tmp_path / "a.jpg")
    difference = read(tmp_path / "a.jpg") - load(tmp_path / "a.jpg")
    assert np.abs(difference).max() <= 1


def test_a_png_of_16_bits_keeps_the_upper_8(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (9, 7), "uint16")
    PIL.Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png", 1)[..., 0], values >> 8)


def test_of_a_gif_the_first_frame_is_taken(tmp_path):
    frames = [PIL.Image.fromarray(make_pixels(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(tmp_path / "a.gif"), load(tmp_path / "a.gif"))


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (40, 20), (100, 130), (57, 83), (1, 1), (57, 20)])
def test_the_nearest_pixels_are_those_of_load_img(size, keep, library, tmp_path):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(make_pixels()).save(path)
    rows = read(path, size=size, fit="crop" if keep else "stretch", interpolation="nearest")
    image = library.utils.load_img(path, target_size=size, keep_aspect_ratio=keep)
    np.testing.assert_array_equal(rows, library.utils.img_to_array(image))


def test_the_nearest_pixels_are_those_of_pillow_at_many_sizes(tmp_path):
    generator = np.random.default_rng(0)
    for height, width, *size in generator.integers(1, 300, (60, 4)).tolist():
        image = PIL.Image.fromarray(make_pixels(height, width))
        image.save(tmp_path / "a.bmp")
        nearest = image.resize(size[::-1], PIL.Image.Resampling.NEAREST)
        rows = read(tmp_path / "a.bmp", size=size, interpolation="nearest")
        np.testing.assert_array_equal(rows, np.asarray(nearest))


# Pillow rounds between its two passes, over columns and over rows, and its versions begin with
# different ones; here it is rounded once.
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (40, 20), (100, 130), (57, 20), (5, 200)])
@pytest.mark.parametrize(
    ("interpolation", "name", "most"),
    [("bilinear", "bilinear", 1), ("bicubic", "bicubic", 2), ("lanczos3", "lanczos", 3)],
)
def test_resizing_is_within_a_level_or_three_of_load_img(
    interpolation, name, most, size, keep, tmp_path
):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(make_pixels()).save(path)
    rows = read(path, size=size, fit="crop" if keep else "stretch", interpolation=interpolation)
    reference = load(path, target_size=size, interpolation=name, keep_aspect_ratio=keep)
    difference = np.abs(rows - reference)
    assert difference.max() <= most
    assert difference.mean() < 0.25


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("shape", [(57, 83), (83, 57), (64, 64), (5, 200)])
@pytest.mark.parametrize("size", [(32, 32), (40, 21), (20, 141)])
def test_padding_equals_that_of_pillow(size, shape, interpolation, tmp_path):
    path = tmp_path / "a.png"
    image = PIL.Image.fromarray(make_pixels(*shape))
    image.save(path)
    method = getattr(PIL.Image.Resampling, interpolation.rstrip("3").upper())
    reference = np.asarray(PIL.ImageOps.pad(image, size[::-1], method)).astype(int)
    difference = np.abs(read(path, size=size, fit="pad", interpolation=interpolation) - reference)
    assert (
        difference.max()
        <= {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3}[interpolation]
    )


@pytest.mark.parametrize(
    "interpolation", ["bilinear", "bicubic", "lanczos3", "lanczos5", "gaussian"]
)
def test_an_image_of_the_right_size_is_left_alone(interpolation, tmp_path):
    pixels = make_pixels()
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    rows = read(tmp_path / "a.png", size=(57, 83), interpolation=interpolation)
    np.testing.assert_array_equal(rows, pixels)


def test_what_repeats_finer_than_the_pixels_gets_grey(tmp_path):
    stripes = np.tile(np.array([[0, 255]], "uint8"), (64, 32))
    PIL.Image.fromarray(stripes).save(tmp_path / "a.png")
    rows = read(tmp_path / "a.png", 1, size=(9, 9))
    assert np.abs(rows.astype(int) - 127).max() < 20


def test_axes_are_those_of_the_model(tmp_path):
    pixels = make_pixels()
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    rows = read(tmp_path / "a.png", axes="CHW")
    np.testing.assert_array_equal(rows, np.moveaxis(pixels, -1, 0))
    assert read(tmp_path / "a.png", 1, axes="HW").shape == (57, 83)


def test_images_are_read_where_eager_execution_is_off(warm_python, tmp_path):
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    for name in ("a", "b"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    code = (
        "import tensorflow as tf\n"
        "tf.compat.v1.disable_eager_execution()\n"
        "import tf_keras, kprobe\n"
        "x = tf_keras.Input((8, 8, 3))\n"
        "model = tf_keras.Model(x, tf_keras.layers.GlobalAveragePooling2D(name='mean')(x))\n"
        "print(kprobe.activations(model, ['mean'], inputs='.')['mean'].tolist())\n"
    )
    done = warm_python.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), [pixels.mean((0, 1))] * 2, rtol=1e-6)
