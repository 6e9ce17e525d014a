"""How far B's values may be from A's, where nobody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kprobe.analysis.comparison.records import Pair

# The root mean square of local errors over A's standard deviation, where the same layer is computed
# in two ways that are both right, four times and more of the largest that was measured: 2.2e-6 in
# float32 (running, exact or sample by sample), 8.5e-4 in float16 and 6.3e-3 in bfloat16, of the
# layers of the small models in tests/benchmarks/bench_tolerance.py.
FLOORS = {"bfloat16": 3e-2, "float16": 5e-3, "float32": 1e-5, "float64": 1e-5}
_DIGITS = ("bfloat16", "float16", "float32", "float64")


def tolerance(pair: Pair, precision: str = "float32") -> float:
    """Give the tolerance of a pair: that of the least precise of what it is computed in.

    Args:
        pair: The pair. Complex numbers are as precise as their parts.
        precision: What one of the sides may compute in, whatever the dtypes of its tensors are.

    Returns:
        How large `Deviation.relative` may be; 0 for whole numbers, truth and texts, which are
        exact, and for weights of one dtype, which nothing is computed of.
    """
    if pair.a.weight and pair.a.dtype == pair.b.dtype:
        return 0.0
    parts = {"complex64": "float32", "complex128": "float64"}
    known = [parts.get(dtype, dtype) for dtype in (pair.a.dtype, pair.b.dtype)]
    places = [_DIGITS.index(dtype) for dtype in known if dtype in _DIGITS]
    if not places:
        return 0.0
    return FLOORS[_DIGITS[min([*places, _DIGITS.index(precision)])]]
