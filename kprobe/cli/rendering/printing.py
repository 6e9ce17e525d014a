"""Print what commands have to say: lines, tables and JSON, and what takes its time."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.stdio import own_stdout
from kprobe.errors import KprobeError
from kprobe.escaping import escape_hidden
from kprobe.tables import align

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# What kprobe's own lines begin with.
PREFIX = "kprobe: "


def say(line: str) -> None:
    """Write one of kprobe's own lines to stderr."""
    click.echo(f"{PREFIX}{escape_hidden(line)}", file=sys.stderr)


def say_text(text: str) -> None:
    """Write several lines that aren't kprobe's own to stderr, such as a traceback."""
    click.echo("\n".join(_escape_lines(text)), file=sys.stderr)


def print_line(line: str) -> None:
    """Print a line on stdout, with escapes for what can't be seen.

    Raises:
        KprobeError: It can't be written; a pipe that was closed is no error.
    """
    _print(escape_hidden(line))


def print_text(text: str) -> None:
    """Print lines for programs on stdout: as they are, but with escapes on a terminal.

    Raises:
        KprobeError: They can't be written; a pipe that was closed is no error.
    """
    _print("\n".join(_escape_lines(text)) if own_stdout().isatty() else text)


def _escape_lines(text: str) -> list[str]:
    return ["\t".join(map(escape_hidden, line.split("\t"))) for line in text.split("\n")]


def _print(text: str) -> None:
    try:
        # A file name may hold bytes that aren't UTF-8.
        click.echo(text.encode("utf-8", "backslashreplace").decode(), file=own_stdout())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise KprobeError(f"stdout can't be written: {error.strerror or error}") from None


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    # It leaves DEL as it is, alone of what a terminal obeys.
    print_text(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[str]) -> None:
    """Print rows in aligned columns on stdout.

    Args:
        header: The titles of the columns.
        rows: The cells.
        numbers: The titles of those columns that are aligned at the right.
    """
    for line in align(header, rows, numbers):
        print_line(line)


@contextlib.contextmanager
def showing_status(text: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what takes its time."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(file=sys.stderr).status(Text(escape_hidden(text))):
        yield
