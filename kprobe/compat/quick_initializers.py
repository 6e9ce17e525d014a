"""Let a layer's weights be made quickly where they aren't kept, or where that would take long.

An orthogonal matrix takes a decomposition: half a minute for one of 6,000 rows and columns. Loading
a file, Keras makes one for each recurrent layer, and then puts what the file holds in its place.
"""

from __future__ import annotations

import contextlib
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from kprobe.compat.patching import patched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


@contextlib.contextmanager
def initialized_quickly(library: ModuleType, most: int = 0) -> Iterator[None]:
    """Make orthogonal matrices of numbers at random instead, once they have taken enough.

    The numbers are normal, and such that columns have the length that they would have.

    Args:
        library: The Keras that makes layers inside the block.
        most: How many multiplications orthogonal matrices may take before that.
    """
    plain = library.initializers.Orthogonal.__call__
    normal = library.initializers.RandomNormal
    left = most

    def call(self: Any, shape: Sequence[int], dtype: Any = None, **keywords: Any) -> Any:
        nonlocal left
        if len(shape) < 2:
            return plain(self, shape, dtype, **keywords)  # which says what is wrong with that
        rows, columns = prod(shape[:-1]), shape[-1]
        left -= rows * columns * min(rows, columns)
        if left >= 0:
            return plain(self, shape, dtype, **keywords)
        deviation = self.gain / sqrt(max(rows, columns, 1))
        return normal(0.0, deviation, seed=self.seed)(shape, dtype, **keywords)

    with patched("__call__", call, library.initializers.Orthogonal):
        yield
