"""How alike the layers of two dumps represent the same samples."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.addresses.globs import compile_glob
from kprobe.addresses.grammar import split_known
from kprobe.analysis.comparison.joining import join_rows
from kprobe.analysis.patterns import LayerRows, read_patterns
from kprobe.analysis.representations import LEAST_SAMPLES, Alikeness
from kprobe.dumps.partial import FileKind, check_output, write_whole
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError, InputError
from kprobe.naming import list_names
from kprobe.tables import align

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import pandas

    from kprobe.analysis.representations import Method
    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[Any]]

METHODS = ("cka", "rsa")
BATCH_SIZE = 256
# Columns that a terminal has room for.
_MOST = 12
_KIND = FileKind("kprobe similarity", "a matrix of similarities by kprobe")


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike each layer of A is to each of B.

    Attributes:
        method: "cka" or "rsa".
        a: The file of A.
        b: The file of B.
        layers_a: A's layers, in the order in which they are stored.
        layers_b: B's.
        values: The similarities, float64 of shape (layers of A, layers of B): 1 is the same up to
            rotation and scale, 0 no more than chance. NaN where a layer is constant, or holds NaN
            or infinity.
        samples: How many samples were compared.
        batches: In how many batches.
        notes: What should be said beside it, a line each.
    """

    method: Method
    a: str
    b: str
    layers_a: tuple[str, ...]
    layers_b: tuple[str, ...]
    values: Array
    samples: int
    batches: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write the table."""
        return "\n".join([self.title, *align(*self.tabulate())])

    def __repr__(self) -> str:
        """Say in a line what was compared."""
        layers = f"{len(self.layers_a):,} by {len(self.layers_b):,} layers"
        return f"<Similarity, {self.title}: {layers}>"

    @property
    def title(self) -> str:
        """What was compared, in a line."""
        samples = f"{self.samples:,} sample{'' if self.samples == 1 else 's'}"
        return f"{self.method.upper()} over {samples}: {self.a} by {self.b}"

    def tabulate(self) -> tuple[list[str], list[list[str]], set[str]]:
        """Give the titles of a table, its rows, and which titles are those of numbers.

        It has a row for each layer of A and a column for each of B; where those are too many, the
        one that is nearest to each of A's.
        """
        values = zip(self.layers_a, self.values.tolist(), strict=True)
        if len(self.layers_b) <= _MOST:
            rows = [[layer, *map(_write, own)] for layer, own in values]
            return ["", *self.layers_b], rows, set(self.layers_b)
        rows = []
        for layer, own in values:
            known = [place for place, value in enumerate(own) if not math.isnan(value)]
            nearest = max(known, key=own.__getitem__, default=None)
            name = "" if nearest is None else self.layers_b[nearest]
            rows.append([layer, name, _write(math.nan if nearest is None else own[nearest])])
        name = self.method.upper()
        return ["layer", "nearest", name], rows, {name}

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values; null for NaN."""
        values = self.values.tolist()
        return {
            "method": self.method,
            "a": self.a,
            "b": self.b,
            "samples": self.samples,
            "batches": self.batches,
            "layers_a": list(self.layers_a),
            "layers_b": list(self.layers_b),
            "similarity": [[None if math.isnan(v) else v for v in row] for row in values],
            "notes": list(self.notes),
        }

    def to_pandas(self) -> pandas.DataFrame:
        """Give it as a table: A's layers are the rows, B's the columns.

        Raises:
            DumpError: pandas isn't installed.
        """
        try:
            import pandas
        except ImportError:
            raise DumpError("to_pandas needs pandas", hint="pip install 'kprobe[pandas]'") from None
        return pandas.DataFrame(self.values, list(self.layers_a), list(self.layers_b))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to HDF5: `similarity`, and `a` and `b`, the layers.

        Raises:
            DumpError: It can't be written, or another kind of file is there.
        """
        import h5py

        check_place(path)
        # In memory first: where the disk is full, HDF5 fails in many ways.
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            file.attrs["format"] = _KIND.format
            file["similarity"] = self.values
            file["a"], file["b"] = list(self.layers_a), list(self.layers_b)
            file.attrs.update(method=self.method, samples=self.samples, batches=self.batches)
            file.attrs.update(file_a=self.a, file_b=self.b)
        write_whole(Path(path), content.getvalue())


def _write(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.3f}"


def check_place(path: str | os.PathLike[str]) -> None:
    """Check that similarities may be written there: in place of others, and of nothing else.

    Raises:
        DumpError: They may not.
    """
    check_output(path, overwrite=True, kind=_KIND)


def measure_similarity(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    layers: Sequence[str] = (),
    *,
    method: Method = "cka",
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int], object] | None = None,
) -> Similarity:
    """Compare the layers of two dumps, by the samples that both have.

    Memory doesn't grow with the dumps: 0.2 GB, and 16 bytes for each layer and each two samples of
    a batch. Samples are dealt to batches by chance, always in the same way.

    Args:
        a: A dump.
        b: Another one, or the same.
        layers: Addresses or globs, with commas between several in a text; all layers by default.
            Each must be in A or in B.
        method: "cka", linear centred kernel alignment, unbiased; or "rsa", representational
            similarity analysis.
        batch_size: How many samples are compared with each other.
        progress: Called with the number of samples that were read since the last call.

    Raises:
        DumpError: A file is no dump, or can't be read.
        InputError: A layer isn't there; samples are on one side only; there are fewer than 4; or a
            setting can't be.
    """
    _check(method, batch_size)
    with contextlib.ExitStack() as opened:
        dumps = [opened.enter_context(open_dump(path)) for path in (a, b)]
        rows, notes = _join(dumps)
        columns = _choose(dumps, layers, notes)
        batches = list(_deal(len(rows[0]), -(-len(rows[0]) // batch_size)))
        alike = Alikeness(method, len(columns[0]), len(columns[1]))
        read = _list_read(dumps, rows, columns)
        with contextlib.closing(read_patterns(read, batches)) as patterns:
            for batch, found in zip(batches, patterns, strict=True):
                alike.add(found[: len(columns[0])], found[-len(columns[1]) :])
                if progress is not None:
                    progress(len(batch))
    values = alike.finish()
    notes += _say_void(columns, values)
    return Similarity(
        method,
        str(dumps[0].path),
        str(dumps[1].path),
        tuple(columns[0]),
        tuple(columns[1]),
        values,
        len(rows[0]),
        len(batches),
        tuple(notes),
    )


def _check(method: str, batch_size: int) -> None:
    if method not in METHODS:
        raise InputError(f"expected the method {' or '.join(METHODS)}, received {method!r}")
    if batch_size < LEAST_SAMPLES:
        raise InputError(
            f"expected {LEAST_SAMPLES} samples in a batch or more, received {batch_size}"
        )


def _say_void(columns: Sequence[Sequence[str]], values: Array) -> list[str]:
    """Say which layers are like nothing."""
    void = np.isnan(values)
    names = [
        *np.array(columns[0])[void.all(axis=1)].tolist(),
        *np.array(columns[1])[void.all(axis=0)].tolist(),
    ]
    if not names:
        return []
    shown = list_names(dict.fromkeys(names))
    return [f"constant, or with NaN or infinity, and so like nothing: {shown}"]


def _list_read(
    dumps: Sequence[Dump], rows: Sequence[Array], columns: Sequence[list[str]]
) -> list[tuple[LayerRows, Array]]:
    """Give what is read: a dump that is compared with itself is read once."""
    sides = 1 if dumps[0].path.samefile(dumps[1].path) else 2
    return [
        (LayerRows(dump, name), own)
        for dump, own, names in zip(dumps[:sides], rows, columns, strict=False)
        for name in names
    ]


def _join(dumps: Sequence[Dump]) -> tuple[list[Array], list[str]]:
    """Give the rows of the samples that both have, and what should be said of it."""
    known = [dump.describe_samples() for dump in dumps]
    names = [own["sample"] for own in known]
    rows: list[Array] = [np.arange(len(own)) for own in names]
    notes = []
    for own, dump in enumerate(dumps):
        other = 1 - own
        if not dump.complete:
            notes.append(f"{dump.path} isn't finished: its first {dump.committed:,} samples count")
            there = np.isin(names[other], names[own])
            names[other], rows[other] = names[other][there], rows[other][there]
    joined = join_rows(names[0], names[1], str(dumps[0].path), str(dumps[1].path))
    rows = [every[chosen] for every, chosen in zip(rows, joined, strict=True)]
    good = np.ones(len(rows[0]), bool)
    for about, chosen in zip(known, rows, strict=True):
        good &= about["valid"][chosen] if "valid" in about else True
    if np.count_nonzero(good) < LEAST_SAMPLES:
        raise InputError(
            f"expected {LEAST_SAMPLES} samples or more that both have, received "
            f"{np.count_nonzero(good)}"
        )
    return [chosen[good] for chosen in rows], notes


def _choose(dumps: Sequence[Dump], layers: Sequence[str], notes: list[str]) -> list[list[str]]:
    """Give the columns of both that are compared."""
    every = {address for dump in dumps for address in [*dump, *dump.columns]}
    layers = [part for text in layers for part in split_known(text, every)]
    columns: list[list[str]] = []
    fitted: set[str] = set()
    for dump in dumps:
        kept = []
        for name in dump.columns:
            column = dump[name]
            addresses = {name, *map(str, column.attrs["addresses"])}
            fitting = {
                text
                for text in layers
                if text in addresses or any(map(compile_glob(text).fullmatch, addresses))
            }
            fitted |= fitting
            if layers and not fitting:
                continue
            if reason := _find_reason(column):
                notes.append(f"{dump.path}: {name} is left out: {reason}")
            else:
                kept.append(name)
        columns.append(kept)
    missing = [text for text in layers if text not in fitted]
    if missing:
        known = dict.fromkeys(address for dump in dumps for address in dump)
        raise InputError(
            *(f"neither dump has the address '{text}'" for text in missing),
            hint=f"they have {list_names(known)}",
        )
    for dump, kept in zip(dumps, columns, strict=True):
        if not kept:
            raise InputError(f"{dump.path}: expected layers to compare, received none")
    return columns


def _find_reason(column: Any) -> str | None:
    """Tell why a column can't be compared; None if it can."""
    if isinstance(column, RaggedRows):
        return "its samples differ in shape"
    if column.attrs.get("layout") == "weight":
        return "it is a weight"
    return None if column.dtype.kind in "fiub" else f"its values are {column.dtype}"


def _deal(samples: int, batches: int) -> Iterator[Array]:
    """Deal samples to batches of nearly one size, each in the order in which they are stored.

    Dumps are often sorted by class, and a batch must be a sample of them all.
    """
    order = np.arange(samples)
    if batches > 1:
        np.random.default_rng(0).shuffle(order)
    for part in np.array_split(order, batches):
        yield np.sort(part)
