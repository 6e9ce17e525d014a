"""`kprobe cam`: where in images the evidence for a class lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing, planned
from kprobe.cli.destination import goes_to_stdout, opening_output
from kprobe.cli.job_settings import find_job_faults
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.cam import cam_options
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.model import model_argument, model_options
from kprobe.cli.options.output import output_options
from kprobe.cli.options.progress import progress_option, quiet_option
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.progress import showing_progress
from kprobe.cli.rendering.receipt import show_map, show_receipt, show_unread
from kprobe.cli.stdio import own_stdout
from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEFT_OUT = 3  # the exit code of a dump whose samples couldn't all be read


def _check(
    _ctx: click.Context, options: dict[str, Any]
) -> Iterator[click.UsageError | KprobeError]:
    """Refuse options that want the same, and overlays that can't be drawn."""
    if options.get("output") == "-":
        if own_stdout().isatty():
            yield click.UsageError("-o - writes HDF5, which is not for a terminal: pipe it.")
        if options["as_json"]:
            yield click.UsageError("--json and -o - both want stdout.")
        if options["resume"]:
            yield click.UsageError("-o - leaves nothing that --resume could continue.")
    if options.get("overlays"):
        from kprobe.inputs.images.pillow import check_pillow

        try:
            check_pillow("overlays")
        except KprobeError as error:
            yield error


def _settle(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options as those of a dump are called."""
    layers = [options["layer"]] if options["layer"] else []
    asked = {"layers": layers, "gradients_of": options["of"], "cam": options["method"]}
    return {**options, **asked, "every": False}


def _look_on(
    ctx: click.Context, options: dict[str, Any]
) -> Iterator[click.UsageError | KprobeError]:
    yield from find_job_faults(ctx, _settle(options))


@click.command(
    cls=Command,
    check=_check,
    look_on=_look_on,
    epilog="For example: kprobe cam model.keras --input photos/ --overlays maps/",
)
@model_argument
@cam_options
@sample_options
@output_options.without("shard").saying(
    output="The dump of maps; - for stdout. Default: the model's name with .cam.h5."
)
@compute_options.without("eager", "audit")
@model_options
@json_option("Print the outcome as JSON.")
@progress_option
@quiet_option("Say nothing but errors.")
@sandbox_option
@verbose_option
@click.pass_context
def cam(ctx: click.Context, /, **options: Any) -> None:
    """Make class activation maps: where in each image the evidence for a class lies.

    Of each sample the map, the number of the class (`unit`) and its score are written to HDF5. The
    maps are as large as the layer's output; with --overlays they are laid over the samples.

    `kprobe help gradients` tells what each method is.
    """
    begin_computing(options["verbose"])
    quiet = options["quiet"]
    with (
        opening_output(options, "cam") as output,
        planned(_settle(options), output=output) as plan,
    ):
        # They import TensorFlow, which a plan sets up before.
        from kprobe.pipeline.running.overlays import Overlays, OverlaySink
        from kprobe.pipeline.running.run import run

        folder = options["overlays"]
        sink = OverlaySink(plan, Overlays(plan, Path(folder))) if folder else None
        with showing_progress("none" if quiet else options["progress"]) as progress:
            receipt = run(plan, progress, sink)
    if options["as_json"] or not quiet:
        name = "stdout" if goes_to_stdout(options) else str(receipt.output)
        show_receipt(receipt, name, options["as_json"], {"overlays": folder} if folder else {})
        if not options["as_json"]:
            show_map(json.loads(plan.attrs["cam"]), folder)
    if receipt.left_out:
        if not quiet:
            show_unread(plan.samples.faults.values())
        ctx.exit(_LEFT_OUT)
