"""Rows of bytes that mean something: images, serialized tensors, plain values, texts."""

from __future__ import annotations

import io
import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.compat.tensorflow_names import TENSOR_PROTO
from kprobe.errors import InputError
from kprobe.inputs.images.bounds import find_excess, keep_first_frame
from kprobe.inputs.images.files import explain_content
from kprobe.inputs.images.header import find_kind, read_header
from kprobe.inputs.images.rows import Images
from kprobe.inputs.sources.source import Source, Unfitted
from kprobe.inputs.sources.value_rows import Values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tensorflow as tf

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.images.header import ImageHeader
    from kprobe.inputs.sources.model_input import ModelInput

_AT_ONCE = 16  # rows
_SHOWN = 16  # bytes
_MOST_VALUES = 8  # of a serialized tensor, for each of its bytes: half of one takes a byte at least
_LARGEST = 1 << 24  # pixels; four letters read as a number are more


class EncodedRows(Unfitted):
    """Rows of bytes. As they are, they are for inputs that take texts.

    Attributes:
        is_text: Whether the file says that they are texts.
    """

    rows: int
    is_text: bool = False

    @abstractmethod
    def fetch(self, start: int, stop: int) -> list[bytes]:
        """Give the bytes of some rows; none for a row that has none."""

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Source:
        """Find out from the first row what the bytes are.

        Raises:
            InputError: They are nothing that the input takes.
        """
        if not self.rows or (self.is_text if model_input is None else _takes_texts(model_input)):
            return Texts(self)
        first = self.fetch(0, 1)[0]
        if find_kind(first) if model_input is not None else _is_image(first):
            return Images(_Encoded(self)).fit(model_input, options)
        if _parse_tensor(first) is not None:
            return _SerializedTensors(self).fit(model_input, options)
        if model_input is None:
            return Texts(self)
        size = math.prod(axis or 0 for axis in model_input.example[1:])
        for dtype in (model_input.numpy_dtype, np.dtype("uint8"), np.dtype("float32")):
            if dtype is not None and size and len(first) == size * dtype.itemsize:
                return _PlainValues(self, dtype).fit(model_input, options)
        raise InputError(
            f"{self.label}: expected encoded images, serialized tensors, or the bytes of "
            f"{model_input}, received {len(first)} bytes that begin {first[:_SHOWN]!r}"
        )


class Texts(Source):
    """The bytes themselves, as texts."""

    def __init__(self, encoded: EncodedRows) -> None:
        self._encoded = encoded
        self.label = encoded.label
        self.rows = encoded.rows
        self.shape = ()
        self.dtype = np.dtype(object)

    def identity(self) -> dict[str, Any]:
        """Tell what they are read from."""
        return self._encoded.identity()

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give the names that they have there."""
        return self._encoded.names(start, stop)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give bytes, in an array of objects."""
        rows = np.empty(stop - start, object)
        rows[:] = self._encoded.fetch(start, stop)
        return rows

    def close(self) -> None:
        """Close what they are read from."""
        self._encoded.close()


class _Encoded:
    """Encoded images in records, for `Images`."""

    def __init__(self, encoded: EncodedRows) -> None:
        self.kind: str | None = None
        self.notes: Sequence[str] = ()
        self._encoded = encoded
        self.label = encoded.label
        self.rows = encoded.rows
        self.names = encoded.names
        self.identity = encoded.identity
        self.close = encoded.close

    def contents(self, start: int, most: int | None) -> tf.data.Dataset:
        """Give the bytes of each image; nothing of what mustn't be decoded."""
        import tensorflow as tf

        def fetch() -> Iterator[bytes]:
            for first in range(start, self.rows, _AT_ONCE):
                for content in self._encoded.fetch(first, min(first + _AT_ONCE, self.rows)):
                    yield b"" if find_excess(content, most) else keep_first_frame(content)

        return tf.data.Dataset.from_generator(fetch, output_signature=tf.TensorSpec((), tf.string))

    def headers(self) -> Iterator[ImageHeader]:
        """Read the headers of all images."""
        for row in range(self.rows):
            size = read_header(io.BytesIO(self._encoded.fetch(row, row + 1)[0]))
            if size is not None:
                yield size

    def explain(self, row: int, most: int | None) -> str:
        """Tell why an image couldn't be decoded."""
        return explain_content(self._encoded.fetch(row, row + 1)[0], most)


class _ParsedRows(Values):
    def __init__(self, encoded: EncodedRows) -> None:
        self._encoded = encoded
        self.label = encoded.label
        self.rows = encoded.rows

    def identity(self) -> dict[str, Any]:
        return self._encoded.identity()

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        return self._encoded.names(start, stop)

    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        return [self.parse(content) for content in self._encoded.fetch(start, stop)]

    @abstractmethod
    def parse(self, content: bytes) -> npt.NDArray[Any] | str: ...

    def close(self) -> None:
        self._encoded.close()


class _SerializedTensors(_ParsedRows):
    """What `tf.io.serialize_tensor` gave."""

    def parse(self, content: bytes) -> npt.NDArray[Any] | str:
        tensor = _parse_tensor(content)
        return "expected a serialized tensor, received other bytes" if tensor is None else tensor


class _PlainValues(_ParsedRows):
    """What `array.tobytes()` gave."""

    def __init__(self, encoded: EncodedRows, dtype: np.dtype[Any]) -> None:
        super().__init__(encoded)
        self._dtype = dtype

    def parse(self, content: bytes) -> npt.NDArray[Any] | str:
        if len(content) % self._dtype.itemsize:
            return f"expected values of {self._dtype}, received {len(content)} bytes"
        return np.frombuffer(content, self._dtype)


def _takes_texts(model_input: ModelInput) -> bool:
    return model_input.dtype == "string"


def _is_image(content: bytes) -> bool:
    """Tell an image from a text that begins like one, such as "BMW"."""
    header = read_header(io.BytesIO(content))
    return header is not None and all(0 < size < _LARGEST for size in header.size)


def _parse_tensor(content: bytes) -> npt.NDArray[Any] | None:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        proto = TENSOR_PROTO.find().FromString(content)
        if not proto.dtype or not proto.HasField("tensor_shape"):
            return None
        sizes = [axis.size for axis in proto.tensor_shape.dim]
        # One value may stand for all; they would be as many as the shape says.
        if min(sizes, default=1) < 0 or math.prod(sizes) > _MOST_VALUES * len(content):
            return None
        array: npt.NDArray[Any] = tf.make_ndarray(proto)
    except (DecodeError, TypeError, ValueError):
        return None
    return array if array.dtype.kind in "biufc" else None
