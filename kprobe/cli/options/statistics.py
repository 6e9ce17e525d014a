"""What is told of statistics, and how."""

from __future__ import annotations

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.values import File


def complete_addresses(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an address from the dump, or the statistics, that stand before it."""
    path = ctx.params.get("model") or next(iter(ctx.args), None)
    if path is None:
        return []
    from kprobe.pipeline.statistics.of_file import list_addresses

    return [address for address in list_addresses(path) if address.startswith(incomplete)]


statistics_options = OptionGroup(
    "Statistics",
    {
        "by": declare(
            "--by",
            type=click.Choice(["tensor", "channel", "sample"]),
            default="tensor",
            show_default=True,
            help="What a line is of.",
        ),
        "as_csv": declare("--csv", is_flag=True, help="Print all numbers as CSV."),
        "tensorboard": declare(
            "--tensorboard",
            metavar="DIR",
            type=File(),
            help="Write histograms and numbers for TensorBoard into this directory.",
        ),
        "step": declare(
            "--step",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="N",
            help="The step that TensorBoard shows them at, such as an epoch.",
        ),
        "conditions": declare(
            "--fail-on",
            metavar="CONDITIONS",
            help="End with exit code 1 if any tensor, or channel or sample as --by says, meets one "
            "of these, such as 'nan,dead>0.5,conv*:max>100', and say which.",
        ),
    },
)
