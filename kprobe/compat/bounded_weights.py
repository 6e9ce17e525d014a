"""Bound the weights that are made while a file is loaded, as they are made.

The gate counts them before, as far as a config tells their shapes. What it doesn't tell, such as
how wide the input is of a layer behind an operation without a rule, shows when Keras makes them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from kprobe.compat.patching import patched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@dataclass
class MadeWeights:
    """What was made so far.

    Attributes:
        count: How many numbers the weights have.
        most: How many they may have.
    """

    most: int
    count: int = 0

    @property
    def is_too_much(self) -> bool:
        """Whether more were asked for than are allowed. They weren't made, then."""
        return self.count > self.most

    def add(self, shape: Any) -> None:
        """Count a weight that is about to be made."""
        lengths = [shape] if isinstance(shape, int) else list(shape or ())
        self.count += prod(int(length) for length in lengths if length)
        if self.is_too_much:
            raise MemoryError(f"expected at most {self.most:,} numbers in weights")


@contextlib.contextmanager
def weights_bounded(library: ModuleType, most: int) -> Iterator[MadeWeights]:
    """Let no more weights be made inside the block than may be.

    Args:
        library: The Keras whose layers make them.
        most: How many numbers they may have together.

    Yields:
        What is made: whoever catches an error asks it whether that is why. Keras says it otherwise.
    """
    plain = library.layers.Layer.add_weight
    made = MadeWeights(most)

    def add_weight(self: Any, *arguments: Any, **keywords: Any) -> Any:
        # By position, one Keras takes the name first, and the other the shape.
        given = [each for each in arguments if not isinstance(each, str | None)]
        made.add(keywords.get("shape", given[0] if given else ()))
        return plain(self, *arguments, **keywords)

    with patched("add_weight", add_weight, library.layers.Layer):
        yield made
