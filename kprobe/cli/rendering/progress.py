"""Show how far a run is: to people on a terminal, in a log, or to programs."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.rendering.printing import say
from kprobe.stopping import deferring_stops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kprobe.pipeline.running.progress import Progress

# How often a batch log hears of progress, in seconds, and how often a program does.
_LINE_SECONDS = 30.0
_JSON_SECONDS = 1.0


@contextlib.contextmanager
def showing_progress(kind: str) -> Iterator[Callable[[Progress], None] | None]:
    """Show how far a run is on stderr.

    Args:
        kind: "auto" for a bar on a terminal and a line now and then in a log; "json" for a line
            of JSON a second, and one at the end; "none".

    Gives:
        What to call with how far it is, or None.
    """
    if kind == "none":
        yield None
    elif kind == "json":
        with _json_lines() as update:
            yield update
    elif sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    with Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, rate="")

        def update(progress: Progress) -> None:
            rate = f"{progress.count_per_second(time.monotonic()):.0f}/s"
            bar.update(task, completed=progress.rows, total=progress.total, rate=rate)

        yield update


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def update(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LINE_SECONDS or progress.rows == progress.total:
            return
        last = now
        total = "" if progress.total is None else f" of {progress.total:,}"
        left = progress.find_seconds_left(now)
        rest = "" if left is None else f", {left:.0f} s left"
        say(f"{progress.rows:,}{total} samples, {progress.count_per_second(now):.0f}/s{rest}")

    return update


@contextlib.contextmanager
def _json_lines() -> Iterator[Callable[[Progress], None]]:
    last: Progress | None = None
    over = threading.Event()

    def update(progress: Progress) -> None:
        nonlocal last
        last = progress

    def write_line() -> None:
        if last is not None:
            click.echo(json.dumps(_describe(last, time.monotonic())), file=sys.stderr)

    def write_lines() -> None:
        while not over.wait(_JSON_SECONDS):
            write_line()

    # By the clock and not by the batch: a batch may take minutes, and silence looks like death.
    thread = threading.Thread(target=write_lines, name="kprobe-progress", daemon=True)
    thread.start()
    try:
        yield update
    finally:
        with deferring_stops():
            over.set()
            thread.join()
        write_line()


def _describe(progress: Progress, now: float) -> dict[str, Any]:
    left = progress.find_seconds_left(now)
    return {
        "samples": progress.rows,
        "total": progress.total,
        "samples_per_s": round(progress.count_per_second(now), 3),
        "bytes_per_s": round(progress.bytes / max(now - progress.began, 1e-9)),
        "read_ahead": progress.read_ahead,
        "to_write": progress.to_write,
        "bottleneck": progress.bottleneck,
        "eta_s": None if left is None else round(left, 1),
    }
