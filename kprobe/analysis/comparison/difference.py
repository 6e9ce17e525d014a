"""How far B's values of a tensor are from A's, measured block by block and merged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.blocks import Block, make_comparable, measure_block
from kprobe.analysis.comparison.records import Deviation
from kprobe.analysis.comparison.ulps import count_ulps
from kprobe.analysis.statistics.blocks import take_many

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, np.dtype[Any]]


class Difference:
    """The running difference of one matched pair.

    Blocks may be added in any order, and differences of other rows merged: the result is the same
    but for the rounding of float64 sums, 1e-12 of them at most. The arithmetic is that of float64;
    float32 values are subtracted in float32, whose rounding is 6e-8 of the difference.

    Args:
        shape: The shape of a sample's values in B; None where rows differ in shape.
        channel_axis: Which axis of `shape` is that of channels; None for none.
        cosine: Whether the cosine of the angle between both is measured.
        ulps: In which dtype units in the last place are counted, "float16", "bfloat16", "float32"
            or "float64"; None for not at all.
        fast: Whether to use compiled kernels. Importing them takes half a second, and more the
            first time on a machine. None to begin when there is enough to do.

    Attributes:
        max_abs: The largest absolute difference so far.
        place: The row where it is, and where in the row; None where there is none.
        products: The sums of products: of both, of A with itself, of B with itself.
        max_ulps: The largest difference so far in units in the last place.
    """

    def __init__(
        self,
        shape: Sequence[int] | None,
        *,
        channel_axis: int | None = -1,
        cosine: bool = False,
        ulps: str | None = None,
        fast: bool | None = None,
    ) -> None:
        self._shape = None if shape is None else tuple(shape)
        self._axis = None
        if self._shape and channel_axis is not None:
            self._axis = channel_axis % len(self._shape)
        self._channels = 1 if self._axis is None else (self._shape or ())[self._axis]
        self._cosine = cosine
        self._ulps = ulps
        self._fast = fast
        self._count = 0
        self._mean = self._squares = 0.0
        self._sums = np.zeros(self._channels)
        self._counts = np.zeros(self._channels, np.int64)
        self.max_abs = 0.0
        self.place: tuple[int, tuple[int, ...]] | None = None
        self._only_a = self._only_b = self._unlike = 0
        self._first_odd: int | None = None
        self.products = np.zeros(3)
        self.max_ulps = 0

    def add(self, a: Array, b: Array, first_row: int, *, fast: bool | None = None) -> None:
        """Take in rows.

        Args:
            a: A's values, (rows, *shape), in B's axes, of any dtype of numbers.
            b: B's.
            first_row: The number of the first row.
            fast: As for `Difference`, which is what None stands for; for these rows alone.

        Raises:
            ValueError: The shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"expected arrays of one shape, received {a.shape} and {b.shape}")
        if a.size:
            # Squares of what float64 only just holds are infinite.
            with np.errstate(over="ignore", invalid="ignore"):
                self._add(a, b, first_row, self._fast if fast is None else fast)

    def _add(self, a: Array, b: Array, first_row: int, fast: bool | None) -> None:
        values_a, values_b, exact = make_comparable(self._flatten(a), self._flatten(b))
        fast = take_many(values_a.nbytes) if fast is None else fast
        block = measure_block(
            values_a, values_b, self._channels, fast=fast, above=self.max_abs, exact=exact
        )
        shape, row_size = a.shape[1:], values_a.size // len(a)
        if block.odd is not None:
            block.odd = block.odd // row_size + first_row
        if block.top > 0 and block.top >= self.max_abs:
            row, rest = divmod(block.place, row_size)
            index = self._unravel(rest * math.prod(shape) // row_size, shape)
            self._take_max(block.top, (row + first_row, index))
        self._take(block)
        if self._cosine:
            self._add_products(values_a, values_b)
        if self._ulps is not None:
            self.max_ulps = max(self.max_ulps, count_ulps(a, b, self._ulps))

    def merge(self, other: Difference) -> None:
        """Take in the difference of other rows of the same pair."""
        if other.place is not None:
            self._take_max(other.max_abs, other.place)
        with np.errstate(over="ignore", invalid="ignore"):
            self._take(other.as_block())
            self.products += other.products
        self.max_ulps = max(self.max_ulps, other.max_ulps)

    def summarize(self) -> Deviation:
        """Give what was measured so far."""
        with np.errstate(over="ignore"):
            squared = float(self._sums.sum())
        count = max(self._count, 1)
        rms = math.sqrt(squared / count)
        power = self._squares / count + self._mean * self._mean
        scale = math.sqrt(self._squares / count)
        # What rounding leaves of the deviation of a constant is none.
        if scale <= 1e-12 * abs(self._mean):
            scale = math.sqrt(power)
        channel, of_channel = self._find_worst_channel()
        row, index = self.place or (None, None)
        return Deviation(
            count=self._count,
            max_abs=self.max_abs,
            row=row,
            index=index,
            relative=_divide(rms, scale),
            worst_channel=channel,
            worst_channel_relative=None if channel is None else _divide(of_channel, scale),
            snr_db=_find_decibels(power, rms),
            only_a=self._only_a,
            only_b=self._only_b,
            unlike=self._unlike,
            first_unlike=self._first_odd,
            scale=scale,
            cosine=self._find_cosine() if self._cosine else None,
            max_ulps=None if self._ulps is None else self.max_ulps,
        )

    def _flatten(self, values: Array) -> Array:
        """Give the values in one dimension, channels last."""
        if self._axis is not None and self._axis != len(self._shape or ()) - 1:
            values = np.moveaxis(values, self._axis + 1, -1)
        return np.ascontiguousarray(values).reshape(-1)

    def _unravel(self, place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self._axis is None:
            return tuple(int(i) for i in np.unravel_index(place, shape)) if shape else ()
        rest = shape[: self._axis] + shape[self._axis + 1 :]
        *others, channel = np.unravel_index(place, (*rest, shape[self._axis]))
        others.insert(self._axis, channel)
        return tuple(int(i) for i in others)

    def as_block(self) -> Block:
        """Give what was measured so far as that of one block of values."""
        return Block(
            self._count,
            self._mean,
            self._squares,
            self._sums,
            self._counts,
            self.max_abs,
            only_a=self._only_a,
            only_b=self._only_b,
            unlike=self._unlike,
            odd=self._first_odd,
        )

    def _take(self, block: Block) -> None:
        total = self._count + block.count
        if block.count:
            share = block.count / total
            apart = block.mean - self._mean
            self._squares += block.squares + apart * apart * (self._count * share)
            self._mean += apart * share
        self._count = total
        self._sums += block.sums
        self._counts += block.counts
        self._only_a += block.only_a
        self._only_b += block.only_b
        self._unlike += block.unlike
        if block.odd is not None:
            earlier = self._first_odd
            self._first_odd = block.odd if earlier is None else min(block.odd, earlier)

    def _take_max(self, top: float, place: tuple[int, tuple[int, ...]]) -> None:
        before = self.place is None or place < self.place
        if top > self.max_abs or (top == self.max_abs and before):
            self.max_abs, self.place = top, place

    def _add_products(self, a: Array, b: Array) -> None:
        both = np.isfinite(a) & np.isfinite(b)
        wide_a = np.where(both, a, 0).astype(np.float64)
        wide_b = np.where(both, b, 0).astype(np.float64)
        self.products += (wide_a @ wide_b, wide_a @ wide_a, wide_b @ wide_b)

    def _find_worst_channel(self) -> tuple[int | None, float]:
        if self._axis is None or not self._sums.any():
            return None, 0.0
        of_channels = np.sqrt(self._sums / np.maximum(self._counts, 1))
        worst = int(np.argmax(of_channels))
        return worst, float(of_channels[worst])

    def _find_cosine(self) -> float | None:
        product, of_a, of_b = (float(value) for value in self.products)
        cosine = product / math.sqrt(of_a) / math.sqrt(of_b) if of_a and of_b else math.nan
        return cosine if math.isfinite(cosine) else None


def _find_decibels(power: float, rms: float) -> float | None:
    """Give the ratio of a signal to a noise; None where float64 doesn't hold what it follows from.

    Args:
        power: The mean square of the signal.
        rms: The root mean square of the noise.
    """
    if not (power and rms and math.isfinite(power) and math.isfinite(rms)):
        return None
    # Their quotient, too, may be none that float64 holds.
    return 10 * math.log10(power) - 20 * math.log10(rms)


def _divide(number: float, scale: float) -> float:
    if not number:
        return 0.0
    # Squares of what float64 only just holds are infinite.
    return number / scale if scale and math.isfinite(number / scale) else math.inf
