"""`kprobe bench`: what limits a dump on this machine, and how near it comes."""

from __future__ import annotations

from typing import Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing, planned
from kprobe.cli.job_settings import find_job_faults, find_layer_faults, name_output
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.model import loading_options, model_argument
from kprobe.cli.options.output import output_options
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.selection import selection_options
from kprobe.cli.options.values import Duration
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.measurements import show_measured
from kprobe.cli.rendering.printing import showing_status

# More than a measurement comes to.
_RANDOM_ROWS = 1 << 20


def _read_sizes(_ctx: click.Context, _param: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(0 < size < 2**31 for size in sizes):
        raise click.BadParameter(f"expected numbers with commas such as 1,8,32, received {text!r}")
    return sizes


@click.command(
    cls=Command,
    check=find_layer_faults,
    look_on=find_job_faults,
    epilog="For example: kprobe bench vgg16.keras --layers block3_conv3 --input images/ "
    "--batch-size 8,32 -o /data/acts.h5",
)
@model_argument
@selection_options.only("layers", "every")
@sample_options.without("random", "limit", "on_error").saying(
    inputs="Samples, as `kprobe dump` takes them. Without it, random samples; making them counts "
    "as reading."
)
@output_options.only("output", "dtype").saying(
    output="The dump that would be made: writing is measured in its directory. The file isn't "
    "touched. [default: here]"
)
@compute_options.only("streams", "threads", "device", "training", "eager", "exact")
@loading_options
@click.option(
    "--batch-size",
    "batch_sizes",
    metavar="N,N,…",
    callback=_read_sizes,
    help="Samples run at a time. [default: 1, 8, 32 and what a dump would choose]",
)
@click.option(
    "--seconds",
    type=Duration(),
    default="2",
    show_default=True,
    metavar="TIME",
    help="How long each measurement takes: four for each batch size.",
)
@json_option("Print what was measured as JSON.")
@sandbox_option
@verbose_option
def bench(**options: Any) -> None:
    """Measure what limits a dump on this machine, and how near it comes.

    For each batch size: reading the samples alone, computing alone, writing alone, and all at
    the same time, as a dump does. Only temporary files are written, beside where the dump would
    be: up to half a gigabyte, removed at the end.
    """
    begin_computing(options["verbose"])
    sizes = options["batch_sizes"]
    with planned(
        options,
        output=options["output"] or name_output(options["model"]),
        # What isn't written needs no permission.
        overwrite=True,
        # Speed doesn't depend on the weights.
        random_weights=True,
        random=None if options["inputs"] or options["random_shape"] else _RANDOM_ROWS,
        batch_size=min(sizes) if sizes else None,
    ) as plan:
        # It imports TensorFlow, which a plan sets up before.
        from kprobe.pipeline.bench import bench as measure

        with showing_status("measuring", quiet=False):
            measured = list(measure(plan, sizes, options["seconds"]))
    show_measured(measured, plan.rows, options["as_json"])
