"""What became of a directory of ranges."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kprobe.cli.rendering.formatting import count, count_samples, format_bytes
from kprobe.cli.rendering.printing import print_json, print_line, say

if TYPE_CHECKING:
    from kprobe.dumps.ranges.clean import Cleaned
    from kprobe.dumps.ranges.merge import Merged


def show_merged(merged: Merged, as_json: bool) -> None:
    """Say what was put together, or print it as JSON."""
    if as_json:
        known = asdict(merged)
        print_json({**known, "output": str(merged.output), "samples": known.pop("rows")})
        return
    say(
        f"{merged.output}: {count_samples(merged.rows, merged.left_out)} of "
        f"{count(merged.ranges, 'range')}, {format_bytes(merged.bytes)}"
    )


def show_cleaned(cleaned: Cleaned, *, dry_run: bool, as_json: bool) -> None:
    """Say what was taken away, or would be, and print its names."""
    if as_json:
        print_json(asdict(cleaned))
        return
    for name in cleaned.files:
        print_line(name)
    done = "would be removed" if dry_run else "removed"
    say(f"{count(len(cleaned.files), 'file')} {done}, {format_bytes(cleaned.bytes)}")
    if cleaned.busy:
        say(f"{count(len(cleaned.busy), 'file')} left alone: a process is writing there")
    if cleaned.others:
        say(f"{count(cleaned.others, 'file')} left alone: not kprobe's")
