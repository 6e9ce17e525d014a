"""Rows made of encoded images, which are decoded and resized ahead of the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.fallible import FallibleSource
from kprobe.inputs.image_options import ImageForm, ImageOptions, choose_form

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
    """Images as rows of one shape: uint8.

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
            InputError: The input takes no images, or they have several sizes and are to keep them.
        """
        self._form = choose_form(model_input.name, model_input.shape, options)
        size = self._form.size or self._find_common_size(model_input)
        self.shape = self._form.shape(*size)
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
        rows = np.zeros((stop - start, *self.shape), self.dtype)
        faults: dict[int, str] = {}
        for row in range(start, stop):
            image = next(self._decoded)
            self._position = row + 1
            if image is None:
                faults[row] = self.images.explain(row)
            elif image.shape != self.shape:
                faults[row] = f"expected an image of shape {self.shape}, received {image.shape}"
            else:
                rows[row - start] = image
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

    def _find_common_size(self, model_input: ModelInput) -> tuple[int, int]:
        """Look at the headers of all images, which keep their sizes.

        Raises:
            InputError: There are several sizes, or none can be read.
        """
        rows: dict[tuple[int, int], int] = {}
        for row, size in self.images.sizes():
            rows.setdefault(size, row)
            if len(rows) > 1:
                break
        if len(rows) == 1:
            return next(iter(rows))
        if not rows:
            name = self.names(0, 1)[0].decode()
            raise InputError(
                f"{self.label}: no image can be read; {name}: {self.images.explain(0)}"
            )
        (one, first), (other, second) = rows.items()
        names = [self.names(row, row + 1)[0].decode() for row in (first, second)]
        raise InputError(
            f"{self.label}: expected images of one size, as input '{model_input.name}' "
            f"{model_input.shape} has none of its own, received {names[0]} with "
            f"{one[0]}x{one[1]} and {names[1]} with {other[0]}x{other[1]}",
            hint="make them one: --resize 224x224",
        )
