"""Render what commands have to say: lines, tables, JSON and progress."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.stdio import own_stdout
from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def say(line: str) -> None:
    """Write one of kprobe's own lines to stderr."""
    click.echo(f"kprobe: {line}", file=sys.stderr)


def print_line(line: str) -> None:
    """Print a line on stdout, with escapes for the bytes of file names that aren't UTF-8.

    Raises:
        KprobeError: It can't be written; a pipe that was closed is no error.
    """
    try:
        click.echo(line.encode("utf-8", "backslashreplace").decode(), file=own_stdout())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise KprobeError(f"stdout can't be written: {error.strerror or error}") from None


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    print_line(json.dumps(value, indent=2))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[str]) -> None:
    """Print rows in aligned columns on stdout.

    Args:
        header: The titles of the columns.
        rows: The cells.
        numbers: The titles of those columns that are aligned at the right.
    """
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = [
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for cell, width, title in zip(row, widths, header, strict=True)
        ]
        print_line("  ".join(cells).rstrip())


def count(number: int, thing: str) -> str:
    """Write a number of things: 1 sample, 1,016 samples."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def format_bytes(size: float) -> str:
    """Write a number of bytes for people, in powers of ten: 12.8 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_seconds(seconds: float) -> str:
    """Write a time for people: 0.3 s, 42 s, 12.5 min, 3.4 h, 2.1 days."""
    if seconds < 0.1:
        return "under 0.1 s"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def format_shape(shape: Sequence[int | None] | None) -> str:
    """Write a shape as Python does, without spaces; "" for one that isn't known."""
    if shape is None:
        return ""
    return "(" + ",".join("?" if size is None else str(size) for size in shape) + ")"


def format_shapes(shapes: Any) -> str:
    """Write the shape of a tensor, or the shapes of several."""
    if isinstance(shapes, list):
        return shorten([format_shape(shape) for shape in shapes])
    return format_shape(shapes)


def shorten(texts: Sequence[str]) -> str:
    """Join texts for a cell of a table: the first three of them."""
    return " ".join([*texts[:3], "…"] if len(texts) > 3 else texts)


@contextlib.contextmanager
def showing_status(text: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what takes its time."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(file=sys.stderr).status(text):
        yield
