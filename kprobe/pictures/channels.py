"""Which of many channels are shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def choose_channels(
    values: Array, axes: Sequence[int], asked: Sequence[int | slice] | None, most: int
) -> list[tuple[int, ...]]:
    """Choose the channels that are shown.

    Args:
        values: Numbers of any shape and dtype.
        axes: The axes that are those of channels; () where there is one only.
        asked: Numbers and slices of the channels, counted over all these axes, the last one
            fastest; None for the most active.
        most: How many there may be where none were asked for.

    Returns:
        The place of each in these axes. Those asked for come in their order, once each.

    Raises:
        InputError: A number is that of no channel.
    """
    if not axes:
        return [()]
    sizes = [values.shape[axis] for axis in axes]
    moved = np.moveaxis(values, axes, range(values.ndim - len(axes), values.ndim))
    count = math.prod(sizes)
    if asked is None:
        chosen = find_most_active(moved.reshape(*moved.shape[: -len(axes)], count), -1, most)
    else:
        chosen = _resolve(asked, count)
    return [tuple(int(place) for place in np.unravel_index(each, sizes)) for each in chosen]


def _resolve(asked: Sequence[int | slice], count: int) -> list[int]:
    numbers: dict[int, None] = {}
    for each in asked:
        if isinstance(each, slice):
            numbers |= dict.fromkeys(range(*each.indices(count)))
        elif -count <= each < count:
            numbers[each % count] = None
        else:
            raise InputError(f"channels: expected numbers from 0 to {count - 1}, received {each}")
    if not numbers:
        raise InputError(f"channels: expected some of the {count} channels, received none of them")
    return list(numbers)
