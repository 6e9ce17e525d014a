"""`kprobe dump`: the activations of layers, over samples, in HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing, planned
from kprobe.cli.config_file import config_option, put_rivals_aside
from kprobe.cli.destination import goes_to_stdout, opening_output
from kprobe.cli.job_settings import find_job_faults, find_layer_faults
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.model import model_argument, model_options
from kprobe.cli.options.output import output_options
from kprobe.cli.options.progress import progress_option, quiet_option
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.selection import selection_options
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.layer_costs import show_costs
from kprobe.cli.rendering.plan import show_plan
from kprobe.cli.rendering.progress import showing_progress
from kprobe.cli.rendering.receipt import show_receipt, show_unread
from kprobe.cli.stdio import own_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.pipeline.planning.plan import Plan

_LEFT_OUT = 3  # the exit code of a dump whose samples couldn't all be read


def _check(ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError]:
    """Refuse options that want the same, such as of stdin or stdout."""
    put_rivals_aside(ctx, options)
    if options.get("output") == "-" and not options.get("dry_run"):
        if own_stdout().isatty():
            yield click.UsageError("-o - writes HDF5, which is not for a terminal: pipe it.")
        if options["as_json"]:
            yield click.UsageError("--json and -o - both want stdout.")
        if options.get("profile"):
            yield click.UsageError("--profile and -o - both want stdout.")
        if options["shard"]:
            yield click.UsageError("-o - takes a dump of one file, and --shard makes several.")
        if options["resume"]:
            yield click.UsageError("-o - leaves nothing that --resume could continue.")
    yield from find_layer_faults(ctx, options)


@click.command(cls=Command, check=_check, look_on=find_job_faults)
@model_argument
@selection_options
@sample_options
@output_options
@compute_options
@model_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be written and how long it would take to compute, and write nothing.",
)
@click.option(
    "--profile",
    metavar="DIR",
    type=File(),
    help="First compute some batches under TensorFlow's profiler, write its profile for "
    "TensorBoard, and print the time and the output of each layer.",
)
@json_option("Print the outcome, or the plan, as JSON.")
@progress_option
@config_option
@quiet_option("Say nothing but errors.")
@sandbox_option
@verbose_option
@click.pass_context
def dump(ctx: click.Context, /, **options: Any) -> None:
    """Run a Keras model over samples and write the activations of layers to HDF5.

    MODEL is a .keras or HDF5 file; a SavedModel directory; a frozen graph (.pb); a JSON file of an
    architecture, with --weights; or code, FILE.py:CALLABLE or package.module:CALLABLE, that
    returns a model, or an object that holds one as .keras_model or .model.

    An address is a layer's name (conv5_3), a path through nested models (encoder/conv1), one
    call of a shared layer (encoder@1/conv1; @* for all), a pattern (block*_conv?, '**/bn',
    type:Conv2D, at:-1, 're:conv.*'), a layer's input (conv5_3:in), its attention's scores
    (attn:scores), one of several outputs (lstm[0]), a layer's weight (conv5_3:kernel), each with
    a name of its own where wanted (features=avg_pool). `kprobe ls MODEL` lists them.
    """
    begin_computing(options["verbose"])
    as_json, quiet = options["as_json"], options["quiet"]
    # What isn't written needs no permission.
    overwrite = options["overwrite"] or options["dry_run"]
    with (
        opening_output(options, ending=".dump" if options["shard"] else ".h5") as output,
        planned(options, output=output, overwrite=overwrite) as plan,
    ):
        # They import TensorFlow, which a plan sets up before.
        from kprobe.pipeline.running.ranges import run_shard
        from kprobe.pipeline.running.run import run

        costs = _profile(plan, options) if options["profile"] else {}
        if options["dry_run"]:
            _show_forecast(plan, as_json, costs)
            return
        with showing_progress("none" if quiet else options["progress"]) as progress:
            receipt = run_shard(plan, progress) if options["shard"] else run(plan, progress)
    if as_json or not quiet:
        name = "stdout" if goes_to_stdout(options) else str(receipt.output)
        show_receipt(receipt, name, as_json, costs)
    if receipt.left_out:
        if not quiet:
            show_unread(plan.samples.faults.values())
        ctx.exit(_LEFT_OUT)


def _profile(plan: Plan, options: dict[str, Any]) -> dict[str, Any]:
    from kprobe.pipeline.running.profile import profile

    costs = profile(plan, Path(options["profile"]))
    return show_costs(costs, plan.batch_size, options["as_json"], options["quiet"])


def _show_forecast(plan: Plan, as_json: bool, costs: dict[str, Any]) -> None:
    from kprobe.pipeline.planning.size import check_size
    from kprobe.pipeline.running.forecast import forecast

    show_plan(plan, forecast(plan), as_json, costs)
    check_size(plan)
