"""The reader of a dump: a mapping from addresses to arrays that are read when asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.closing import Closing
from kprobe.dumps.attributes import plain
from kprobe.dumps.create import FORMAT, FORMAT_VERSION
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.dumps.soundness import Soundness
from kprobe.elsewhere import check_here
from kprobe.errors import DumpError
from kprobe.hdf5 import open_afresh
from kprobe.naming import name_nearest
from kprobe.ragged_layout import is_ragged
from kprobe.tables import write_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import h5py
    import pandas
    import xarray
    from matplotlib.figure import Figure

    from kprobe.pictures.boxes import BoxFormat
    from kprobe.pictures.kinds import Kind

_SHOWN = 4  # columns in a repr


class UnknownAddressError(DumpError, KeyError):
    """An address that isn't in a dump; a KeyError too, as mappings promise."""

    def __str__(self) -> str:
        return DumpError.__str__(self)  # KeyError would show the repr


class Dump(Closing, Mapping[str, Any]):
    """An open dump: a mapping from address to array, and a context manager.

    `dump[key]` takes an address that was asked for, or else the name of a column, which is the
    alias where one was given. It returns an `h5py.Dataset` of shape (rows, ...), of which only what
    is sliced is read; row i belongs to `sample[i]`. Where rows differ in shape it is a
    `RaggedRows` instead, a sequence with an array for each row. A weight, whose attribute `layout`
    is "weight", has its own shape and no rows. Iteration gives every address once, in the order in
    which they are stored.

    In a dump that isn't complete all rows can be read, and only the first `committed` are right.

    Attributes:
        path: The file.
        attrs: What is known about the whole dump, as plain Python values.
        rows: The number of rows.
        committed: The number of rows that were safely written when the dump was opened.
        complete: Whether all rows were written and the dump was finished.
        started: When the dump was laid out, in seconds since 1970.
        finished: When it was finished, if it is complete.
        columns: The names of the columns, which are as many as there are different tensors.
    """

    def __init__(self, path: Path, file: Any, soundness: Soundness) -> None:
        self.path = path
        self._file = file
        self.attrs = {name: plain(value) for name, value in file.attrs.items()}
        soundness.check_facts("committed", "complete", "started", "finished")
        self.committed = int(file["committed"][()])
        self.complete = bool(file["complete"][()])
        self.started = float(file["started"][()])
        self.finished = float(file["finished"][()])
        # Before format 2 the scale held the names.
        self._names = "sample_name" if self.attrs["format_version"] > 1 else "sample"
        self.rows = len(file[self._names])
        if not 0 <= self.committed <= self.rows:
            raise ValueError(f"{self.committed} of {self.rows} rows are committed")
        soundness.check_samples(self._names, self.rows)
        addresses_of = soundness.find_columns(self.committed)
        self.columns = list(addresses_of)
        # A dataset's own name, an alias perhaps, counts after the addresses of all others.
        exact = {a: name for name, own in addresses_of.items() for a in own if a != name}
        self._column_of = {a: exact.get(a, name) for name, own in addresses_of.items() for a in own}

    @property
    def file(self) -> Any:
        """The open file, an `h5py.File`."""
        return self._file

    @cached_property
    def valid(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
        """Whether each sample could be read: bool array of shape (rows,); None if all had to be."""
        self._check_open()
        if "valid" not in self._file:
            return None
        valid: np.ndarray[tuple[int], np.dtype[np.bool_]] = self._read_known("valid", None)
        return valid

    def read_valid(self, start: int = 0, stop: int | None = None) -> Any:
        """Tell which committed samples could be read, as `describe_samples` does, and nothing else.

        Args:
            start: The first row.
            stop: The row behind the last; None for all that are committed.

        Returns:
            bool of shape (stop - start,); None if all had to be.

        Raises:
            DumpError: The dump is closed.
        """
        self._check_open()
        rows = slice(*slice(start, stop).indices(self.committed))
        return self._read_known("valid", rows) if "valid" in self._file else None

    def count_left_out(self) -> int | None:
        """Count the committed samples that couldn't be read; None if all had to be."""
        self._check_open()
        if "valid" not in self._file:
            return None
        # Before it is complete, a dump of unknown length may have 10^10 rows.
        return self.committed - int(np.count_nonzero(self._file["valid"][: self.committed]))

    @cached_property
    def reason(self) -> np.ndarray[tuple[int], np.dtype[np.str_]] | None:
        """Why a sample couldn't be read, "" where it was: as `valid`, of str."""
        self._check_open()
        if "reason" not in self._file:
            return None
        reason: np.ndarray[tuple[int], np.dtype[np.str_]] = self._read_known("reason", None)
        return reason

    def count_labels(self) -> dict[str, int] | None:
        """Count the committed samples of every class; None without labels."""
        self._check_open()
        if "label" not in self._file:
            return None
        classes = plain(self._file["label"].attrs["classes"])
        numbers = np.bincount(self._file["label"][: self.committed], minlength=len(classes))
        return dict(zip(classes, numbers.tolist(), strict=True))

    @cached_property
    def label(self) -> np.ndarray[tuple[int], np.dtype[np.str_]] | None:
        """The name of every row's class: str array of shape (rows,); None without labels."""
        self._check_open()
        if "label" not in self._file:
            return None
        label: np.ndarray[tuple[int], np.dtype[np.str_]] = self._read_known("label", None)
        return label

    @cached_property
    def sample(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """The identity of every row: str array of shape (rows,), read when first asked for."""
        self._check_open()
        sample: np.ndarray[tuple[int], np.dtype[np.str_]] = self._read_known("sample", None)
        return sample

    def describe_samples(self, start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """Tell what is known of committed samples.

        Args:
            start: The first row.
            stop: The row behind the last; None for all that are committed.

        Returns:
            Arrays of shape (stop - start,): "sample", the names, str; and where the dump has them,
            "label", the names of the classes, str; "valid", bool; "reason", str.

        Raises:
            DumpError: The dump is closed.
        """
        self._check_open()
        rows = slice(*slice(start, stop).indices(self.committed))
        return {
            name: self._read_known(name, rows)
            for name in ("sample", "label", "valid", "reason")
            if name == "sample" or name in self._file
        }

    def to_xarray(self, *addresses: str) -> xarray.Dataset:
        """Give committed rows as xarray's labelled arrays, whose values are read when needed.

        Args:
            addresses: Which columns, as in `dump[address]`; all of them by default, but for those
                whose rows differ in shape.

        Returns:
            A variable for each column. The dimension `sample` has the names of the samples as its
            index; `label`, `valid` and `reason` are coordinates, where the dump has them. The other
            dimensions are called after their axes as far as they are known: `height`, `width`,
            `channel`, `step`, `unit`, `head`; where sizes differ, the size stands behind it. Its
            values can be read as long as the dump is open.

        Raises:
            DumpError: There is no such column, its rows differ in shape, the dump is closed, or
                xarray isn't installed.
        """
        from kprobe.dumps.labelled import is_array, make_dataset

        columns = self._choose(addresses, is_array)
        return make_dataset(self.path, columns, self.describe_samples(), self.attrs)

    def to_pandas(self, *addresses: str) -> pandas.DataFrame:
        """Give committed rows as a table, with a row for each sample, called after it.

        Args:
            addresses: Which columns, as in `dump[address]`; by default all that have a number, or
                a row of numbers, for each sample.

        Returns:
            A table with `label`, `valid` and `reason`, where the dump has them, and behind them
            the columns: `score` for one with a number for each sample, `features[0]`,
            `features[1]` and so on for one of shape (rows, units).

        Raises:
            DumpError: There is no such column, it has another shape, the dump is closed, or pandas
                isn't installed.
        """
        from kprobe.dumps.labelled import is_table, make_table

        return make_table(self.path, self._choose(addresses, is_table), self.describe_samples())

    def plot(
        self,
        address: str,
        sample: int | str | Sequence[int | str] | None = None,
        *,
        kind: Kind | None = None,
        channels: Sequence[int | slice] | None = None,
        boxes: BoxFormat | None = None,
        image: np.ndarray[Any, Any] | None = None,
    ) -> Figure:
        """Draw what a column holds of a sample: a figure of matplotlib.

        Args:
            address: Which column, as in `dump[address]`.
            sample: The number or the name of a sample, or several of them; None for the first one,
                and of rows of numbers the first 64. Several are drawn small, on one sheet, but for
                rows of numbers, which make a matrix.
            kind: "maps", "matrix", "lines", "bars", "histogram" or "boxes"; None for what fits.
            channels: Numbers and slices of channels; None for the most active.
            boxes: For the kind "boxes", what their numbers mean, as Keras calls it: "xyxy".
            image: The image that the sample was made from, which maps and boxes are laid over:
                uint8 of shape (height, width, 1 or 3).

        Returns:
            A `matplotlib.figure.Figure`, which no window and no pyplot knows of.

        Raises:
            DumpError: There is no such column, or the dump is closed.
            InputError: There is no such sample, or the column can't be drawn as this kind.
            KprobeError: There is no matplotlib.
        """
        from kprobe.dumps.subjects import draw_column
        from kprobe.pictures.subject import Look

        look = Look(kind="boxes" if boxes else kind, channels=channels, boxes=boxes)
        return draw_column(self, address, sample, look, image)

    def _choose(
        self, addresses: Sequence[str], fits: Callable[[Any], bool]
    ) -> dict[str, h5py.Dataset | RaggedRows]:
        """Give the columns that addresses name, by the columns' names; none for all that fit."""
        if not addresses:
            self._check_open()
            columns = {name: self._open(name) for name in self.columns}
            return {name: column for name, column in columns.items() if fits(column)}
        return {self._column_of.get(address, address): self[address] for address in addresses}

    def _open(self, column: str) -> Any:
        thing = self._file[column]
        return RaggedRows(thing) if is_ragged(thing) else thing

    def _read_known(self, name: str, rows: slice | None) -> Any:
        """Read what is known of samples: all rows for None."""
        stored = self._file[self._names if name == "sample" else name]
        values = stored[... if rows is None else rows]
        if name == "label":
            return np.array(plain(stored.attrs["classes"]))[values]
        return values.astype(bool) if name == "valid" else np.char.decode(values, "utf-8")

    def __getitem__(self, key: str) -> Any:
        self._check_open()
        column = self._column_of.get(key, key)
        if column not in self.columns:
            known = dict.fromkeys([*self._column_of, *self.columns])
            hint = name_nearest(str(key), known, 3) or f"it has {', '.join(known)}"
            raise UnknownAddressError(f"{self.path}: has no address '{key}'", hint=hint)
        return self._open(column)

    def __iter__(self) -> Iterator[str]:
        return iter(self._column_of)

    def __len__(self) -> int:
        return len(self._column_of)

    def __repr__(self) -> str:
        shown = ", ".join(self.columns[:_SHOWN]) + (", …" if len(self.columns) > _SHOWN else "")
        state = "complete" if self.complete else f"{self.committed:,} committed"
        closed = "" if self._file else ", closed"
        columns = f"{len(self.columns):,} columns ({shown})" if self.columns else "no columns"
        return f"<Dump {self.path}: {columns}, {self.rows:,} rows, {state}{closed}>"

    def _repr_html_(self) -> str | None:
        """Show its columns in a notebook; as text where it is closed."""
        if not self._file:
            return None
        state = "complete" if self.complete else f"not complete: {self.committed:,} committed"
        rows = []
        for name in self.columns:
            column = self._open(name)
            ragged = isinstance(column, RaggedRows)
            sizes = ["?"] * column.shapes.shape[1] if ragged else map(str, column.shape)
            shape = "x".join([str(self.rows), *sizes] if ragged else sizes)
            attrs = column.attrs
            addresses = ", ".join(map(str, attrs["addresses"]))
            rows.append([addresses, str(attrs.get("layer_class", "")), column.dtype.name, shape])
        lines = [f"{self.rows:,} samples, {state}"]
        return write_html(str(self.path), lines, ["address", "class", "dtype", "shape"], rows)

    def close(self) -> None:
        """Close the file; its arrays can't be read any more."""
        self._file.close()

    def _check_open(self) -> None:
        if not self._file:
            raise DumpError(
                f"{self.path}: expected an open dump, received a closed one",
                hint="read within the with statement, or open it again: kprobe.open_dump(...)",
            )


def open_dump(path: str | os.PathLike[str]) -> Dump:
    """Open a dump for reading, also a `.partial` one that is unfinished or being written.

    Args:
        path: The file.

    Returns:
        The dump, to be closed, or used in a `with` statement.

    Raises:
        DumpError: It is no name, there is no such file, it isn't a dump, or it has a format newer
            than this version of kprobe reads.
    """
    try:
        check_here(os.fspath(path), DumpError)
        path = Path(path)
    except TypeError:
        raise DumpError(f"expected the name of a dump, received {path!r}") from None
    if path.is_dir():
        hint = f"`kprobe merge {path}` makes one of ranges" if path.suffix == ".dump" else None
        raise DumpError(f"{path}: expected a dump, received a directory", hint=hint)
    if not path.is_file():
        partial = path.with_name(path.name + ".partial")
        hint = f"{partial} holds what was written of it" if partial.is_file() else "check the path"
        raise DumpError(
            f"{path}: expected a dump, received a path where there is no file", hint=hint
        )
    try:
        file = open_afresh(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DumpError(
            f"{path}: expected a dump, received a file that HDF5 can't open: {reason}",
            hint="`kprobe dump` makes a dump of a model" if path.suffix == ".keras" else None,
        ) from error
    try:
        soundness = Soundness(file, path)
        _check_format(path, file.attrs)
        return Dump(path, file, soundness)
    except (LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        file.close()
        raise DumpError(f"{path}: expected a dump, received a damaged one: {error}") from error
    except BaseException:
        file.close()
        raise


def _check_format(path: Path, attrs: Any) -> None:
    if (found := attrs.get("format")) != FORMAT:
        own = isinstance(found, str) and found.startswith("kprobe ")
        received = f"a file of {found}" if own else "an HDF5 file of another tool"
        raise DumpError(f"{path}: expected a dump, received {received}")
    version = int(attrs["format_version"])
    if version > FORMAT_VERSION:
        raise DumpError(
            f"{path}: expected format {FORMAT_VERSION} at most, received format {version}",
            hint="it needs a newer version of kprobe",
        )
