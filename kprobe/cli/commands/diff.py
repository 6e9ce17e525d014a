"""`kprobe diff`: how two models, or dumps, differ, and where the difference is born."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing
from kprobe.cli.job_settings import collect_settings, find_layer_faults
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.comparison import comparison_options
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.model import model_options
from kprobe.cli.options.progress import progress_option, quiet_option
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.selection import selection_options
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.differences import show_differences
from kprobe.cli.rendering.progress import showing_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIFFERENT = 1  # the exit code of sides that aren't the same


def _check(ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError]:
    """Check that there are two sides, and that layers are asked for in one way."""
    if options.get("a") is not None and (options.get("b") is None) == (
        options.get("against") is None
    ):
        received = "neither" if options.get("b") is None else "both"
        yield click.UsageError(f"Expected either B or --against, received {received}.")
    if not options.get("layers"):
        options["every"] = True  # all of them, unless some are named
    elif not options.get("every"):
        options["every"] = False
    yield from find_layer_faults(ctx, options)


@click.command(
    cls=Command,
    check=_check,
    epilog="For example: kprobe diff old.h5 new.keras --input samples.npz",
)
@click.argument("a", type=File())
@click.argument("b", type=File(), required=False)
@comparison_options
@selection_options.only("layers", "every").saying(
    layers="Addresses of A's layers; @FILE or - reads one a line. Repeatable. [default: all]",
    every="Every layer call, as by default.",
)
@sample_options.without("labels_from_folders").saying(
    inputs="Samples for both sides, as `kprobe dump` takes them. Without it, random samples; or "
    "those that a dump says it was made from.",
    on_error="What to do at a sample that can't be read. With skip it isn't compared.",
)
@compute_options.without("audit", "fail_on")
@model_options.saying(
    arguments="An argument of the code that makes a model; of both, if both are code. Repeatable.",
    weights="Weights for both models instead of their own: see also --against weights:FILE.",
)
@json_option("Print the outcome as JSON.")
@progress_option
@quiet_option("Print nothing; the exit code tells.")
@sandbox_option
@verbose_option
@click.pass_context
def diff(ctx: click.Context, /, **options: Any) -> None:
    """Compare two sides, and say where they part ways and where the difference is born.

    A and B are each a dump, or a model of any kind that `kprobe dump` takes. Models are run side by
    side over the same samples, and nothing is stored. Options of models and of computing apply to
    both sides.

    The exit code is 0 where both are the same within tolerance, 1 where they differ, and 2 where
    they can't be compared. `kprobe help comparing` explains the table.
    """
    begin_computing(options["verbose"])
    from kprobe.pipeline.comparing.compare import compare
    from kprobe.pipeline.comparing.spec import DiffSpec

    spec = DiffSpec(**{name: options.pop(name) for name in comparison_options.options})
    sides = options.pop("a"), options.pop("b")
    quiet = options["quiet"]
    with showing_progress("none" if quiet else options["progress"]) as progress:
        result = compare(*sides, spec, collect_settings(options), progress)
    if not quiet:
        show_differences(result, options["as_json"])
    if not result.same:
        ctx.exit(_DIFFERENT)
