"""Rows made of encoded images, which are decoded and resized ahead of the reader."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.image_options import ImageForm, ImageOptions, choose_form, choose_own_form
from kprobe.inputs.images.bounds import MOST_PIXELS
from kprobe.inputs.sources.fallible import FallibleSource
from kprobe.inputs.sources.source import Unfitted
from kprobe.inputs.sources.uneven import as_rows, find_common_shape, fits_sizes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import tensorflow as tf

    from kprobe.inputs.images.header import ImageHeader
    from kprobe.inputs.sources.model_input import ModelInput


class EncodedImages(Protocol):
    """Images as they are stored, wherever that is.

    Attributes:
        label: What messages call them all.
        rows: How many.
        kind: What names them: "image", "folder", "glob" or "list"; None in a file of records.
        notes: As `Rows.notes`.
    """

    label: str
    rows: int
    kind: str | None
    notes: Sequence[str]

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give some an identity each, as `Source.names`."""

    def identity(self) -> dict[str, Any]:
        """Tell what is read from what, as `Source.identity`."""

    def contents(self, start: int, most: int | None) -> tf.data.Dataset:
        """Give a scalar string for each from one on: its bytes, or none where it isn't read.

        Args:
            start: The first.
            most: How many pixels may be decoded; None for the usual limit.
        """

    def headers(self) -> Iterator[ImageHeader]:
        """Read the header of every image that has one."""

    def explain(self, row: int, most: int | None) -> str:
        """Tell why an image couldn't be decoded, which may have so many pixels."""

    def close(self) -> None:
        """Let go of what is open."""


class Images(Unfitted):
    """Images whose rows have the form that the input asks for, or else their own."""

    def __init__(self, images: EncodedImages) -> None:
        self.images = images
        self.label = images.label
        self.rows: int = images.rows

    def identity(self) -> dict[str, Any]:
        """Tell which images."""
        return self.images.identity()

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give each image's own name."""
        return self.images.names(start, stop)

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> ImageRows:
        """Choose the form of the rows.

        Raises:
            InputError: The input takes no images, or none can be read.
        """
        headers = None
        most = options.max_pixels
        if model_input is not None and model_input.dtype == "string":
            of_list = f"{self.label}:text gives the lines" if self.images.kind == "list" else None
            raise InputError(
                f"input '{model_input.name}' expects strings, received images from {self.label}",
                hint=of_list,
            )
        if model_input is not None:
            usual = model_input.usual
            form = choose_form(model_input.name, model_input.shape, options, usual=usual)
        else:
            if options.channels is None:
                headers = self._read_headers(most)
            form = choose_own_form(options, _find_channels(headers or ()))
        if form.size is not None:
            shape = form.shape(*form.size)
        else:
            headers = headers or self._read_headers(most)
            headers = {h for h in headers if math.prod(h.size) <= (most or MOST_PIXELS)}
            if not headers:
                raise self._refuse(most)
            shape = find_common_shape([form.shape(*size) for size in {h.size for h in headers}])
        sizes = {header.size for header in headers or ()} if form.size is None else {form.size}
        row_bytes = form.channels * max(map(math.prod, sizes))
        return ImageRows(self.images, self.label, form, shape, row_bytes=row_bytes, most=most)

    def close(self) -> None:
        """Close what they are read from."""
        self.images.close()

    def _read_headers(self, most: int | None) -> set[ImageHeader]:
        """Read the headers of all images.

        Raises:
            InputError: None can be read.
        """
        found = set(self.images.headers())
        if not found:
            raise self._refuse(most)
        return found

    def _refuse(self, most: int | None) -> InputError:
        name, reason = self.names(0, 1)[0].decode(), self.images.explain(0, most)
        return InputError(f"{self.label}: no image can be read; {name}: {reason}")


class ImageRows(FallibleSource):
    """Images as rows: uint8, of several shapes if they keep their sizes and those differ.

    Args:
        images: The images.
        label: What messages call them.
        form: What they are made into.
        shape: The shape of a row, -1 for the sizes in which they differ.
        row_bytes: The bytes of the largest row.
        most: How many pixels an image may have; None for the usual limit.
    """

    def __init__(
        self,
        images: EncodedImages,
        label: str,
        form: ImageForm,
        shape: tuple[int, ...],
        *,
        row_bytes: int,
        most: int | None,
    ) -> None:
        self.images = images
        self.label = label
        self.rows: int = images.rows
        self.notes = images.notes
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self._form = form
        self._row_bytes = row_bytes
        self._most = most
        self._decoded: Iterator[npt.NDArray[Any] | None] = iter(())
        self._position = -1  # the row that comes next

    def identity(self) -> dict[str, Any]:
        """Tell which images, and what they are made into."""
        form = self._form
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
            from kprobe.inputs.images.decoding import decode_all

            self._decoded = decode_all(
                partial(self.images.contents, start, self._most), self._form, self._row_bytes
            )
            self._position = start
        images: list[npt.NDArray[Any]] = []
        faults: dict[int, str] = {}
        blank = np.zeros([abs(size) for size in self.shape], self.dtype)
        for row in range(start, stop):
            image = next(self._decoded)
            self._position = row + 1
            if image is None:
                faults[row] = self.images.explain(row, self._most)
            elif not fits_sizes(image.shape, self.shape):
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


def _find_channels(headers: Collection[ImageHeader]) -> int:
    """Give the channels that all images have, or RGB's where they have several."""
    channels = {header.channels for header in headers}
    return channels.pop() if len(channels) == 1 else 3
