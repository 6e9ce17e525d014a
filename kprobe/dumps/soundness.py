"""What a file must hold for its dump to be read: of a stranger's nothing is believed unchecked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5, h5d, h5g, h5l, h5o, h5p

from kprobe.dumps.attributes import plain
from kprobe.gate.files.hdf5_blocks import check_blocks
from kprobe.gate.files.hdf5_datasets import (
    DUMP_FILTERS,
    BrokenRuleError,
    check_unpacked,
    measure_dataset,
)
from kprobe.gate.files.hdf5_texts import AttributeSizes
from kprobe.hdf5 import open_afresh
from kprobe.ragged_layout import is_ragged

if TYPE_CHECKING:
    import os

    from kprobe.gate.files.hdf5_datasets import StoredDataset

# The kinds of dtypes that are read of each sample.
_KINDS = {"sample": "S", "sample_name": "S", "reason": "S", "valid": "bui", "label": "iu"}


class Soundness:
    """What is checked of an open file, before it is read.

    Args:
        file: The file, an `h5py.File`.
        path: Its path.

    Raises:
        ValueError: What is said of the whole file isn't stored as it should be, or takes too much.
    """

    def __init__(self, file: Any, path: str | os.PathLike[str]) -> None:
        self._file = file
        self._attributes = AttributeSizes(file, path)
        self._attributes.check(file.id)

    def check_facts(self, *names: str) -> None:
        """Check single numbers that are there.

        Raises:
            ValueError: One isn't, or isn't a single number.
        """
        for name in names:
            known = self._measure_there(name)
            if known.shape or np.dtype(known.dtype).kind not in "biuf":
                raise ValueError(f"{name} isn't a number")

    def check_samples(self, names: str, rows: int) -> None:
        """Check what is known of samples.

        Args:
            names: The dataset of their names.
            rows: How many there are.

        Raises:
            ValueError: Something has another shape, is of another kind, or isn't in the file.
        """
        for name in (names, "reason", "valid", "label"):
            known = self.measure(name)
            if known is None:
                continue
            if known.shape != (rows,):
                raise ValueError(f"{name} isn't a dataset of {rows} samples")
            if known.dtype == "str" or np.dtype(known.dtype).kind not in _KINDS[name]:
                raise ValueError(f"{name} is of {known.dtype}")

    def find_columns(self, committed: int) -> dict[str, list[str]]:
        """Find the columns, each with its addresses.

        Values that lie in other files aren't read: what is made of a dump, such as a report, is
        sent to others, and would have in it whatever a stranger's file points to.

        Args:
            committed: How many rows each of them has at least.

        Raises:
            ValueError: A column isn't what it should be.
        """
        found = {}
        for name in _list_objects(self._file["/"].id):
            column = self._file[name]
            if b"addresses" not in self._attributes.check(column.id):
                continue
            addresses = plain(column.attrs["addresses"])
            if not isinstance(addresses, list) or not addresses:
                raise ValueError(f"the addresses of {name} aren't a list")
            if not all(isinstance(address, str) for address in addresses):
                raise ValueError(f"the addresses of {name} aren't texts")
            found[name] = addresses
            if is_ragged(column):
                for part in ("values", "offsets", "shapes"):
                    self._measure_there(f"{name}/{part}")
                continue
            by_sample = column.attrs.get("layout") != "weight"
            self._check_column(column.id, name, committed if by_sample else None)
        return found

    def _check_column(self, dataset: Any, name: str, committed: int | None) -> None:
        column = self._measure_open(dataset, name)
        if column is None:
            raise ValueError(f"{name} is neither values nor rows of several shapes")
        if column.dtype == "str" or column.dtype[0] in "SV":
            raise ValueError(f"{name} is of {column.dtype}")
        if committed is not None and (not column.shape or column.shape[0] < committed):
            raise ValueError(f"{name} has shape {column.shape}, and {committed} rows are committed")

    def measure(self, path: str) -> StoredDataset | None:
        """Measure a dataset that may be read at once; None where there is none.

        Raises:
            ValueError: What is there is something else, or isn't in the file.
        """
        parent, _, last = path.rpartition("/")
        group = h5g.open(self._file.id, parent.encode()) if parent else self._file.id
        if not group.links.exists(last.encode()):
            return None
        measured = self._measure_there(path)
        check_unpacked(path, measured.unpacked, measured.stored)
        return measured

    def _measure_there(self, path: str) -> StoredDataset:
        measured = self._measure(path)
        if measured is None:
            raise ValueError(f"{path} has its values elsewhere, or none")
        return measured

    def _measure(self, path: str) -> StoredDataset | None:
        """Measure a dataset; None where there is none."""
        place = path.encode()
        parent, _, last = place.rpartition(b"/")
        group = h5g.open(self._file.id, parent) if parent else self._file.id
        if not group.links.exists(last) or group.links.get_info(last).type != h5l.TYPE_HARD:
            return None
        return self._measure_open(h5o.open(group, last), path)

    def _measure_open(self, dataset: Any, path: str) -> StoredDataset | None:
        if not isinstance(dataset, h5d.DatasetID):
            return None
        messages = h5o.get_info(dataset).hdr.mesg.present
        try:
            measured = measure_dataset(dataset, path, messages, DUMP_FILTERS)
            if measured.block:
                check_blocks(dataset, measured.block, None)
        except BrokenRuleError as error:
            raise ValueError(f"{path} {error}") from None
        check_unpacked(path, measured.block, measured.stored)
        return measured


def open_sound(path: str | os.PathLike[str]) -> Any:
    """Open an HDF5 file whose own attributes can be read, whoever wrote it.

    Args:
        path: The file.

    Returns:
        As `kprobe.hdf5.open_afresh`.

    Raises:
        OSError: As for `open_afresh`.
        OpenForWritingError: As for `open_afresh`.
        ValueError: They are damaged, or larger than those of any dump.
    """
    file = open_afresh(path)
    try:
        Soundness(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _list_objects(group: Any) -> list[str]:
    """List what lies in a group itself, in the order in which it was put there."""
    order = group.get_create_plist().get_link_creation_order()
    tracked = bool(order & h5p.CRT_ORDER_INDEXED)
    found: list[tuple[int, str]] = []
    outside: list[str] = []

    def note(name: bytes, info: Any) -> None:
        if info.type == h5l.TYPE_HARD:
            found.append((info.corder if tracked else 0, name.decode()))
        elif info.type == h5l.TYPE_EXTERNAL:
            outside.append(name.decode())

    # In the order in which they lie: sorting those of a damaged group ends the process.
    group.links.iterate(note, info=True, order=h5.ITER_NATIVE)
    if outside:
        raise ValueError(f"{outside[0]} is a link to another file")
    return [name for _, name in sorted(found)]
