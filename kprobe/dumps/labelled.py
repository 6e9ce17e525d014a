"""The columns of a dump as xarray's labelled arrays, and as a table of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.dumps.attributes import plain
from kprobe.dumps.dimensions import AxisNames, read_axes
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas
    import xarray

# Attributes of HDF5 and netCDF that say what the dimensions and coordinates of an array are.
_OF_THE_FILE = ("DIMENSION_LIST", "DIMENSION_LABELS", "coordinates", "_Encoding")


def is_array(column: Any) -> bool:
    """Tell whether all rows of a column have one shape."""
    return not isinstance(column, RaggedRows)


def is_table(column: Any) -> bool:
    """Tell whether a column has a number, or a row of numbers, for each sample."""
    return is_array(column) and column.ndim - len(read_axes(column)) == 1 and column.ndim <= 2


def make_dataset(
    path: Path, columns: Mapping[str, Any], known: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xarray.Dataset:
    """Make labelled arrays of columns, which read their values when they are needed.

    Args:
        path: The dump, for messages.
        columns: The columns of an open dump, by their names.
        known: What is known of the samples: arrays of shape (rows,), "sample" among them.
        attrs: What is said of the whole.

    Raises:
        DumpError: The rows of a column differ in shape, or xarray isn't installed.
    """
    try:
        import xarray

        from kprobe.dumps.lazy_rows import read_lazily
    except ImportError as error:
        raise _missing("xarray") from error
    ragged = [name for name, column in columns.items() if not is_array(column)]
    if ragged:
        raise DumpError(
            *(
                f"{path}: {name}: expected rows of one shape, received some that differ in shape"
                for name in ragged
            ),
            hint="read its rows one by one: dump[address][row]",
        )
    axes = {name: read_axes(column) for name, column in columns.items()}
    names = AxisNames(axes.values(), {*columns, *known})
    variables = {}
    for name, column in columns.items():
        by_sample = column.ndim > len(axes[name])
        dimensions = [*(["sample"] if by_sample else []), *names.choose(axes[name])]
        values = read_lazily(column, len(known["sample"]) if by_sample else None)
        said = {key: plain(v) for key, v in column.attrs.items() if key not in _OF_THE_FILE}
        variables[name] = xarray.Variable(dimensions, values, said)
    coordinates = {name: ("sample", values) for name, values in known.items()}
    return xarray.Dataset(variables, coordinates, dict(attrs))


def make_table(
    path: Path, columns: Mapping[str, Any], known: Mapping[str, Any]
) -> pandas.DataFrame:
    """Make a table of columns.

    Args:
        path: The dump, for messages.
        columns: The columns of an open dump, by their names.
        known: What is known of the samples: arrays of shape (rows,), "sample" among them.

    Raises:
        DumpError: A column is no table, or pandas isn't installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise _missing("pandas") from error
    faults = [
        f"{path}: {name}: expected a number or a row of numbers for each sample, received "
        + (f"the shape {column.shape}" if is_array(column) else "rows of different shapes")
        for name, column in columns.items()
        if not is_table(column)
    ]
    if faults:
        raise DumpError(*faults, hint="take arrays of more axes from to_xarray()")
    index = pandas.Index(known["sample"], name="sample")
    parts = [pandas.DataFrame({k: v for k, v in known.items() if k != "sample"}, index)]
    for name, column in columns.items():
        values = column[: len(index)]
        titles = [name] if values.ndim == 1 else [f"{name}[{i}]" for i in range(values.shape[1])]
        parts.append(pandas.DataFrame(values.reshape(len(index), -1), index, titles))
    return pandas.concat(parts, axis=1)


def _missing(package: str) -> DumpError:
    return DumpError(f"to_{package} needs {package}", hint=f"pip install 'kprobe[{package}]'")
