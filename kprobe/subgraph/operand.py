"""What reductions work on: a tensor that knows the names of its axes, and keeps them.

Numbers are computed in float32 at least, and those of integers and booleans in float64, as numpy
does: float16 and bfloat16 lose too much. What is chosen among the values keeps their dtype.

A value that isn't a number makes each result one that depends on it. `histogram` counts the rest.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.errors import AddressError
from kprobe.subgraph.sparse_projection import draw_projection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What the axis is called that numbers lie along of which each is about what is around it.
_CHANNELS = ("unit", "channel")
_STEP = "step"


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor, reduced so far.

    Axes are numbered as those of the tensor: that of samples, which has number 0, is never reduced.

    Attributes:
        tensor: The values, of shape (rows, ...).
        names: The names of its axes without that of samples, None for one that isn't known.
        mask: Which steps of each row count: bool, of shape (rows, steps); None where none is known.
        among_masked: Whether other tensors of the model have masks.
        notes: What the user should know, to be put behind the tensor's address; it is added to.
    """

    tensor: tf.Tensor
    names: tuple[str | None, ...]
    mask: tf.Tensor | None = None
    among_masked: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def _rank(self) -> int:
        return len(self.names) + 1

    def _give(self, tensor: tf.Tensor, names: Sequence[str | None]) -> Operand:
        return dataclasses.replace(self, tensor=tensor, names=tuple(names), mask=None)

    def _tell(self) -> str:
        """Say what the axes of a row are."""
        sizes = ("?" if size is None else str(size) for size in self.tensor.shape[1:])
        told = [f"{name or 'unnamed'} {size}" for name, size in zip(self.names, sizes, strict=True)]
        return f"its axes are {', '.join(told)}" if told else "its rows have no axis"

    def _wide(self) -> tf.Tensor:
        """Give the values in what is computed in."""
        dtype = self.tensor.dtype
        if not dtype.is_floating:
            return tf.cast(self.tensor, tf.float64)
        return tf.cast(self.tensor, tf.float32) if dtype.size < tf.float32.size else self.tensor

    # Which axes

    def find_channel(self) -> int:
        """Give the axis of channels, or of units: where none has a name, the last one.

        Raises:
            AddressError: There is none.
        """
        if len(self.names) == 1:
            return 1
        for name in _CHANNELS:
            if name in self.names:
                return self.names.index(name) + 1
        if any(self.names) or not self.names:
            raise AddressError(f"expected an axis of channels or units: {self._tell()}")
        self.notes.append("what its axes are isn't known: the last one is taken for channels")
        return self._rank - 1

    def find_space(self) -> list[int]:
        """Give all axes but that of channels, or of units.

        Raises:
            AddressError: There are none, or it isn't known which is that of channels.
        """
        channel = self.find_channel()
        if self._rank == 2:
            raise AddressError(f"expected axes beside that of channels: {self._tell()}")
        return [axis for axis in range(1, self._rank) if axis != channel]

    def find_step(self) -> int:
        """Give the axis of steps: where none has a name, the first one of a row.

        Raises:
            AddressError: There is none.
        """
        if _STEP in self.names:
            return self.names.index(_STEP) + 1
        if any(self.names) or len(self.names) < 2:
            raise AddressError(f"expected an axis of steps: {self._tell()}")
        self.notes.append("what its axes are isn't known: the first one is taken for steps")
        return 1

    def find_axes(self, given: Sequence[str | int]) -> list[int]:
        """Give axes by name or number, all where none is given; a negative one counts from the end.

        Raises:
            AddressError: There is none of that name or number, or one is given twice.
        """
        axes = [self._find_axis(axis) for axis in given] or [*range(1, self._rank)]
        if len(set(axes)) < len(axes):
            raise AddressError(f"expected each axis once, received {', '.join(map(str, given))}")
        return axes

    def _find_axis(self, given: str | int) -> int:
        if isinstance(given, str):
            if self.names.count(given) == 1:
                return self.names.index(given) + 1
        elif 0 < (axis := given + self._rank * (given < 0)) < self._rank:
            return axis
        raise AddressError(f"there is no axis {given} of samples: {self._tell()}")

    # What is left

    def mean(self, axes: Sequence[int]) -> Operand:
        """Give the mean over some axes."""
        return self._fold(tf.reduce_mean, self._wide(), axes)

    def maximum(self, axes: Sequence[int]) -> Operand:
        """Give the largest value over some axes."""
        return self._fold(tf.reduce_max, self.tensor, axes)

    def norm(self, axes: Sequence[int]) -> Operand:
        """Give the square root of the sum of squares over some axes."""
        folded = self._fold(tf.reduce_sum, tf.square(self._wide()), axes)
        return dataclasses.replace(folded, tensor=tf.sqrt(folded.tensor))

    def _fold(
        self, fold: Callable[..., tf.Tensor], values: tf.Tensor, axes: Sequence[int]
    ) -> Operand:
        kept = [name for axis, name in enumerate(self.names, 1) if axis not in axes]
        return self._give(fold(values, axes) if axes else values, kept)

    def take(self, axis: int, places: Sequence[int | slice]) -> Operand:
        """Take places along an axis as numpy does: a slice, several numbers, or one, without it.

        Raises:
            AddressError: There are no such places.
        """
        size = self.tensor.shape[axis]
        self._check_places(size, places)
        around: list[Any] = [slice(None)] * axis
        parts = [self.tensor[(*around, place)] for place in places]
        if len(parts) > 1:
            return self._give(tf.stack(parts, axis), self.names)
        if isinstance(places[0], slice):
            return self._give(parts[0], self.names)
        return self._give(parts[0], (*self.names[: axis - 1], *self.names[axis:]))

    def _check_places(self, size: int | None, places: Sequence[int | slice]) -> None:
        """Refuse places that aren't there, as far as the shape tells."""
        if size is None:
            return
        for place in places:
            if isinstance(place, slice):
                if not range(size)[place]:
                    raise AddressError(f"expected some of {size}, received none: {self._tell()}")
            elif not -size <= place < size:
                raise AddressError(
                    f"expected a number from 0 to {size - 1}, received {place}: {self._tell()}"
                )

    def last_step(self) -> Operand:
        """Take the last step that the mask leaves: NaN, or 0, where it leaves none."""
        step = self.find_step()
        if self.mask is None:
            if self.among_masked:
                self.notes.append("no mask reaches it: its last step is the last of all")
            return self.take(step, [-1])
        if step != 1 or self.mask.shape.rank not in (2, None):
            raise AddressError(f"expected a mask of steps behind the samples: {self._tell()}")
        steps = tf.range(tf.shape(self.mask)[1])
        last = tf.reduce_max(tf.where(self.mask, steps, -1), axis=1)
        taken = tf.gather(self.tensor, tf.maximum(last, 0), axis=1, batch_dims=1)
        missing = tf.reshape(last < 0, [-1, *[1] * (self._rank - 2)])
        nothing = _make_nothing(self.tensor.dtype)
        return self._give(tf.where(missing, nothing, taken), self.names[1:])

    def flatten(self) -> Operand:
        """Put the axes of a row one behind the other, the last one running first."""
        if len(self.names) == 1:
            return self
        return self._give(_flatten(self.tensor), (None,))

    def pool(self, axes: Sequence[int], windows: Sequence[int]) -> Operand:
        """Give the mean of each whole window, the first of which begin with the axes.

        Raises:
            AddressError: There is another number of axes, or one is shorter than its window.
        """
        if len(windows) != len(axes):
            raise AddressError(
                f"expected {len(axes)} sizes of a window, received {len(windows)}: {self._tell()}"
            )
        values = self._wide()
        for axis, window in zip(axes, windows, strict=True):
            size = values.shape[axis]
            if size is not None and size < window:
                raise AddressError(f"a window of {window} doesn't fit: {self._tell()}")
            sizes = _list_sizes(values)
            count = sizes[axis] // window
            whole = values[(*[slice(None)] * axis, slice(count * window))]
            cut = tf.reshape(whole, [*sizes[:axis], count, window, *sizes[axis + 1 :]])
            values = tf.reduce_mean(cut, axis + 1)
        return self._give(values, self.names)

    def largest(self, axis: int, count: int) -> tuple[Operand, Operand]:
        """Give the largest values along an axis, in descending order, and where they were.

        Of equal ones the first leads. Where one is NaN, all of these are, and they were at -1.

        Raises:
            AddressError: There are fewer.
        """
        size = self.tensor.shape[axis]
        if size is not None and size < count:
            raise AddressError(f"expected at least {count} values: {self._tell()}")
        others = [place for place in range(self._rank) if place != axis]
        values = tf.transpose(self.tensor, [*others, axis])
        broken = _find_nan(values)
        values, places = tf.math.top_k(_blank(values), count)
        values = tf.where(broken, _make_nothing(values.dtype), values)
        places = tf.where(broken, -1, places)
        back = [*range(axis), self._rank - 1, *range(axis, self._rank - 1)]
        names = (*self.names[: axis - 1], "rank", *self.names[axis:])
        return (
            self._give(tf.transpose(values, back), names),
            self._give(tf.transpose(places, back), names),
        )

    def quantiles(self, shares: Sequence[float]) -> Operand:
        """Give quantiles of all values of a row, between two of them in proportion."""
        values = _flatten(self._wide())
        broken = _find_nan(values)
        ordered = tf.sort(_blank(values))
        most = tf.shape(values)[1] - 1
        place = tf.constant(shares, tf.float64) * tf.cast(most, tf.float64)
        below = tf.cast(tf.floor(place), tf.int32)
        part = place - tf.floor(place)
        # In float64 the compiler leaves them as they are where it computes in bfloat16.
        low = tf.cast(tf.gather(ordered, below, axis=1), tf.float64)
        high = tf.cast(tf.gather(ordered, tf.minimum(below + 1, most), axis=1), tf.float64)
        # 0 times infinity is NaN.
        found = tf.where(part == 0, low, low * (1 - part) + high * part)
        found = tf.where(broken, _make_nothing(tf.float64), found)
        return self._give(tf.cast(found, values.dtype), ["quantile"])

    def histogram(self, bins: int, low: float, high: float) -> Operand:
        """Count all values of a row in bins of one width; the last one holds its upper end, too.

        What lies outside isn't counted, nor is NaN.
        """
        values = _flatten(self._wide())
        kind = values.dtype.as_numpy_dtype
        ends = np.linspace(low, high, bins + 1)
        # The least number of that dtype that isn't below: so each value lies where it would in
        # float64.
        edges = ends.astype(kind)
        edges = np.where(edges < ends, np.nextafter(edges, kind(np.inf)), edges)
        last = kind(high)
        last = np.nextafter(last, kind(-np.inf)) if last > high else last
        found = tf.raw_ops.UpperBound(
            sorted_inputs=edges[np.newaxis, :-1],
            values=tf.reshape(values, [1, -1]),
            out_type=tf.int32,
        )
        inside = tf.logical_and(values >= edges[0], values <= last)
        numbers = tf.where(inside, tf.reshape(found, tf.shape(values)) - 1, bins)
        counts = tf.raw_ops.DenseBincount(
            input=numbers, size=bins, weights=tf.constant([], tf.int32), binary_output=False
        )
        counts.set_shape([values.shape[0], bins])
        return self._give(counts, ["bin"])

    def project(self, size: int, seed: int) -> Operand:
        """Project all values of a row to fewer, at random: see `draw_projection`.

        Raises:
            AddressError: Rows differ in size, or the matrix is too large.
        """
        count = self.tensor.shape[1:].num_elements()
        if not count:
            raise AddressError(f"expected rows of one size, and not empty: {self._tell()}")
        drawn = draw_projection(count, size, seed)
        values = _flatten(self._wide())
        entries = drawn.values.astype(values.dtype.as_numpy_dtype)
        places = np.stack([drawn.outputs, drawn.inputs], axis=1)
        matrix = tf.sparse.SparseTensor(places, entries, [size, count])
        # What isn't multiplied may be anything.
        projected = tf.sparse.sparse_dense_matmul(matrix, values, adjoint_b=True)
        return self._give(tf.transpose(projected), ["component"])


def _list_sizes(tensor: tf.Tensor) -> list[Any]:
    """Give the size of each axis: a number where it is known before."""
    sizes = tf.shape(tensor)
    return [sizes[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def _flatten(tensor: tf.Tensor) -> tf.Tensor:
    """Give rows with one axis."""
    sizes = _list_sizes(tensor)
    known = tensor.shape[1:].num_elements()
    return tf.reshape(tensor, [sizes[0], tf.reduce_prod(sizes[1:]) if known is None else known])


def _find_nan(values: tf.Tensor) -> tf.Tensor:
    """Tell along the last axis, which stays with size 1, whether a value is NaN."""
    if not values.dtype.is_floating:
        return tf.constant(False)
    return tf.reduce_any(tf.math.is_nan(values), -1, keepdims=True)


def _blank(values: tf.Tensor) -> tf.Tensor:
    """Put 0 in the place of NaN, which has no place in an order."""
    if not values.dtype.is_floating:
        return values
    return tf.where(tf.math.is_nan(values), tf.zeros_like(values), values)


def _make_nothing(dtype: tf.DType) -> tf.Tensor:
    """Give what stands where there is no value: NaN, or 0 where the dtype has none."""
    return tf.constant(np.nan if dtype.is_floating else 0, dtype)
