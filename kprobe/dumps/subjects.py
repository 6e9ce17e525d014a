"""What is drawn of a dump: rows of its columns, and which samples are meant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kprobe.addresses.globs import compile_glob
from kprobe.dumps.dimensions import read_axes
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import DumpError, InputError
from kprobe.naming import name_nearest
from kprobe.pictures.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from kprobe.pictures.kinds import Kind
    from kprobe.pictures.subject import Look


class Readable(Protocol):
    """What is used of an open dump: see `kprobe.dumps.reader.Dump`."""

    path: Path
    committed: int

    def __getitem__(self, key: str, /) -> Any: ...

    def read_valid(self, start: int = 0, stop: int | None = None) -> Any:
        """As `Dump.read_valid`."""

    def describe_samples(self, start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """As `Dump.describe_samples`."""


MOST_TOGETHER = 64  # samples that fit into one matrix
_TOGETHER: tuple[Kind | None, ...] = (None, "matrix", "bars")
_BLOCK = 1 << 16  # names that are read at a time


def find_rows(dump: Readable, samples: Sequence[int | str]) -> list[int]:
    """Find the rows of samples.

    Args:
        dump: An open dump.
        samples: Numbers of rows, from the end where they are below 0; or names, or patterns of
            names, where `*` stands for any text and `?` for a character.

    Raises:
        InputError: With all that aren't there, or couldn't be read.
    """
    names = ""
    if any(isinstance(sample, str) for sample in samples):
        names = dump.describe_samples()["sample"].tolist()
    rows = match_samples(samples, names, dump.committed, str(dump.path))
    faults = []
    for row in rows:
        valid = dump.read_valid(row, row + 1)
        if valid is not None and not valid[0]:
            about = dump.describe_samples(row, row + 1)
            name, reason = about["sample"][0], about["reason"][0]
            faults.append(f"{dump.path}: sample {row} ({name}) couldn't be read: {reason}")
    if faults:
        raise InputError(*faults)
    return rows


def match_samples(
    samples: Sequence[int | str], names: Sequence[str], count: int, source: str
) -> list[int]:
    """Find the rows of samples among all names.

    Args:
        samples: As for `find_rows`.
        names: The name of each row; needed where a sample is a text.
        count: How many rows there are.
        source: Whose they are, for messages.

    Raises:
        InputError: With all that aren't there.
    """
    rows: dict[int, None] = {}
    faults: list[str] = []
    for sample in samples:
        if not isinstance(sample, str):
            if -count <= sample < count:
                rows[sample % count] = None
            else:
                faults.append(
                    f"{source}: expected a sample from 0 to {count - 1}, received {sample}"
                )
            continue
        found = [row for row, name in enumerate(names) if name == sample]
        if not found:
            pattern = compile_glob(sample)
            found = [row for row, name in enumerate(names) if pattern.fullmatch(name)]
        rows |= dict.fromkeys(found)
        if not found:
            near = name_nearest(sample, names[:_BLOCK], 3)
            faults.append(f"{source}: has no sample {sample!r}" + (f"; {near}" if near else ""))
    if faults:
        raise InputError(*faults)
    return list(rows)


def find_first_rows(dump: Readable, most: int) -> list[int]:
    """Give the first rows that could be read, as many as there may be."""
    rows: list[int] = []
    for begin in range(0, dump.committed, _BLOCK):
        end = min(begin + _BLOCK, dump.committed)
        valid = dump.read_valid(begin, end)
        good = np.arange(begin, end) if valid is None else np.flatnonzero(valid) + begin
        rows += good[: most - len(rows)].tolist()
        if len(rows) == most:
            break
    return rows


def is_drawn_together(rank: int, kind: Kind | None) -> bool:
    """Tell whether several samples are drawn in one picture, as a matrix or as bars.

    Args:
        rank: How many axes a row has.
        kind: What it is to be drawn as; None for what fits.
    """
    return rank <= 1 and kind in _TOGETHER


def plan_subjects(
    dump: Readable, address: str, rows: Sequence[int] | None, kind: Kind | None
) -> list[list[int]]:
    """Tell which rows of a column are drawn, without reading them.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`.
        rows: Rows that could be read; None for the first one, of rows of numbers the first ones.
        kind: What it is to be drawn as; None for what fits.

    Returns:
        For each picture its rows; of a weight none.

    Raises:
        DumpError: There is no such column, the dump is closed, or has no samples.
        InputError: The column holds text, or nothing.
    """
    column = dump[address]
    name = str(column.attrs["addresses"][0])
    if column.attrs.get("dtype") == "string":
        raise InputError(f"{name}: expected numbers to draw, received text")
    if column.attrs.get("layout") == "weight":
        check_size(name, column.shape)
        return [[]]
    ragged = isinstance(column, RaggedRows)
    if not ragged:
        check_size(name, column.shape[1:])
    together = not ragged and is_drawn_together(column.ndim - 1, kind)
    if rows is None:
        rows = find_first_rows(dump, MOST_TOGETHER if together else 1)
    if not rows:
        raise DumpError(f"{dump.path}: expected a sample to draw, received a dump without any")
    return [list(rows)] if together else [[row] for row in rows]


def read_subject(
    dump: Readable, address: str, rows: Iterable[int], *, stacked: bool = False
) -> Subject:
    """Read what is drawn of a column: these rows, or a whole weight for none.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`.
        rows: The rows.
        stacked: Whether a row of numbers is drawn as a matrix, also where there is only one.

    Raises:
        DumpError: There is no such column, or the dump is closed.
        InputError: A row holds nothing.
    """
    column = dump[address]
    first = str(column.attrs["addresses"][0])
    about = str(column.attrs.get("layer_class", ""))
    names: Sequence[str | None]
    if isinstance(column, RaggedRows):
        names = [str(name) or None for name in column.attrs.get("axes", ())]
    else:
        names = [name for name, _ in read_axes(column)]
    samples = [(row, str(dump.describe_samples(row, row + 1)["sample"][0])) for row in rows]
    values = [np.asarray(column[row]) for row, _ in samples] or [column[()]]
    for value in values:
        check_size(first, value.shape)
    return Subject(
        address=first,
        rows=values,
        axes=names,
        samples=samples,
        about=about,
        stacked=stacked and bool(samples) and values[0].ndim == 1,
    )


def draw_column(
    dump: Readable,
    address: str,
    sample: int | str | Sequence[int | str] | None,
    look: Look,
    image: np.ndarray[Any, Any] | None = None,
) -> Figure:
    """Draw a column: see `Dump.plot`."""
    from kprobe.pictures.draw import draw, draw_together

    rows = None
    if sample is not None:
        rows = find_rows(dump, [sample] if isinstance(sample, int | str) else list(sample))
    planned = plan_subjects(dump, address, rows, look.kind)
    stacked = look.kind == "matrix"
    things = (read_subject(dump, address, own, stacked=stacked) for own in planned)
    if len(planned) == 1:
        return draw(replace(next(things), image=image), look)
    titles = [f"sample {own[0]}" for own in planned]
    return draw_together(things, titles, look, address, [dump.path.name])


def check_size(address: str, shape: Sequence[int]) -> None:
    """Refuse a tensor without a value.

    Raises:
        InputError: It has none.
    """
    if 0 in shape:
        received = "x".join(map(str, shape))
        raise InputError(
            f"{address}: expected numbers to draw, received none: its shape is {received}"
        )


def describe_column(column: Any) -> tuple[tuple[int, ...], list[str | None], bool] | None:
    """Give the shape of a column's rows, the names of their axes, and whether it is a weight.

    Returns:
        None where rows differ in shape.
    """
    if isinstance(column, RaggedRows):
        return None
    weight = column.attrs.get("layout") == "weight"
    shape = column.shape if weight else column.shape[1:]
    return tuple(shape), [name for name, _ in read_axes(column)], weight
