"""What each layer costs, from a profile."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import format_bytes
from kprobe.cli.rendering.printing import print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pipeline.running.profile import LayerCost


def show_costs(
    costs: Sequence[LayerCost] | None, batch_size: int, as_json: bool, quiet: bool
) -> dict[str, Any]:
    """Print what layers cost as a table, or give what is to be added to other JSON.

    Args:
        costs: What was found; None where the profile doesn't tell.
        batch_size: Of how many samples a batch was.
        as_json: Whether JSON is asked for.
        quiet: Whether nothing is to be said but errors.
    """
    if costs is None and not quiet:
        say("the profile doesn't tell which layers its operations belong to")
    if costs is None or as_json:
        return {"profile": costs and [asdict(cost) for cost in costs]}
    total = sum(cost.seconds for cost in costs)
    rows = [
        (
            cost.address or "(no layer)",
            cost.layer_class,
            f"{1000 * cost.seconds:.3f}",
            f"{cost.seconds / total:.1%}",
            "" if cost.output_bytes is None else format_bytes(cost.output_bytes),
        )
        for cost in costs
    ]
    header = ("layer", "class", f"ms a batch of {batch_size}", "share", "output")
    print_table(header, rows, numbers={*header[2:]})
    return {}
