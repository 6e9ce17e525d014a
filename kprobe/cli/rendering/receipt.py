"""What a run did."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, count_samples, format_bytes
from kprobe.cli.rendering.printing import print_json, say
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kprobe.pipeline.plotting.pictured import Pictured
    from kprobe.pipeline.plotting.write import Destination
    from kprobe.pipeline.running.ranges import ShardReceipt
    from kprobe.pipeline.running.run import Receipt

_FAULTS_SHOWN = 5


def show_receipt(
    receipt: Receipt | ShardReceipt, name: str, as_json: bool, costs: Mapping[str, Any]
) -> None:
    """Say in a line or two what a run did, or print it as JSON.

    Args:
        receipt: What it did.
        name: What the dump is called.
        as_json: Whether to print JSON.
        costs: What else the JSON is to hold.
    """
    from kprobe.pipeline.running.ranges import ShardReceipt

    if as_json:
        known = asdict(receipt)
        # Called as `kprobe show` calls them.
        first = {"output": str(receipt.output), "samples": known.pop("rows")}
        print_json({**first, **{k: v for k, v in known.items() if k != "output"}, **costs})
        return
    if isinstance(receipt, ShardReceipt):
        for line in _summarize_shard(receipt, name):
            say(line)
    else:
        say(_summarize(receipt, name))
    told = [f"{number:,} of {address}" for address, number in receipt.overflows.items()]
    if told:
        say(f"values that became infinite as stored: {list_names(told, _FAULTS_SHOWN)}")


def show_map(told: Mapping[str, str], folder: str | None) -> None:
    """Say in a line what class activation maps are of, which nobody need have named.

    Args:
        told: What is known of them: "method", "map_of", "score_of" and "unit".
        folder: Where overlays are; None for nowhere.
    """
    unit = {"max": "the largest score", "sum": "the sum"}.get(told["unit"], f"score {told['unit']}")
    where = f"; overlays in {folder}" if folder else ""
    say(f"{told['method']} of {told['map_of']} for {unit} of {told['score_of']}{where}")


def show_unread(faults: Iterable[str]) -> None:
    """Say which samples couldn't be read, the first few of them."""
    for fault in islice(faults, _FAULTS_SHOWN):
        say(f"couldn't be read: {fault}")


def _summarize(receipt: Receipt, output: str) -> str:
    if receipt.rows and receipt.resumed == receipt.rows:
        return f"{output}: all {count(receipt.rows, 'sample')} are there already"
    if not receipt.rows:
        return (
            f"{output}: {count(receipt.datasets, 'weight')}, {format_bytes(receipt.written)} "
            f"in {receipt.seconds:.1f} s"
        )
    rows = receipt.rows - receipt.resumed
    rate = rows / receipt.seconds
    rest = f"the last {rows:,} of " if receipt.resumed else ""
    return (
        f"{output}: {rest}{count_samples(receipt.rows, receipt.left_out)} of "
        f"{count(receipt.datasets, 'dataset')}, "
        f"{format_bytes(receipt.written)} in {receipt.seconds:.1f} s ({rate:,.0f} samples/s, "
        f"{format_bytes(receipt.written / receipt.seconds)}/s, limited by {receipt.bottleneck})"
    )


def _summarize_shard(receipt: ShardReceipt, output: str) -> Iterator[str]:
    there = f", {receipt.resumed:,} of them there already" if receipt.resumed else ""
    yield (
        f"{output}: shard {receipt.shard}, {count_samples(receipt.rows, receipt.left_out)} in "
        f"{count(receipt.ranges, 'range')}{there}: {format_bytes(receipt.written)} in "
        f"{receipt.seconds:.1f} s"
    )
    if receipt.missing:
        yield f"{count(receipt.missing, 'sample')} of other shards are still to come"
    else:
        yield f"all ranges are there: `kprobe merge {output}` makes one dump of them"


def show_left_out(notes: Sequence[str]) -> None:
    """Say which tensors aren't drawn, the first few of them."""
    for note in notes[:_FAULTS_SHOWN]:
        say(f"left out: {note}")
    if len(notes) > _FAULTS_SHOWN:
        say(f"left out: {len(notes) - _FAULTS_SHOWN:,} more")


def show_pictures(pictured: Pictured, place: Destination, paths: Sequence[Path]) -> None:
    """Say in a line what was drawn, and where it is."""
    told = (
        count(len(pictured.names), "picture") if len(pictured.names) > 1 else pictured.names[0][0]
    )
    lines = [line for line in pictured.lines if line]
    about = f", {lines[0]}" if lines else ""
    where = place.path if place.folder else paths[0]
    say(f"{where}: {told}{about}")
