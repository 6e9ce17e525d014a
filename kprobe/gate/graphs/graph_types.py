"""The types of TensorFlow's values, by their numbers in tensorflow/core/framework/types.proto."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Bytes of a value, and the field of a constant that holds values.
TYPES = {
    1: (4, "float_val"),
    2: (8, "double_val"),
    3: (4, "int_val"),
    4: (1, "int_val"),
    5: (2, "int_val"),
    6: (1, "int_val"),
    7: (24, "string_val"),
    8: (8, "scomplex_val"),
    9: (8, "int64_val"),
    10: (1, "bool_val"),
    11: (1, "int_val"),
    12: (1, "int_val"),
    13: (4, "int_val"),
    14: (2, "half_val"),
    15: (2, "int_val"),
    16: (2, "int_val"),
    17: (2, "int_val"),
    18: (16, "dcomplex_val"),
    19: (2, "half_val"),
    22: (4, "uint32_val"),
    23: (8, "uint64_val"),
    24: (1, "float8_val"),
    25: (1, "float8_val"),
    26: (1, "float8_val"),
    27: (1, "float8_val"),
    28: (1, "float8_val"),
    29: (1, "int_val"),
    30: (1, "int_val"),
}
STRING = 7
# What isn't numbers or texts: handles of what lies elsewhere, and objects of any class.
HANDLES = {20: "resource", 21: "variant"}
# As many axes as TensorFlow's tensors have at most.
MAX_AXES = 254
# As many values as nothing has: what is more is told as this.
_MOST = 2**62


def count_values(sizes: Iterable[int]) -> int:
    """Count the values of a shape, which may be meant to be more than any number is for.

    Args:
        sizes: The sizes of its axes, none below 0.
    """
    count = 1
    for size in sizes:
        count = min(count * size, _MOST) if count else 0
    return count
