"""The statistics of one tensor, as rows are added and ranges are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kprobe.analysis.statistics.blocks import (
    Extremes,
    Scanner,
    as_numbers,
    count_rows,
    own_scanner,
    reduce_rows,
)
from kprobe.analysis.statistics.distribution import (
    find_saturated,
    list_quantiles,
    make_histogram,
)
from kprobe.analysis.statistics.moments import LARGEST, LEAST, Moments
from kprobe.analysis.statistics.sketch import RELATIVE_ERROR, Sketch
from kprobe.analysis.statistics.soundness import check_arrays, check_samples
from kprobe.analysis.statistics.summary import (
    ChannelSummary,
    SampleSummary,
    TensorSummary,
    describe,
    find_dead,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kprobe.analysis.statistics.moments import Array

Detail = Literal["moments", "full"]

_WIDE = ("float64", "int32", "uint32", "int64", "uint64")  # what float32 can't hold
_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))
_NONE = np.iinfo(np.int64).max  # the first row of something that there is none of


def has_statistics(dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype is one of real numbers: not text, and not complex."""
    return dtype.kind in "biuf" or dtype.name == "bfloat16"


class Statistics:
    """What is known of one tensor: moments, extremes, counts, and a sketch of its values.

    Rows are added in any order, each once; statistics of different rows are merged in any order.
    Counts, extremes, quantiles, histograms and first rows are then equal to those of one run, bit
    for bit. Means, deviations and norms are summed in float64, shifted so that a large mean
    takes nothing from a small deviation, and differ by rounding alone: the mean by about 1e-15 of
    the largest magnitude, the deviation and the norms by about 1e-12 of themselves.

    Args:
        shape: The shape of a row, without the axis of samples; -1 where rows differ.
        dtype: The dtype of the values, or its name, such as "bfloat16".
        channel_axis: The axis of `shape` that is that of channels; None where there is none. An
            axis that isn't there, or whose size differs from row to row, is taken for none.
        by_sample: Whether each row is told of by itself, too; 80 bytes a row.
        detail: "moments" leaves quantiles and the histogram out, which take as long as all else.

    Attributes:
        shape: As given, with -1 for None.
        dtype: Its name.
        by_sample: As given.
        detail: As given.
        channel_axis: From 0; None where there is none.
        rows: How many rows were added.
        moments: Those of each channel.
        extremes: Those of all channels.
        sketch: That of all channels; empty for "moments".
        first_nan: The first row with NaN; the largest int64 where there is none.
        first_inf: The same of infinities.
        sample_rows: The rows that were added, several at a time; empty unless `by_sample`.
        samples: The moments of each of them, as of channels.
    """

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any,
        *,
        channel_axis: int | None = -1,
        by_sample: bool = False,
        detail: Detail = "full",
    ) -> None:
        self.shape = tuple(-1 if size is None else int(size) for size in shape)
        self.dtype = _name_dtype(dtype)
        self.by_sample = by_sample
        self.detail = detail
        self.channel_axis = _find_axis(self.shape, channel_axis)
        self.rows = 0
        self.moments = Moments(_count_channels(self.shape, self.channel_axis))
        self.extremes = Extremes()
        self._whole = self.dtype.startswith(("bool", "int", "uint"))
        self.sketch = Sketch(wide=self.dtype in _WIDE)
        self.first_nan = self.first_inf = _NONE
        self.sample_rows: list[Array] = []
        self.samples: list[Moments] = []

    def add(
        self,
        values: Array,
        first_row: int,
        valid: Array | None = None,
        scanner: Scanner | None = None,
    ) -> None:
        """Add rows.

        Args:
            values: Of shape (rows, ...) and a dtype that `has_statistics`; its rows have the
                shape that was told, whatever there is where that is -1.
            first_row: The number of the first of them.
            valid: Which of them count: bool of shape (rows,); None for all.
            scanner: What goes through the values, if it is used for more. Then what it counted
                is known after `finish`.
        """
        rows: Array | None = None
        if valid is not None and not valid.all():
            rows = first_row + np.flatnonzero(valid)
            values = values[np.asarray(valid, bool)]
        count = len(values)
        self.rows += count
        if not count:
            return
        items = self._by_channel(values)
        per_row = len(items) // count

        def find_row(place: int) -> int:
            return first_row + place // per_row if rows is None else int(rows[place // per_row])

        self.add_items(items, find_row, scanner)
        if self.by_sample:
            self.sample_rows.append(
                np.arange(first_row, first_row + count) if rows is None else rows
            )
            self.samples.append(reduce_rows(values.reshape(count, -1), scanner or own_scanner()))

    def add_items(
        self,
        items: Array,
        find_row: Callable[[int], int],
        scanner: Scanner | None = None,
    ) -> None:
        """Add values of parts of rows, which are not counted as rows.

        Args:
            items: Of shape (any, channels), in C order, as they follow each other in the rows.
            find_row: Gives the row of an item, by its place among the items.
            scanner: As for `add`.
        """
        mine = scanner or own_scanner()
        # What is as it is needed is gone through at once, and else a part after another.
        plain = items.dtype in _PLAIN
        step = max(1, len(items)) if plain else count_rows(items.shape[1], items.dtype.itemsize)
        try:
            for begin in range(0, len(items), step):
                self._add_block(as_numbers(items[begin : begin + step]), begin, find_row, mine)
        finally:
            if scanner is None:
                self.finish(mine)

    def _add_block(
        self, numbers: Array, begin: int, find_row: Callable[[int], int], scanner: Scanner
    ) -> None:
        if not numbers.size:
            return
        sketch = self.sketch if self.detail == "full" else None
        nan, infinite = scanner.add(numbers, self.moments, self.extremes, sketch)
        if nan:
            self.first_nan = _find_first(np.isnan, numbers, begin, find_row, self.first_nan)
        if infinite:
            self.first_inf = _find_first(np.isinf, numbers, begin, find_row, self.first_inf)

    def finish(self, scanner: Scanner) -> None:
        """Take in what a scanner counted."""
        scanner.finish(self.sketch)

    def _by_channel(self, values: Array) -> Array:
        """Give values as shape (any, channels), in C order."""
        if self.channel_axis is not None and self.channel_axis != len(self.shape) - 1:
            values = np.moveaxis(values, self.channel_axis + 1, -1)
        channels = self.moments.counts.shape[1]
        return np.ascontiguousarray(values).reshape(values.size // channels, channels)

    def merge(self, other: Statistics) -> None:
        """Take in the statistics of other rows of the same tensor; the other stays as it is.

        Raises:
            ValueError: It is of another shape, dtype, axis of channels or detail.
        """
        if self.settings() != other.settings():
            raise ValueError(f"{self.settings()} can't take in {other.settings()}")
        self.rows += other.rows
        self.extremes.merge(other.extremes)
        self.moments.merge(other.moments)
        self.sketch.merge(other.sketch)
        self.first_nan = min(self.first_nan, other.first_nan)
        self.first_inf = min(self.first_inf, other.first_inf)
        self.sample_rows += other.sample_rows
        self.samples += other.samples

    def settings(self) -> dict[str, Any]:
        """Give what the statistics are of, and how: only those of the same can be merged."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "channel_axis": self.channel_axis,
            "by_sample": self.by_sample,
            "detail": self.detail,
        }

    def to_arrays(self) -> dict[str, Array]:
        """Give all that is known but `settings` as arrays, to be stored; for `from_arrays`."""
        rows, samples = self._join_samples()
        arrays = {
            "state": np.array([self.rows, self.first_nan, self.first_inf]),
            "at_extremes": self.extremes.counts,
            "floats": self.moments.floats,
            "counts": self.moments.counts,
            "sketch_keys": self.sketch.keys,
            "sketch_counts": self.sketch.counts,
        }
        if self.by_sample:
            arrays |= {
                "sample_rows": rows,
                "sample_floats": samples.floats,
                "sample_counts": samples.counts,
            }
        return arrays

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, Array]) -> Statistics:
        """Give the statistics of some `settings` that `to_arrays` gave the arrays of.

        Raises:
            KeyError: An array is missing.
            TypeError: Settings aren't what was written.
            ValueError: An array isn't what was written.
        """
        shape = tuple(int(size) for size in settings["shape"])
        # Before there is room for as many channels as the settings say.
        check_arrays(arrays, _count_channels(shape, _find_axis(shape, settings["channel_axis"])))
        statistics = cls(**settings)
        statistics.rows, statistics.first_nan, statistics.first_inf = arrays["state"].tolist()
        statistics.moments.floats[...] = arrays["floats"]
        statistics.moments.counts[...] = arrays["counts"]
        floats = statistics.moments.floats
        statistics.extremes.values[:] = [floats[LEAST].min(), floats[LARGEST].max()]
        statistics.extremes.counts[:] = arrays["at_extremes"]
        keys = arrays["sketch_keys"]
        own = statistics.sketch.keys.dtype
        if keys.max(initial=0) > np.iinfo(own).max:
            raise ValueError(f"expected sketch_keys of {own}, received {keys.dtype}")
        statistics.sketch.add_counts(keys.astype(own), arrays["sketch_counts"])
        if statistics.by_sample:
            check_samples(arrays)
            rows = np.array(arrays["sample_rows"])
            samples = Moments(len(rows))
            samples.floats[...] = arrays["sample_floats"]
            samples.counts[...] = arrays["sample_counts"]
            statistics.sample_rows, statistics.samples = [rows], [samples]
        return statistics

    def _join_samples(self) -> tuple[Array, Moments]:
        """Give the rows that were added, ascending, and the moments of each."""
        rows = np.concatenate([np.zeros(0, np.int64), *self.sample_rows])
        order = np.argsort(rows, kind="stable")
        samples = Moments(0)
        samples.floats = np.concatenate([samples.floats, *(m.floats for m in self.samples)], 1)
        samples.counts = np.concatenate([samples.counts, *(m.counts for m in self.samples)], 1)
        samples.floats, samples.counts = samples.floats[:, order], samples.counts[:, order]
        return rows[order], samples

    def summarize(self, address: str = "") -> TensorSummary:
        """Tell of the tensor as a whole.

        Args:
            address: What it was asked for by.
        """
        whole = describe(self.moments.fold(1))
        dead = None if self.channel_axis is None else find_dead(self.moments)
        full = self.detail == "full"
        return TensorSummary(
            address=address,
            shape=self.shape,
            dtype=self.dtype,
            rows=self.rows,
            **whole,
            quantiles=list_quantiles(self.sketch, self.extremes, self._whole),
            quantile_error=RELATIVE_ERROR if full else None,
            first_nan=None if self.first_nan == _NONE else self.first_nan,
            first_inf=None if self.first_inf == _NONE else self.first_inf,
            channels=None if dead is None else len(dead),
            dead_channels=None if dead is None else sum(dead),
            dead=None if dead is None else sum(dead) / max(1, len(dead)),
            saturated=find_saturated(self.extremes, self._whole, whole["count"]),
            histogram=make_histogram(self.sketch, self.extremes) if full else None,
        )

    def summarize_channels(self) -> list[ChannelSummary]:
        """Tell of each channel; of all values as of one where there is no axis of channels."""
        return [
            ChannelSummary(channel=channel, dead=dead, **describe(self.moments, channel))
            for channel, dead in enumerate(find_dead(self.moments))
        ]

    def summarize_samples(self) -> list[SampleSummary]:
        """Tell of each row that was added, in the order of rows; none unless `by_sample`."""
        rows, samples = self._join_samples()
        return [
            SampleSummary(row=int(row), **describe(samples, place))
            for place, row in enumerate(rows)
        ]


def _find_first(
    has: Callable[[Array], Array],
    numbers: Array,
    begin: int,
    find_row: Callable[[int], int],
    known: int,
) -> int:
    """Give the first row of a block that has something, or one that is known before it."""
    step = count_rows(numbers.shape[1], numbers.itemsize)
    for first in range(0, len(numbers), step):
        if find_row(begin + first) >= known:
            break
        found = has(numbers[first : first + step]).any(1)
        if found.any():
            return min(known, find_row(begin + first + int(np.argmax(found))))
    return known


def _name_dtype(dtype: Any) -> str:
    try:
        return str(np.dtype(dtype).name)
    except TypeError:  # numpy alone doesn't know bfloat16
        return str(dtype)


def _find_axis(shape: tuple[int, ...], axis: int | None) -> int | None:
    if axis is None or not -len(shape) <= axis < len(shape) or shape[axis] < 1:
        return None
    return axis % len(shape)


def _count_channels(shape: tuple[int, ...], axis: int | None) -> int:
    return 1 if axis is None else shape[axis]
