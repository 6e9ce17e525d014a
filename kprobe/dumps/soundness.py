"""What a file must hold for its dump to be read: of a stranger's nothing is believed unchecked."""

from __future__ import annotations

from typing import Any

import h5py

from kprobe.dumps.attributes import plain
from kprobe.ragged_layout import is_ragged

# The kinds of dtypes that are read of each sample.
_KINDS = {"sample": "S", "sample_name": "S", "reason": "S", "valid": "bui", "label": "iu"}
# Of each kind of numbers the bytes of the widest that models compute. Texts lie in groups.
_WIDEST = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}


def check_samples(file: Any, names: str, rows: int) -> None:
    """Check what is known of samples.

    Args:
        file: The file.
        names: The dataset of their names.
        rows: How many there are.

    Raises:
        ValueError: Something has another shape, or is of another kind.
    """
    for name in (names, "reason", "valid", "label"):
        known = file.get(name)
        if known is None:
            continue
        if not _holds_values(file, name) or known.shape != (rows,):
            raise ValueError(f"{name} isn't a dataset of {rows} samples")
        if known.dtype.kind not in _KINDS[name]:
            raise ValueError(f"{name} is of {known.dtype}")


def find_columns(file: Any, committed: int) -> dict[str, list[str]]:
    """Find the columns, each with its addresses.

    Values that lie in other files aren't read: what is made of a dump, such as a report, is sent to
    others, and would have in it whatever a stranger's file points to.

    Args:
        file: The file.
        committed: How many rows each of them has at least.

    Raises:
        ValueError: A column isn't what it should be.
    """
    found = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        column = file[name]
        if "addresses" not in column.attrs:
            continue
        addresses = plain(column.attrs["addresses"])
        if not isinstance(addresses, list) or not addresses:
            raise ValueError(f"the addresses of {name} aren't a list")
        if not all(isinstance(address, str) for address in addresses):
            raise ValueError(f"the addresses of {name} aren't texts")
        found[name] = addresses
        ragged = is_ragged(column)
        parts = [f"{name}/{part}" for part in column] if ragged else [name]
        if not all(_holds_values(file, part) for part in parts):
            raise ValueError(f"{name} has its values elsewhere, or none")
        if ragged:
            continue
        kind, size = column.dtype.kind, column.dtype.itemsize
        if size > _WIDEST.get(kind, 0):
            raise ValueError(f"{name} is of {column.dtype}")
        by_sample = column.attrs.get("layout") != "weight"
        if by_sample and (not column.shape or column.shape[0] < committed):
            raise ValueError(f"{name} has shape {column.shape}, and {committed} rows are committed")
    return found


def _holds_values(file: Any, name: str) -> bool:
    """Tell whether there is a dataset whose values lie in the file itself."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return False
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        return False
    return dataset.external is None and not dataset.is_virtual
