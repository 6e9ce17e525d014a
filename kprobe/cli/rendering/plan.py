"""A plan before it runs: what the user should know of it, and what it would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, format_bytes, format_seconds
from kprobe.cli.rendering.printing import print_json, print_line, print_table, say
from kprobe.tables import format_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.forecast import Forecast


def announce(plan: Plan) -> None:
    """Say what the user should know of a plan before it runs."""
    attrs = plan.attrs
    for line in plan.notes:
        say(line)
    if plan.samples.random:
        say(f"no --input: {count(plan.rows, 'random sample')}, seed {attrs['seed']}")
    if plan.samples.rows == 0:
        say("weights alone are asked for: no samples are run")
    for line in plan.left_out:
        say(f"left out: {line}")
    for address, reason in plan.one_by_one.items():
        say(f"samples are run one by one: {address} {reason}")
    if "audit_ulps" in attrs:
        ulps = attrs["audit_ulps"]
        say(f"audit: the fetches change the model's outputs by at most {ulps} ULP")
    if "bfloat16_error" in attrs:
        error = attrs["bfloat16_error"]
        say(f"bfloat16: off by {error:.2%} of a tensor's largest magnitude at most")
    if not attrs["reproducible"]:
        say("these layers draw random numbers that --seed doesn't reach")


def show_plan(plan: Plan, foreseen: Forecast, as_json: bool, costs: Mapping[str, Any]) -> None:
    """Print what a run would write, and how long it would compute.

    Args:
        plan: The plan.
        foreseen: What it takes.
        as_json: Whether to print it as JSON.
        costs: What else the JSON is to hold.
    """
    seconds = foreseen.compute_seconds
    records = _list_datasets(plan)
    if as_json:
        nobody_knows = plan.samples.rows is None
        print_json(
            {
                "datasets": records,
                "samples": plan.samples.rows,
                "batch_size": plan.batch_size,
                "streams": plan.streams,
                "frozen": plan.computation.engine.frozen,
                "bytes": None if nobody_knows else _count_bytes(records),
                "free_bytes": foreseen.free_bytes,
                "compute_seconds": seconds,
                **costs,
            }
        )
        return
    _print_plan(plan, records)
    print_line(f"{format_bytes(foreseen.free_bytes)} free on the disk")
    if seconds is not None:
        print_line(
            f"{format_seconds(seconds)} to compute in {_name_batches(plan)}, from three timed"
        )


def _list_datasets(plan: Plan) -> list[dict[str, Any]]:
    rows = plan.samples.rows or 0
    return [
        {
            "address": address,
            "also": also,
            "dataset": column.name,
            "dtype": column.dtype.name,
            "shape": [None if size == -1 else size for size in column.shape],
            "layout": column.attrs["layout"],
            "bytes_per_sample": None if column.ragged else column.row_bytes,
            "bytes": column.count_bytes(rows),
        }
        for column in plan.tensors
        for address, *also in [plan.addresses_of(column)]
    ]


def _print_plan(plan: Plan, records: Sequence[Mapping[str, Any]]) -> None:
    nobody_knows = plan.samples.rows is None
    table = [
        (
            ", ".join([record["address"], *record["also"]]),
            record["dtype"],
            format_shape(record["shape"]),
            *(
                ("differs", f"{format_bytes(record['bytes'])} and more")
                if record["bytes_per_sample"] is None
                else (
                    format_bytes(record["bytes_per_sample"]),
                    "" if nobody_knows else format_bytes(record["bytes"]),
                )
            ),
        )
        for record in records
    ]
    row_bytes = sum(record["bytes_per_sample"] or 0 for record in records)
    total_bytes = "as they come" if nobody_knows else format_bytes(_count_bytes(records))
    total = ("in all", "", "", format_bytes(row_bytes), total_bytes)
    samples = "all samples" if nobody_knows else count(plan.rows, "sample")
    header = ("address", "dtype", "shape", "a sample", samples)
    print_table(header, [*table, total], numbers={*header[3:]})


def _count_bytes(records: Sequence[Mapping[str, Any]]) -> int:
    return sum(record["bytes"] for record in records)


def _name_batches(plan: Plan) -> str:
    if plan.rows <= plan.batch_size:
        return "one batch"
    together = f", {plan.streams} at a time" if plan.streams > 1 else ""
    return f"batches of {plan.batch_size}{together}"
