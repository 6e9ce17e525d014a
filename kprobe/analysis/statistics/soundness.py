"""Whether arrays can be those of statistics: of a stranger's nothing is believed unchecked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.moments import (
    FINITE,
    L1,
    LARGEST,
    LEAST,
    M2,
    ZEROS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[Any, np.dtype[Any]]

# Sums and products of counts stay in int64.
_MOST = 2.0**60


def check_arrays(arrays: Mapping[str, Array], channels: int) -> None:
    """Check arrays before statistics are made of them.

    Args:
        arrays: Those that `Statistics.to_arrays` gives.
        channels: How many channels there are, as far as their settings say.

    Raises:
        KeyError: One is missing.
        ValueError: One can't be of statistics of so many channels.
    """
    _check_shape(arrays, "state", "i", (3,))
    _check_shape(arrays, "at_extremes", "i", (2,))
    _check_moments(arrays, "", channels)
    keys = arrays["sketch_keys"]
    _check_shape(arrays, "sketch_keys", "u", (keys.size,))
    _check_shape(arrays, "sketch_counts", "i", (keys.size,))
    if (keys[1:] <= keys[:-1]).any():
        raise ValueError("sketch_keys don't ascend")
    for name in ("state", "at_extremes", "sketch_counts"):
        _check_counts(arrays[name], name, sums=name != "state")


def check_samples(arrays: Mapping[str, Array]) -> None:
    """Check the arrays that tell of each sample by itself, as `check_arrays` does.

    Raises:
        KeyError: One is missing.
        ValueError: One can't be of statistics.
    """
    count = arrays["sample_rows"].size
    _check_shape(arrays, "sample_rows", "i", (count,))
    _check_counts(arrays["sample_rows"], "sample_rows", sums=False)
    _check_moments(arrays, "sample_", count)


def _check_moments(arrays: Mapping[str, Array], prefix: str, channels: int) -> None:
    _check_shape(arrays, f"{prefix}floats", "f", (5, channels))
    _check_shape(arrays, f"{prefix}counts", "i", (4, channels))
    floats, counts = arrays[f"{prefix}floats"], arrays[f"{prefix}counts"]
    _check_counts(counts, f"{prefix}counts")
    some = counts[FINITE] > 0
    least, largest = floats[LEAST], floats[LARGEST]
    sound = np.where(
        some,
        np.isfinite(least) & np.isfinite(largest) & (least <= largest),
        (least == np.inf) & (largest == -np.inf),
    )
    # Sums may be infinite, or no number, where values are as large as float64 can hold.
    if not sound.all() or (floats[[M2, L1]] < 0).any() or (counts[ZEROS] > counts[FINITE]).any():
        raise ValueError(f"{prefix}floats and {prefix}counts contradict each other")


def _check_shape(arrays: Mapping[str, Array], name: str, kind: str, shape: tuple[int, ...]) -> None:
    found = arrays[name]
    if found.dtype.kind != kind or found.shape != shape:
        raise ValueError(f"{name} is {found.dtype} of shape {found.shape}")


def _check_counts(counts: Array, name: str, *, sums: bool = True) -> None:
    if counts.min(initial=0) < 0:
        raise ValueError(f"{name} has a number below 0")
    if sums and counts.sum(dtype=np.float64) > _MOST:
        raise ValueError(f"{name} counts more values than there can be")
