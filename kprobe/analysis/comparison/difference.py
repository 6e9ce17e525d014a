"""How far B's values of a tensor are from A's, measured block by block and merged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from kprobe.analysis.comparison.blocks import make_comparable, measure_block
from kprobe.analysis.comparison.records import Deviation
from kprobe.analysis.comparison.sums import Sums, find_exponent, find_first, scale
from kprobe.analysis.comparison.ulps import count_ulps
from kprobe.analysis.statistics.blocks import take_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Pair

Array = np.ndarray[Any, np.dtype[Any]]


class Difference:
    """The running difference of one matched pair.

    Blocks may be added in any order, and differences of other rows merged: the result is the same
    but for the rounding of float64 sums, 1e-12 of them at most. The arithmetic is that of float64;
    float32 values are subtracted in float32, whose rounding is 6e-8 of the difference, and whole
    numbers of 64 bits exactly.

    Args:
        shape: The shape of a sample's values in B, None for an axis where samples differ; None as a
            whole where nothing is known of it.
        channel_axis: Which axis of `shape` is that of channels; None for none.
        cosine: Whether the cosine of the angle between both is measured.
        ulps: In which dtype units in the last place are counted, "float16", "bfloat16", "float32"
            or "float64"; None for not at all.
        fast: Whether to use compiled kernels. Importing them takes half a second, and more the
            first time on a machine. None to begin when there is enough to do.

    Attributes:
        place: The row with the largest absolute difference so far, and where in the row; None where
            there is none.
        max_ulps: The largest difference so far in units in the last place.
        sums: What was added up of the values of both sides, and of their differences.
        products: What was added up of their products, for the cosine.
        unequal: How many rows differ in shape, or as texts.
        first_unequal: The first of these; None where there is none.
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None,
        *,
        channel_axis: int | None = -1,
        cosine: bool = False,
        ulps: str | None = None,
        fast: bool | None = None,
    ) -> None:
        self._axis = None
        channels = None
        if shape and channel_axis is not None:
            channels = shape[channel_axis]
            # Where samples differ in it, it is none of channels.
            self._axis = None if channels is None else channel_axis % len(shape)
        self._channels = 1 if channels is None else channels
        self._cosine = cosine
        self._ulps = ulps
        self._fast = fast
        self.sums = Sums(self._channels)
        self.products = _Products(np.zeros(3), 0, 0)
        self.unequal = 0
        self.first_unequal: int | None = None
        self.place: tuple[int, tuple[int, ...]] | None = None
        self.max_ulps = 0

    @classmethod
    def of_pair(cls, pair: Pair, **settings: Any) -> Self:
        """Begin the difference of a pair, in B's axes.

        Args:
            pair: The pair.
            **settings: `cosine`, `ulps` and `fast`.
        """
        return cls(pair.b.shape, channel_axis=pair.channel_axis, **settings)

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
            rows = _Rows(range(first_row, first_row + len(a)), a.shape[1:])
            self._add(a, b, self._flatten(a), self._flatten(b), rows, fast)

    def add_uneven(self, a: Sequence[Array], b: Sequence[Array], first_row: int) -> None:
        """Take in rows that differ in shape; those of another shape in B are counted alone.

        Args:
            a: A's values of each row, in B's axes, of any dtype of numbers.
            b: B's of as many rows.
            first_row: The number of the first row.
        """
        alike = [place for place, row in enumerate(a) if row.shape == b[place].shape]
        self._count_unequal({*range(len(a))}.difference(alike), first_row)
        alike = [place for place in alike if a[place].size]
        if alike:
            rows = _UnevenRows([first_row + place for place in alike], [a[p].shape for p in alike])
            one, other = (
                np.concatenate([self._flatten(side[place][None]) for place in alike])
                for side in (a, b)
            )
            self._add(one, other, one, other, rows, None)

    def add_texts(self, a: Sequence[Array], b: Sequence[Array], first_row: int) -> None:
        """Take in rows of texts, of which those that aren't the same are counted.

        Args:
            a: The bytes of A's texts of each row, uint8.
            b: B's of as many rows.
            first_row: The number of the first row.
        """
        pairs = enumerate(zip(a, b, strict=True))
        others = {place for place, (one, other) in pairs if not np.array_equal(one, other)}
        self.sums.count += len(a)
        self._count_unequal(others, first_row)

    def merge(self, other: Difference) -> None:
        """Take in the difference of other rows of the same pair."""
        if other.place is not None:
            self._take_max(other.sums.top, other.place)
        self._take(other.sums)
        self.products = self.products.merge(other.products)
        self.max_ulps = max(self.max_ulps, other.max_ulps)
        self.unequal += other.unequal
        self.first_unequal = find_first(self.first_unequal, other.first_unequal)

    def summarize(self) -> Deviation:
        """Give what was measured so far."""
        sums = self.sums
        channel, of_channel = self._find_worst_channel()
        row, index = self.place or (None, None)
        with np.errstate(over="ignore"):
            return Deviation(
                count=sums.count,
                max_abs=sums.top,
                row=row,
                index=index,
                relative=sums.relate(sums.find_noise()),
                worst_channel=channel,
                worst_channel_relative=None if channel is None else sums.relate(of_channel),
                snr_db=sums.find_decibels(),
                only_a=sums.only_a,
                only_b=sums.only_b,
                unlike=sums.unlike,
                first_unlike=sums.odd,
                unequal=self.unequal,
                first_unequal=self.first_unequal,
                scale=float(scale(sums.find_spread(), sums.signal_exponent)),
                cosine=self.products.find_cosine() if self._cosine else None,
                max_ulps=None if self._ulps is None else self.max_ulps,
            )

    def _add(
        self, a: Array, b: Array, flat_a: Array, flat_b: Array, rows: _Rows, fast: bool | None
    ) -> None:
        values_a, values_b, exact = make_comparable(flat_a, flat_b)
        fast = self._fast if fast is None else fast
        fast = take_many(values_a.nbytes) if fast is None else fast
        block = measure_block(
            values_a, values_b, self._channels, fast=fast, above=self.sums.top, exact=exact
        )
        parts = values_a.size // flat_a.size  # of a complex number
        if block.odd is not None:
            block.odd = rows.locate(block.odd // parts)[0]
        if block.top > 0 and block.top >= self.sums.top:
            row, rest, shape = rows.locate(block.place // parts)
            self._take_max(block.top, (row, self._unravel(rest, shape)))
        self._take(block)
        if self._cosine:
            self.products = self.products.merge(_multiply(values_a, values_b))
        if self._ulps is not None:
            self.max_ulps = max(self.max_ulps, count_ulps(a, b, self._ulps))

    def _take(self, sums: Sums) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            self.sums.merge(sums)

    def _take_max(self, top: float, place: tuple[int, tuple[int, ...]]) -> None:
        before = self.place is None or place < self.place
        if top > self.sums.top or (top == self.sums.top and before):
            self.place = place

    def _count_unequal(self, places: set[int], first_row: int) -> None:
        if places:
            self.unequal += len(places)
            self.first_unequal = find_first(self.first_unequal, first_row + min(places))

    def _flatten(self, values: Array) -> Array:
        """Give the values in one dimension, channels last."""
        if self._axis is not None and self._axis != values.ndim - 2:
            values = np.moveaxis(values, self._axis + 1, -1)
        return np.ascontiguousarray(values).reshape(-1)

    def _unravel(self, place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self._axis is None:
            return tuple(int(i) for i in np.unravel_index(place, shape)) if shape else ()
        rest = shape[: self._axis] + shape[self._axis + 1 :]
        *others, channel = np.unravel_index(place, (*rest, shape[self._axis]))
        others.insert(self._axis, channel)
        return tuple(int(i) for i in others)

    def _find_worst_channel(self) -> tuple[int | None, float]:
        sums = self.sums
        if self._axis is None or not sums.sums.any():
            return None, 0.0
        of_channels = np.sqrt(sums.sums / np.maximum(sums.counts, 1))
        worst = int(np.argmax(of_channels))
        return worst, float(of_channels[worst])


class _Rows:
    """Where rows of one shape lie in their values."""

    def __init__(self, numbers: Sequence[int], shape: tuple[int, ...]) -> None:
        self._numbers, self._shape, self._size = numbers, shape, math.prod(shape)

    def locate(self, place: int) -> tuple[int, int, tuple[int, ...]]:
        """Give the row of a value, its place there, and the row's shape."""
        row, rest = divmod(place, self._size)
        return self._numbers[row], rest, self._shape


class _UnevenRows(_Rows):
    """Where rows that differ in shape lie in their values, of which each has some."""

    def __init__(self, numbers: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> None:
        self._numbers, self._shapes = numbers, shapes
        self._ends = np.cumsum([math.prod(shape) for shape in shapes])

    def locate(self, place: int) -> tuple[int, int, tuple[int, ...]]:
        """Give the row of a value, its place there, and the row's shape."""
        row = int(np.searchsorted(self._ends, place, side="right"))
        begin = int(self._ends[row - 1]) if row else 0
        return self._numbers[row], place - begin, self._shapes[row]


class _Products(NamedTuple):
    """The sums of products of both sides, of A with itself and of B with itself.

    They are over 2 ** (exponent_a + exponent_b), 4 ** exponent_a and 4 ** exponent_b.
    """

    sums: Array
    exponent_a: int
    exponent_b: int

    def merge(self, other: _Products) -> _Products:
        if not self.sums.any():
            return other
        if not other.sums.any():
            return self
        a = max(self.exponent_a, other.exponent_a)
        b = max(self.exponent_b, other.exponent_b)
        return _Products(self.rescale(a, b) + other.rescale(a, b), a, b)

    def rescale(self, exponent_a: int, exponent_b: int) -> Array:
        a, b = self.exponent_a - exponent_a, self.exponent_b - exponent_b
        return self.sums if a == b == 0 else np.ldexp(self.sums, [a + b, 2 * a, 2 * b])

    def find_cosine(self) -> float | None:
        product, of_a, of_b = (float(value) for value in self.sums)
        return product / math.sqrt(of_a) / math.sqrt(of_b) if of_a and of_b else None


def _multiply(a: Array, b: Array) -> _Products:
    both = np.isfinite(a) & np.isfinite(b)
    wide = [np.where(both, x, 0).astype(np.float64) for x in (a, b)]
    exponents = [0 if a.dtype == np.float32 else find_exponent(x) for x in wide]
    wide_a, wide_b = (scale(x, -e) for x, e in zip(wide, exponents, strict=True))
    sums = np.array([wide_a @ wide_b, wide_a @ wide_a, wide_b @ wide_b])
    return _Products(sums, *exponents)
