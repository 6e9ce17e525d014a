"""Decode and resize images in TensorFlow, several at a time."""

from __future__ import annotations

import contextlib
import functools
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.tensorflow_names import EAGER_MODE
from kprobe.inputs.images.pillow import decode_by_pillow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from kprobe.image_options import ImageForm

# How TensorFlow calls the kernels.
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
_AHEAD_BYTES = 64 << 20
_AHEAD_ROWS = 64

# ITU-R 601-2 luma in 16 bits, as Pillow's `convert("L")` computes it.
_LUMA = (19595, 38470, 7471)


def decode_all(
    read: Callable[[], tf.data.Dataset], form: ImageForm, row_bytes: int
) -> Iterator[npt.NDArray[Any] | None]:
    """Decode images in threads of TensorFlow, a few ahead of what is asked for.

    Args:
        read: Gives a dataset of the bytes of images, within what `bounds` lets through. It is made
            where operations are executed, also where the model has that switched off.
        form: What they are made into.
        row_bytes: The bytes of the largest row.

    Yields:
        For each image, in order, a uint8 array of the shape that the form has; None where its
        bytes weren't there or couldn't be decoded.
    """
    ahead = max(1, min(_AHEAD_ROWS, _AHEAD_BYTES // max(row_bytes, 1)))
    threads = len(os.sched_getaffinity(0))
    # Models built with eager execution off leave it off, for this thread too.
    with contextlib.nullcontext() if tf.executing_eagerly() else EAGER_MODE.find()():
        make = _trace_once(form)
        images = iter(
            read()
            .map(
                tf.autograph.experimental.do_not_convert(make),
                # Not as many as tf.data finds best: memory would grow with them.
                num_parallel_calls=threads,
                deterministic=True,
            )
            .prefetch(ahead)
        )
    while True:
        with contextlib.nullcontext() if tf.executing_eagerly() else EAGER_MODE.find()():
            try:
                image = next(images, None)
            except tf.errors.OpError:
                yield None
                continue
            if image is None:
                return
            row = image.numpy()
        yield row


@functools.lru_cache(maxsize=32)
def _trace_once(form: ImageForm) -> Callable[[tf.Tensor], tf.Tensor]:
    """Give `make_row` for a form as a function that is traced once, however often it is used.

    A run opens the same images twice, and tracing takes longer than decoding a hundred of them.
    """
    traced: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        lambda content: make_row(content, form),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    return traced


def make_row(content: tf.Tensor, form: ImageForm) -> tf.Tensor:
    """Decode the bytes of one image, and give it the form of a row.

    Args:
        content: A scalar string: an image, of which the first frame or page is taken.
        form: What it is made into.

    Returns:
        uint8, of the shape that the form has.
    """
    image = decode(content, form.channels)
    if form.size is not None:
        image = resize(image, form)
    if form.axes == "CHW":
        return tf.transpose(image, [2, 0, 1])
    return image[..., 0] if form.axes == "HW" else image


def decode(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Decode an image by what it begins with.

    Equal to `keras.utils.load_img`, bit for bit, in all that a test beside this room lists.

    Args:
        content: A scalar string.
        channels: 1 for grey, 3 for RGB, 4 for RGBA.

    Returns:
        uint8, shape (height, width, channels).
    """

    def decode_jpeg() -> tf.Tensor:
        # What is fastest, TensorFlow's default, differs from all other decoders.
        image = tf.io.decode_jpeg(
            content, channels=3 if channels == 3 else 0, dct_method="INTEGER_ACCURATE"
        )
        return convert(image, channels)

    def decode_png() -> tf.Tensor:
        # libpng's own grey has other weights than Pillow's, and its alpha for bits is 1.
        return convert(tf.io.decode_png(content, channels=3 if channels == 3 else 0), channels)

    def decode_bmp() -> tf.Tensor:
        return convert(_apply_palette(content, tf.io.decode_bmp(content)), channels)

    def decode_gif() -> tf.Tensor:
        first = tf.io.decode_image(content, channels=3, expand_animations=False)
        return convert(first, channels)

    def decode_other() -> tf.Tensor:
        decoder = partial(_decode_other, channels)
        return tf.numpy_function(decoder, [content], tf.uint8, stateful=False)

    def begins(magic: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(content, 0, len(magic)), magic)

    # One switch, and not `tf.case`, whose nested branches were measured to cost 10 % more.
    decoders = [decode_jpeg, decode_png, decode_bmp, decode_gif, decode_other]
    magics = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"")
    kinds = tf.stack([begins(magic) for magic in magics])
    image = tf.switch_case(tf.argmax(tf.cast(kinds, tf.int32), output_type=tf.int32), decoders)
    return tf.ensure_shape(image, [None, None, channels])


def _decode_other(channels: int, content: Any) -> npt.NDArray[Any]:
    # TensorFlow gives bytes in a graph, and an array of them outside.
    return decode_by_pillow(content if isinstance(content, bytes) else content.item(), channels)


def convert(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Convert an image with 1 to 4 channels (grey, grey and alpha, RGB, RGBA) to so many.

    Args:
        image: uint8, shape (height, width, 1 to 4).
        channels: 1, 3 or 4. Alpha is left out, or 255 where there is none.
    """
    if image.shape[-1] == channels:
        return image
    present = tf.shape(image)[-1]
    is_grey = present <= 2
    if channels == 1:
        return tf.cond(is_grey, lambda: image[..., :1], lambda: _compute_luma(image[..., :3]))
    color = tf.cond(is_grey, lambda: tf.repeat(image[..., :1], 3, axis=-1), lambda: image[..., :3])
    if channels == 3:
        return color
    has_alpha = tf.logical_or(tf.equal(present, 2), tf.equal(present, 4))
    alpha = tf.cond(has_alpha, lambda: image[..., -1:], lambda: 255 * tf.ones_like(image[..., :1]))
    return tf.concat([color, alpha], -1)


def resize(image: tf.Tensor, form: ImageForm) -> tf.Tensor:
    """Resize an image: uint8, shape (height, width, channels), to the size of the form.

    The values are rounded, as Pillow's are. Sides and borders are chosen as in
    `keras.utils.load_img` (`keep_aspect_ratio` is the fit "crop") and `PIL.ImageOps.pad`.
    """
    target = tf.constant(form.size, tf.int32)
    have = tf.shape(image)[:2]
    begin, taken, inner = _choose_box(have, target, form.fit)

    def resample() -> tf.Tensor:
        if form.interpolation == "nearest":
            return _take_nearest(image, begin, taken, inner)
        scale = tf.cast(inner / taken, tf.float32)
        values = tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=inner,
            scale=scale,
            translation=-tf.cast(begin, tf.float32) * scale,
            kernel_type=_KERNELS.get(form.interpolation, form.interpolation),
            antialias=True,
        )[0]
        if form.interpolation not in ("bilinear", "gaussian"):  # whose weights are all positive
            values = tf.clip_by_value(values, 0.0, 255.0)
        return tf.cast(values + 0.5, tf.uint8)

    image = tf.cond(tf.reduce_all(tf.equal(have, target)), lambda: image, resample)
    if form.fit == "pad":
        before = tf.cast(tf.round((target - inner) / 2), tf.int32)
        after = target - inner - before
        image = tf.pad(image, [[before[0], after[0]], [before[1], after[1]], [0, 0]])
    return tf.ensure_shape(image, [*(form.size or ()), form.channels])


def _choose_box(
    have: tf.Tensor, target: tf.Tensor, fit: str
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Choose the part of an image that is taken, and how large it becomes.

    Returns:
        Its first row and column, its height and width, and those after resizing: int32, shape
        (2,) each.
    """
    nothing = tf.zeros_like(have)
    if fit == "stretch":
        return nothing, have, target
    if fit == "crop":
        # The other side, at the target's ratio; multiplied in 64 bits.
        wide, target_wide = tf.cast(have, tf.int64), tf.cast(target, tf.int64)
        other = tf.reverse(wide, [0]) * target_wide // tf.reverse(target_wide, [0])
        taken = tf.cast(tf.minimum(wide, other), tf.int32)
        return (have - taken) // 2, taken, target
    height, width = tf.unstack(tf.cast(have, tf.float64))
    target_height, target_width = tf.unstack(tf.cast(target, tf.float64))
    inner = tf.cond(
        width / height > target_width / target_height,
        lambda: tf.stack([tf.round(height / width * target_width), target_width]),
        lambda: tf.stack([target_height, tf.round(width / height * target_height)]),
    )
    return nothing, have, tf.maximum(tf.cast(inner, tf.int32), 1)


def _take_nearest(
    image: tf.Tensor, begin: tf.Tensor, taken: tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Take the pixels whose centres are nearest.

    Pillow adds the distance up, and where a centre falls between two pixels its last bits decide.
    """
    for axis in (0, 1):
        step = tf.cast(taken[axis], tf.float64) / tf.cast(size[axis], tf.float64)
        steps = tf.fill([size[axis] - 1], step)
        first = tf.cast(begin[axis], tf.float64) + step * 0.5
        places = tf.cast(tf.cumsum(tf.concat([[first], steps], 0)), tf.int32)
        image = tf.gather(image, tf.minimum(places, begin[axis] + taken[axis] - 1), axis=axis)
    return image


def _compute_luma(color: tf.Tensor) -> tf.Tensor:
    weighted = tf.cast(color, tf.int32) * tf.constant(_LUMA)
    return tf.cast((tf.reduce_sum(weighted, -1, keepdims=True) + 0x8000) // 0x10000, tf.uint8)


def _apply_palette(content: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Look the pixels of a BMP image up in its palette, which TensorFlow doesn't."""

    def look_up() -> tf.Tensor:
        head = tf.io.decode_raw(tf.strings.substr(content, 14, 4), tf.int32, little_endian=True)
        pixels = tf.io.decode_raw(tf.strings.substr(content, 10, 4), tf.int32, little_endian=True)
        begin = 14 + head[0]
        entries = tf.strings.substr(content, begin, tf.minimum(pixels[0] - begin, 1024))
        palette = tf.reshape(tf.io.decode_raw(entries, tf.uint8), [-1, 4])[:, 2::-1]
        return tf.gather(palette, tf.cast(image[..., 0], tf.int32))

    # A fourth byte is alpha in few files, and nothing in most.
    return tf.cond(tf.equal(tf.shape(image)[-1], 1), look_up, lambda: image[..., :3])
