"""Rows made of encoded images, which are decoded and resized ahead of the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.fallible import FallibleSource
from kprobe.inputs.image_options import ImageForm, ImageOptions, choose_form
from kprobe.inputs.uneven import as_rows, find_common_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorflow as tf

    from kprobe.inputs.model_input import ModelInput


class EncodedImages(Protocol):
    """Images as they are stored, wherever that is."""

    label: str
    rows: int

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give some an identity each, as `Source.names`."""

    def identity(self) -> dict[str, Any]:
        """Tell what is read from what, as `Source.identity`."""

    def items(self, start: int) -> tf.data.Dataset:
        """Give a scalar string for each from one on: what `read_item` takes."""

    def read_item(self, item: tf.Tensor) -> tf.Tensor:
        """Give the bytes of one, in a graph of TensorFlow; or an error."""

    def sizes(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Read the height and width of every image whose header tells, with its row."""

    def explain(self, row: int) -> str:
        """Tell why an image couldn't be decoded."""

    def close(self) -> None:
        """Let go of what is open."""


class ImageRows(FallibleSource):
    """Images as rows: uint8, of several shapes if they keep their sizes and those differ.

    Before it can be read, `fit_to` must tell it what for.
    """

    def __init__(self, images: EncodedImages) -> None:
        self.images = images
        self.label = images.label
        self.rows = images.rows
        self.dtype = np.dtype(np.uint8)
        self._form: ImageForm | None = None
        self._decoded: Iterator[npt.NDArray[Any] | None] = iter(())
        self._position = -1  # the row that comes next

    def fit_to(self, model_input: ModelInput, options: ImageOptions) -> ImageRows:
        """Choose the shape of the rows.

        Raises:
            InputError: The input takes no images, or none can be read.
        """
        self._form = choose_form(model_input.name, model_input.shape, options)
        size = self._form.size
        sizes = self._find_sizes() if size is None else {size}
        self.shape = find_common_shape([self._form.shape(*size) for size in sizes])
        return self

    def identity(self) -> dict[str, Any]:
        """Tell which images, and what they are made into."""
        form = self._chosen
        return {
            **self.images.identity(),
            "resize": None if form.size is None else list(form.size),
            "fit": form.fit,
            "interpolation": form.interpolation,
            "channels": form.channels,
        }

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give each image's own name."""
        return self.images.names(start, stop)

    def salvage(self, start: int, stop: int) -> tuple[npt.NDArray[Any], dict[int, str]]:
        """Decode rows start to stop; they have mostly been decoded already."""
        if start != self._position:
            from kprobe.inputs.decoding import decode_all

            self._decoded = decode_all(
                self.images.items(start), self.images.read_item, self._chosen
            )
            self._position = start
        images: list[npt.NDArray[Any]] = []
        faults: dict[int, str] = {}
        blank = np.zeros([abs(size) for size in self.shape], self.dtype)
        for row in range(start, stop):
            image = next(self._decoded)
            self._position = row + 1
            if image is None:
                faults[row] = self.images.explain(row)
            elif not _has_shape(image, self.shape):
                faults[row] = f"expected an image of shape {self.shape}, received {image.shape}"
            images.append(blank if row in faults or image is None else image)
        if -1 in self.shape:
            return as_rows(images), faults
        rows = np.empty((len(images), *blank.shape), self.dtype)
        for number, image in enumerate(images):
            rows[number] = image
        return rows, faults

    def close(self) -> None:
        """Stop decoding."""
        self._decoded = iter(())
        self._position = -1
        self.images.close()

    @property
    def _chosen(self) -> ImageForm:
        if self._form is None:
            raise ValueError(f"{self.label}: it isn't known yet what the images are for")
        return self._form

    def _find_sizes(self) -> set[tuple[int, int]]:
        """Read the sizes of all images, which keep them, in their headers.

        Raises:
            InputError: None can be read.
        """
        sizes = {size for _, size in self.images.sizes()}
        if not sizes:
            name = self.names(0, 1)[0].decode()
            raise InputError(
                f"{self.label}: no image can be read; {name}: {self.images.explain(0)}"
            )
        return sizes


def _has_shape(image: npt.NDArray[Any], shape: tuple[int, ...]) -> bool:
    return all(size in (-1, own) for size, own in zip(shape, image.shape, strict=True))
