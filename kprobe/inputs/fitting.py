"""Whether a source fits an input of the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.sources.uneven import is_uneven

if TYPE_CHECKING:
    import numpy.typing as npt

    from kprobe.inputs.sources.fault_list import Faults
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.sources.source import Source


def check_fit(model_input: ModelInput, source: Source, faults: Faults) -> None:
    """Note what about a source's rows, shape or dtype the model can't take."""
    start = f"input '{model_input.name}' expects"
    if source.rows == 0:
        faults.add(f"{start} samples, received none: {source.label} has 0 rows")
    if not _fits_shape(source.shape, model_input.shape[1:]):
        received = (source.rows, *(None if size == -1 else size for size in source.shape))
        others = " or of other sizes" if model_input.usual is not None else ""
        faults.add(
            f"{start} shape {model_input.example}{others}, received {received} from {source.label}",
            _suggest_reshaping(source, model_input.example[1:]),
        )
    if not _fits_dtype(source.dtype, model_input):
        numeric = source.dtype.kind in "biuf" and model_input.dtype != "string"
        faults.add(
            f"{start} {model_input.dtype}, received {_name_dtype(source.dtype)} from "
            f"{source.label}",
            f"convert {source.label}: array.astype('{model_input.dtype}')" if numeric else None,
        )


def find_integer_bounds(model_input: ModelInput, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Give the smallest and the largest integer an input takes, if the data may pass them.

    Casting would wrap them round without a word.

    Args:
        model_input: The input.
        dtype: The dtype of the data.

    Returns:
        None where every value of `dtype` fits, and for inputs that aren't integers.
    """
    target = model_input.numpy_dtype
    if target is None or target.kind not in "iu" or np.can_cast(dtype, target):
        return None
    limits = np.iinfo(target)
    return int(limits.min), int(limits.max)


def check_bounds(
    model_input: ModelInput,
    bounds: tuple[int, int],
    source: Source,
    rows: npt.NDArray[Any],
    first: int,
) -> None:
    """Refuse integers that casting would wrap round.

    Args:
        model_input: The input that the rows are for.
        bounds: What `find_integer_bounds` gave for it.
        source: Where the rows come from.
        rows: The rows: an array with the batch axis first, or an array of arrays.
        first: The number of the first.

    Raises:
        InputError: One is out of bounds; it names the row.
    """
    if is_uneven(rows):
        for row in range(len(rows)):
            check_bounds(model_input, bounds, source, rows[row][np.newaxis], first + row)
        return
    if not rows.size:
        return
    low, high = bounds
    for extreme, place in ((rows.min(), rows.argmin()), (rows.max(), rows.argmax())):
        if not low <= int(extreme) <= high:
            row = first + int(np.unravel_index(place, rows.shape)[0])
            raise InputError(
                f"input '{model_input.name}' expects {model_input.dtype} ({low} to {high}), "
                f"received {extreme} in {source.names(row, row + 1)[0].decode()}"
            )


def _fits_shape(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or want == have for want, have in zip(expected, shape, strict=True)
    )


def _suggest_reshaping(source: Source, expected: tuple[int | None, ...]) -> Hint | str | None:
    """Name the usual slip that would explain the shape."""
    shape, label = source.shape, source.label
    if -1 in shape:
        return Hint("make the samples one size; images with ", Setting("resize", argument="images"))
    if all(axis is None for axis in expected):
        return None
    if source.rows is not None and _fits_shape((source.rows, *shape), expected):
        return f"{label} looks like one sample without the batch axis: give array[None]"
    if _fits_shape((*shape, 1), expected):
        return f"{label} lacks the last axis: give array[..., None]"
    if shape[-1:] == (1,) and _fits_shape(shape[:-1], expected):
        return f"{label} has a last axis too many: give array[..., 0]"
    if len(shape) > 1 and _fits_shape((*shape[1:], shape[0]), expected):
        return f"{label} has its channels first: give np.moveaxis(array, 1, -1)"
    if len(shape) > 1 and _fits_shape((shape[-1], *shape[:-1]), expected):
        return f"{label} has its channels last: give np.moveaxis(array, -1, 1)"
    known = [axis for axis in expected if axis is not None]
    if len(known) == len(expected) and math.prod(known) == math.prod(shape):
        return f"{label} has as many values a sample: array.reshape{(-1, *known)} if it is in order"
    return None


def _fits_dtype(dtype: np.dtype[Any], expected: ModelInput) -> bool:
    """Tell whether the graph can cast to the input's dtype without losing what is meant."""
    if expected.dtype == "string":
        return dtype.kind in "SUO"
    target = expected.numpy_dtype
    if target is None:  # bfloat16 and float8 aren't numpy's
        return dtype.kind in "biuf"
    takes = {"b": "biu", "i": "biu", "u": "biu", "f": "biuf", "c": "biufc"}
    return dtype.kind in takes.get(target.kind, "")


def _name_dtype(dtype: np.dtype[Any]) -> str:
    return "strings" if dtype.kind in "SUO" else dtype.name
