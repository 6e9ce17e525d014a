"""The sides of a comparison: what each has, and the rows of a dump."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.addresses.globs import compile_glob
from kprobe.addresses.grammar import split_known
from kprobe.analysis.comparison.records import Described
from kprobe.dumps.attributes import read_json
from kprobe.dumps.dimensions import read_labels
from kprobe.dumps.graph import read_graph
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import AddressError
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from kprobe.dumps.reader import Dump


@dataclass(frozen=True)
class Tensor:
    """A tensor of a side.

    Attributes:
        described: What it is matched by.
        column: What the side itself calls it.
        row_bytes: The bytes of one sample; 0 where samples differ.
    """

    described: Described
    column: str
    row_bytes: int


class Side(ABC):
    """One side of a comparison.

    Attributes:
        name: What messages call it.
        tensors: What can be compared of it, in the order in which it is asked for.
        left_out: What can't be compared, each with the reason.
        notes: What should be said of it, a line each.
    """

    name: str
    tensors: Sequence[Tensor]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    @abstractmethod
    def precision(self) -> str:
        """What it is computed in, "float32" or "bfloat16", whatever the dtypes of its tensors."""

    @abstractmethod
    def names(self) -> npt.NDArray[Any]:
        """Give each row's identity: str, of shape (rows,)."""

    @abstractmethod
    def read_first(
        self, rows: npt.NDArray[np.intp], addresses: Sequence[str]
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Give some of the first rows of tensors, by their addresses."""

    def find_column(self, described: Described) -> str:
        """Give what the side itself calls a tensor."""
        return next(
            tensor.column
            for tensor in self.tensors
            if tensor.described.address == described.address
        )


class DumpSide(Side):
    """A dump, as far as it is committed."""

    def __init__(self, dump: Dump, *, with_dump: bool = False) -> None:
        """Look at what it holds.

        Args:
            dump: An open dump.
            with_dump: Whether it is compared with another one: then all columns can be.
        """
        self.dump = dump
        self.name = str(dump.path)
        self.rows = dump.committed
        self.notes = [] if dump.complete else [_say_unfinished(dump)]
        reasons = {} if with_dump else {name: _find_reason(dump[name]) for name in dump.columns}
        self.left_out = [
            f"{dump.path}: {name}: {reason}" for name, reason in reasons.items() if reason
        ]
        kept = [name for name in dump.columns if not reasons.get(name)]
        above = _read_upstream(dump)
        self.tensors = [
            Tensor(_describe_column(dump, name, place, above), name, _count_row_bytes(dump[name]))
            for place, name in enumerate(_sort_as_computed(dump, kept))
        ]

    @property
    def precision(self) -> str:
        """What it says it was computed in."""
        options = read_json(self.dump.attrs, "options", dict)
        return str(options.get("precision", "float32"))

    def names(self) -> npt.NDArray[Any]:
        """Give the identity of each committed row."""
        names: npt.NDArray[Any] = self.dump.describe_samples()["sample"]
        return names

    def choose(self, layers: Sequence[str]) -> None:
        """Keep the tensors that addresses or patterns name.

        Raises:
            AddressError: One names nothing; all are reported.
        """
        chosen: dict[str, Tensor] = {}
        faults = []
        known = {n for t in self.tensors for n in (t.described.address, *t.described.also)}
        # One with a comma in it was taken for several.
        for layer in split_known(",".join(map(str, layers)), known):
            found = {t.column: t for t in self.tensors if _is_named(t, layer)}
            chosen |= found
            if not found:
                faults.append(f"{self.name}: has no address '{layer}'")
        if faults:
            raise AddressError(*faults, hint=f"it has {list_names(self._list_addresses())}")
        self.tensors = [tensor for tensor in self.tensors if tensor.column in chosen]

    def _list_addresses(self) -> list[str]:
        return [tensor.described.address for tensor in self.tensors]

    def find_valid(self) -> npt.NDArray[np.bool_]:
        """Tell of each committed row whether its sample could be read."""
        known = self.dump.valid
        return np.ones(self.rows, bool) if known is None else known[: self.rows]

    def read_first(
        self, rows: npt.NDArray[np.intp], addresses: Sequence[str]
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Read rows of columns."""
        columns = {tensor.described.address: tensor.column for tensor in self.tensors}
        return {address: self.read(columns[address], rows) for address in addresses}

    def read(self, column: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Read some rows of a column, in the order given."""
        dataset = self.dump[column]
        if not len(rows):
            return np.empty((0, *dataset.shape[1:]), dataset.dtype)
        first, last = int(rows[0]), int(rows[-1])
        if last - first + 1 == len(rows) and (np.diff(rows) == 1).all():
            values: npt.NDArray[Any] = dataset[first : last + 1]
            return values
        # HDF5 wants them in order, each once.
        order, back = np.unique(rows, return_inverse=True)
        chosen: npt.NDArray[Any] = dataset[order][back]
        return chosen


def find_precision(*sides: Side) -> str:
    """Give the lowest precision that one of several sides was computed in, as far as is known."""
    return "bfloat16" if any(side.precision == "bfloat16" for side in sides) else "float32"


def _is_named(tensor: Tensor, layer: str) -> bool:
    fits = compile_glob(layer).fullmatch
    names = (tensor.described.address, *tensor.described.also)
    return any(layer == name or fits(name) for name in names)


def _say_unfinished(dump: Dump) -> str:
    return f"{dump.path} isn't finished: its first {dump.committed:,} samples are compared"


def _find_reason(dataset: Any) -> str | None:
    """Tell why a column can't be compared; None if it can."""
    layout, dtype = dataset.attrs.get("layout"), dataset.attrs.get("dtype")
    if dtype == "string":
        return "texts aren't compared"
    if layout == "weight":
        return "weights aren't compared"
    return "samples differ in shape, which isn't compared" if layout == "ragged" else None


def _sort_as_computed(dump: Dump, names: Sequence[str]) -> list[str]:
    """Sort columns as the model computes them, where the dump tells."""
    order = {name: place for place, name in enumerate(dump.attrs.get("computed", ()))}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def _read_upstream(dump: Dump) -> dict[str, tuple[str, ...] | None]:
    """Give by address what each tensor is computed from directly, as far as the dump tells."""
    nodes = read_graph(dump.attrs)
    return {
        node.address: None
        if node.upstream is None
        else tuple(nodes[place].address for place in node.upstream)
        for node in nodes
    }


def _describe_column(
    dump: Dump, name: str, place: int, upstream: Mapping[str, tuple[str, ...] | None]
) -> Described:
    column = dump[name]
    addresses = [str(address) for address in column.attrs["addresses"]]
    weight = column.attrs.get("layout") == "weight"
    dtype = str(column.attrs.get("dtype", column.dtype.name))
    if isinstance(column, RaggedRows):
        rank, inner = column.shapes.shape[1], column.values.shape[1:]
        shape = (None, *inner) if len(inner) == rank - 1 else (None,) * rank
        labels = [str(label) or None for label in column.attrs.get("axes", ())]
    else:
        shape = tuple(column.shape if weight else column.shape[1:])
        labels = read_labels(column)
        labels = labels[0 if weight else 1 :]
    return Described(
        address=addresses[0],
        shape=None if dtype == "string" else shape,
        dtype=dtype,
        order=place,
        class_name=column.attrs.get("layer_class") or None,
        also=tuple(dict.fromkeys([*addresses[1:], *([name] if name not in addresses else [])])),
        axes=tuple(labels) if any(labels) else None,
        inputs=upstream.get(addresses[0]),
        weight=weight,
    )


def _count_row_bytes(column: Any) -> int:
    """Count the bytes of a row; 0 where rows differ, or there are none."""
    if isinstance(column, RaggedRows) or column.attrs.get("layout") == "weight":
        return 0
    return int(prod(column.shape[1:]) * column.dtype.itemsize)
