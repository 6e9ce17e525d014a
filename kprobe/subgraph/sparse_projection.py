"""Very sparse random projections: which values are added up, and with which sign.

Ping Li, Trevor Hastie and Kenneth Church, "Very Sparse Random Projections", KDD 2006: each entry of
the matrix is sqrt(s) with probability 1/(2s), -sqrt(s) with 1/(2s), and else 0, where s is the
square root of the number of values. Divided by the square root of the number of results, it keeps
squared distances as they are, on average. It is made from a seed, whatever the machine, and only
the entries that aren't 0 are ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import AddressError

# Entries that aren't 0: with their places they take 24 bytes each.
_MOST = 1 << 24


@dataclass(frozen=True, eq=False)
class Projection:
    """The entries of a matrix that aren't 0.

    Attributes:
        outputs: The row of each: int64, ascending.
        inputs: Its column: int64, ascending in a row.
        values: Its value: float64.
    """

    outputs: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def draw_projection(count: int, size: int, seed: int) -> Projection:
    """Draw the matrix that projects to fewer values.

    Args:
        count: The number of values, from 1 on.
        size: To how many.
        seed: What it follows from, from 0 to 2**32 - 1. The same seed gives the same matrix with
            every numpy: its old generator draws as it always did.

    Raises:
        AddressError: It would have too many entries.
    """
    share = 1 / sqrt(count)
    expected = count * size * share
    if expected > _MOST:
        raise AddressError(
            f"the matrix from {count:,} to {size:,} values has about {expected:,.0f} entries that "
            f"aren't 0, and {_MOST:,} are allowed"
        )
    draws: Any = np.random.RandomState(seed)
    # The distance from one entry to the next is distributed geometrically.
    step = int(expected + 6 * sqrt(expected)) + 16
    parts, end = [], -1
    while end < count * size:
        parts.append(end + np.cumsum(draws.geometric(share, step).astype(np.int64)))
        end = int(parts[-1][-1])
    places = np.concatenate(parts)
    places = places[places < count * size]
    signs = np.where(draws.random_sample(len(places)) < 0.5, -1.0, 1.0)
    values = signs * sqrt(sqrt(count) / size)
    return Projection(places // count, places % count, values)
