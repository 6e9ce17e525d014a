"""The statistics of a dump, or those that a file of statistics holds; without TensorFlow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.addresses.globs import compile_glob
from kprobe.addresses.grammar import split_known
from kprobe.analysis.statistics.stream import list_countable, read_statistics
from kprobe.dumps.attributes import is_open_ended
from kprobe.dumps.files.place import refuse_read
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.partial import check_output, list_places
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError, merge_errors
from kprobe.naming import list_names, name_nearest
from kprobe.pipeline.running.progress import Progress
from kprobe.pipeline.statistics.gathered import Gathered, find_named_rows, name_rows
from kprobe.pipeline.statistics.stored import (
    STATISTICS,
    read_gathered,
    read_kind,
    save_gathered,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kprobe.dumps.reader import Dump


def gather_file(
    path: str | os.PathLike[str],
    addresses: Iterable[str] = (),
    *,
    by_sample: bool = False,
    threads: int | None = None,
    output: OutputSpec | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Gathered:
    """Gather the statistics of a dump, or take those that a file of statistics holds.

    Args:
        path: The file.
        addresses: Which tensors: addresses, or the names of columns, with commas between several in
            a text; `*` stands for any text and `?` for a character. All by default.
        by_sample: Whether each sample is told of by itself, too.
        threads: How many threads read a dump; by default as many as there are cores.
        output: The file to keep them in; None for none.
        progress: Called with how far it is.

    Raises:
        DumpError: There is no such file, it is neither, has a format newer than this version of
            kprobe reads, or no such address; it can't be read, or is the output.
    """
    texts = list(addresses)
    if output is not None:
        refuse_read(list_places(output.path), [path])
    if read_kind(path) == STATISTICS.format:
        gathered = _choose_kept(path, texts)
    else:
        with open_dump(path) as dump:
            try:
                gathered = gather_dump(
                    dump, texts, by_sample=by_sample, threads=threads, progress=progress
                )
            except OSError as error:
                raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    if output is not None:
        save_gathered(gathered, output)
    return gathered


def choose_columns(dump: Dump, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose columns of a dump.

    Args:
        dump: An open dump.
        texts: As the addresses of `gather_file`, one in each.

    Returns:
        Their names in the order in which the model computes them, weights last; and those that
        are weights.

    Raises:
        DumpError: With all texts that name nothing.
    """
    # An address names its column, and so does the column's own name, where that is no address.
    columns = {name: name for name in dump.columns} | {
        address: name for name in dump.columns for address in dump[name].attrs["addresses"]
    }
    chosen = _choose(str(dump.path), texts, columns)
    weights = [name for name in chosen if dump[name].attrs.get("layout") == "weight"]
    computed = [name for name in dump.attrs.get("computed", ()) if name in chosen]
    others = [name for name in chosen if name not in weights]
    return [*dict.fromkeys([*computed, *others, *weights])], weights


def take_output(path: str | os.PathLike[str] | None, **settings: Any) -> OutputSpec | None:
    """Take the file that statistics are to be kept in, before anything is computed for it.

    Args:
        path: The file; None for none.
        **settings: As `OutputSpec` has them.

    Raises:
        DumpError: It can't have this name, or something is there that mustn't be replaced.
    """
    if path is None:
        return None
    output = OutputSpec(path=Path(path), **settings)
    check_output(output.path, overwrite=output.overwrite, resume=output.resume, kind=STATISTICS)
    return output


def list_addresses(path: str | os.PathLike[str]) -> list[str]:
    """List what `gather_file` takes of a file, in the order in which it is stored.

    Raises:
        DumpError: As for `gather_file`.
    """
    if read_kind(path) == STATISTICS.format:
        known: list[str] = []

        def choose(addresses: Sequence[str]) -> Sequence[str]:
            known.extend(addresses)
            return ()

        read_gathered(path, choose)
        return known
    with open_dump(path) as dump:
        return list(dump)


def _choose_kept(path: str | os.PathLike[str], texts: Sequence[str]) -> Gathered:
    def choose(known: Sequence[str]) -> list[str]:
        return _choose(str(path), texts, {address: address for address in known})

    return read_gathered(path, choose)


def gather_dump(
    dump: Dump,
    texts: Sequence[str],
    *,
    by_sample: bool = False,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Gathered:
    """Gather the statistics of an open dump.

    Args:
        dump: The dump.
        texts: As for `choose_columns`.
        by_sample: As for `gather_file`.
        threads: As for `gather_file`.
        progress: As for `gather_file`.

    Raises:
        DumpError: As for `gather_file`.
        OSError: The disk can't be read.
    """
    countable, others = list_countable(dump)
    first = {name: dump[name].attrs["addresses"][0] for name in dump.columns}
    order, weights = choose_columns(dump, texts)
    read = [name for name in order if name in countable]
    tell = _make_teller(dump, read, progress)
    found = read_statistics(dump, read, by_sample=by_sample, threads=threads, progress=tell)
    rows = find_named_rows(found[name] for name in read if name not in weights)
    return Gathered(
        source=str(dump.path),
        statistics={first[name]: found[name] for name in read},
        weights=[first[name] for name in weights],
        rows=dump.committed,
        total=_find_total(dump),
        left_out=dump.count_left_out() or 0,
        uncounted=[f"{first[name]} holds no numbers" for name in order if name in others],
        names=name_rows(rows, lambda a, b: dump.describe_samples(a, b)["sample"].tolist()),
        attrs={name: value for name, value in dump.attrs.items() if not name.startswith("format")},
    )


def _find_total(dump: Dump) -> int | None:
    """Give how many samples there are to be; None where nobody knows."""
    if dump.complete:
        return dump.rows
    # Such a dump has as many rows as a file has room for.
    return None if is_open_ended(dump.attrs) else dump.rows


def _choose(path: str, texts: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Give what texts name, each once: all for none.

    Args:
        path: The file, for messages.
        texts: Names, or patterns of them, with commas between several.
        known: By each name what it stands for.

    Raises:
        DumpError: With all texts that name nothing.
    """
    chosen: dict[str, None] = {} if texts else dict.fromkeys(known.values())
    errors: list[DumpError] = []
    for text in [part for argument in texts for part in split_known(argument, known)]:
        if text in known:
            chosen[known[text]] = None
            continue
        pattern = compile_glob(text)
        found = [known[name] for name in known if pattern.fullmatch(name)]
        if not found:
            hint = name_nearest(text, known, 3) or f"it has {list_names(known)}"
            errors.append(DumpError(f"{path}: has no address '{text}'", hint=hint))
        chosen |= dict.fromkeys(found)
    if errors:
        raise merge_errors(errors)
    return list(chosen)


def _make_teller(
    dump: Dump, names: Sequence[str], progress: Callable[[Progress], None] | None
) -> Callable[[int], None] | None:
    """Make what tells how far it is, given the bytes that were gone through since the last call."""
    if progress is None:
        return None
    began, done = time.monotonic(), 0
    rows, all_bytes = dump.committed, max(1, sum(_count_bytes(dump, name) for name in names))

    def tell(size: int) -> None:
        nonlocal done
        done += size
        progress(
            Progress(
                rows=min(rows, rows * done // all_bytes),
                total=rows,
                resumed=0,
                bytes=done,
                began=began,
                read_ahead=0,
                to_write=0,
                bottleneck="reading",
            )
        )

    return tell


def _count_bytes(dump: Dump, name: str) -> int:
    column = dump[name]
    if isinstance(column, RaggedRows):
        return column.count_bytes(dump.committed)
    has_rows = column.attrs.get("layout") != "weight"
    return int(column.nbytes * (dump.committed / max(1, dump.rows) if has_rows else 1))
