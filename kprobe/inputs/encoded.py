"""Rows of bytes that mean something: images, serialized tensors, plain values, texts."""

from __future__ import annotations

import io
import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.image_files import explain_content
from kprobe.inputs.image_header import find_kind, read_size
from kprobe.inputs.images import ImageRows
from kprobe.inputs.source import Source
from kprobe.inputs.value_rows import ValueRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tensorflow as tf

    from kprobe.inputs.image_options import ImageOptions
    from kprobe.inputs.model_input import ModelInput

_AT_ONCE = 16  # rows
_SHOWN = 16  # bytes


class EncodedRows(Source):
    """Rows of bytes. As they are, they are for inputs that take texts."""

    dtype = np.dtype(object)
    shape: tuple[int, ...] = ()

    @abstractmethod
    def fetch(self, start: int, stop: int) -> list[bytes]:
        """Give the bytes of some rows; none for a row that has none."""

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give the bytes themselves."""
        rows = np.empty(stop - start, object)
        rows[:] = self.fetch(start, stop)
        return rows

    def fit_to(self, model_input: ModelInput, options: ImageOptions) -> Source:
        """Find out from the first row what the bytes are.

        Raises:
            InputError: They are nothing that the input takes.
        """
        if model_input.dtype == "string" or not self.rows:
            return self
        first = self.fetch(0, 1)[0]
        if find_kind(first):
            return ImageRows(_Images(self)).fit_to(model_input, options)
        if _parse_tensor(first) is not None:
            return _SerializedTensors(self).fit_to(model_input, options)
        size = math.prod(axis or 0 for axis in model_input.shape[1:])
        for dtype in (model_input.numpy_dtype, np.dtype("uint8"), np.dtype("float32")):
            if dtype is not None and size and len(first) == size * dtype.itemsize:
                return _PlainValues(self, dtype).fit_to(model_input, options)
        raise InputError(
            f"{self.label}: expected encoded images, serialized tensors, or the bytes of "
            f"{model_input}, received {len(first)} bytes that begin {first[:_SHOWN]!r}"
        )


class _Images:
    """Encoded images in records, for `ImageRows`."""

    def __init__(self, encoded: EncodedRows) -> None:
        self._encoded = encoded
        self.label = encoded.label
        self.rows = encoded.rows
        self.names = encoded.names
        self.identity = encoded.identity
        self.close = encoded.close

    def items(self, start: int) -> tf.data.Dataset:
        """Give the bytes of each image."""
        import tensorflow as tf

        def fetch() -> Iterator[bytes]:
            for first in range(start, self.rows, _AT_ONCE):
                yield from self._encoded.fetch(first, min(first + _AT_ONCE, self.rows))

        return tf.data.Dataset.from_generator(fetch, output_signature=tf.TensorSpec((), tf.string))

    def read_item(self, item: tf.Tensor) -> tf.Tensor:
        """Give the bytes, which have been read already."""
        return item

    def sizes(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Read the headers of all images."""
        for row in range(self.rows):
            size = read_size(io.BytesIO(self._encoded.fetch(row, row + 1)[0]))
            if size is not None:
                yield row, size

    def explain(self, row: int) -> str:
        """Tell why an image couldn't be decoded."""
        return explain_content(self._encoded.fetch(row, row + 1)[0][:_SHOWN])


class _ParsedRows(ValueRows):
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


def _parse_tensor(content: bytes) -> npt.NDArray[Any] | None:
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    try:
        proto = TensorProto.FromString(content)
        if not proto.dtype or not proto.HasField("tensor_shape"):
            return None
        array: npt.NDArray[Any] = tf.make_ndarray(proto)
    except (DecodeError, TypeError, ValueError):
        return None
    return array if array.dtype.kind in "biufc" else None
