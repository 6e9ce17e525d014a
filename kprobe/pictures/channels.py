"""Which of many channels are shown."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Values that are looked at together: few enough to stay in the processor's caches as float64.
_BLOCK = 1 << 16


def measure_activity(values: Array, axis: int = -1) -> Array:
    """Give the mean magnitude of each channel.

    Args:
        values: Numbers of any shape and dtype, such as (height, width, channels).
        axis: Which axis is that of channels.

    Returns:
        float64 of shape (channels,): of the finite values alone, 0 where there are none.
    """
    moved = np.moveaxis(values, axis, -1)
    channels = moved.shape[-1]
    sums, counts = np.zeros(channels), np.zeros(channels, np.int64)
    if not moved.size:
        return sums
    # Without a copy of what has channels elsewhere: only slices along the first axis are taken.
    flat = moved.reshape(-1, channels) if moved.flags.c_contiguous else moved
    step = max(1, _BLOCK * len(flat) // flat.size)
    for begin in range(0, len(flat), step):
        part = np.asarray(flat[begin : begin + step])
        with np.errstate(over="ignore"):
            block = np.abs(part.astype(np.complex128 if part.dtype.kind == "c" else np.float64))
            finite = np.isfinite(block)
            places = tuple(range(block.ndim - 1))
            sums += np.where(finite, block, 0).sum(places)
        counts += finite.sum(places)
    return np.divide(sums, counts, out=np.zeros(channels), where=counts > 0)


def find_most_active(values: Array, axis: int = -1, most: int = 16) -> list[int]:
    """Find the channels of the largest mean magnitude.

    Args:
        values: As for `measure_activity`.
        axis: As for `measure_activity`.
        most: How many at most.

    Returns:
        Their numbers, the most active first; of equal ones the lower number.
    """
    activity = measure_activity(values, axis)
    return [int(channel) for channel in np.argsort(-activity, kind="stable")[:most]]
