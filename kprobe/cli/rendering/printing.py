"""Print what commands have to say: lines, tables and JSON, and what takes its time."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.stdio import own_stdout
from kprobe.errors import KprobeError
from kprobe.tables import align

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# What would move the cursor or colour the rest: names of files and of layers may hold any of it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escape_controls(text: str) -> str:
    r"""Write control characters as Python does, such as `\n`, so that a text is one line."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """Write one of kprobe's own lines to stderr."""
    click.echo(f"kprobe: {escape_controls(line)}", file=sys.stderr)


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
    escaped = [[escape_controls(cell) for cell in row] for row in rows]
    for line in align(header, escaped, numbers):
        print_line(line)


@contextlib.contextmanager
def showing_status(text: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what takes its time."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(file=sys.stderr).status(text):
        yield
