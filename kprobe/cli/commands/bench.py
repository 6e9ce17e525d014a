"""`kprobe bench`: what limits a dump on this machine, and how near it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.freed_memory import keep_memory
from kprobe.cli.job_settings import check_layers, collect_settings, default_output
from kprobe.cli.options.samples import image_options, preprocessing_options
from kprobe.cli.options.values import (
    Duration,
    File,
    layer_options,
    loading_options,
    machine_options,
    model_argument,
    stored_dtype_option,
)
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.plan import announce
from kprobe.cli.rendering.printing import (
    count,
    format_bytes,
    print_json,
    print_line,
    print_table,
    say,
    showing_status,
)
from kprobe.cli.stdio import hold_back_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pipeline.bench import Measured

# More than a measurement comes to.
_RANDOM_ROWS = 1 << 20
# Below that, what a dump costs whatever its samples is seen in its rate.
_SHORT_SECONDS = 1.0
_STAGES = ("reading", "computing", "writing", "dumping")


def _read_sizes(_ctx: click.Context, _param: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(0 < size < 2**31 for size in sizes):
        raise click.BadParameter(f"expected numbers with commas such as 1,8,32, received {text!r}")
    return sizes


@click.command(
    epilog="For example: kprobe bench vgg16.keras --layers block3_conv3 --input images/ "
    "--batch-size 8,32 -o /data/acts.h5"
)
@model_argument
@layer_options
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="[NAME=]SRC",
    type=File(),
    help="Samples, as `kprobe dump` takes them. Without it, random samples; making them counts as "
    "reading.",
)
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
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=File(),
    help="The dump that would be made: writing is measured in its directory. The file isn't "
    "touched. [default: here]",
)
@image_options
@preprocessing_options
@stored_dtype_option
@click.option(
    "--training", is_flag=True, help="Run as in training: dropout active, batch statistics."
)
@click.option(
    "--eager",
    is_flag=True,
    help="Run the model eagerly, where its Python can't be traced: slowly, and layers only.",
)
@click.option("--exact", is_flag=True, help="The model's results bit for bit, at some speed.")
@machine_options
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
@loading_options
@verbose_option
def bench(model: str, **options: Any) -> None:
    """Measure what limits a dump on this machine, and how near it comes.

    For each batch size: reading the samples alone, computing alone, writing alone, and all at
    the same time, as a dump does. Only temporary files are written, beside where the dump would
    be: up to half a gigabyte, removed at the end.
    """
    check_layers(options)
    hold_back_noise(options["verbose"])
    keep_memory()

    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    sizes = options["batch_sizes"]
    settings = collect_settings({**options, "model": model})
    job = make_job(
        **{
            **settings,
            "output": options["output"] or default_output(model),
            # What isn't written needs no permission.
            "overwrite": True,
            # Speed doesn't depend on the weights.
            "random_weights": True,
            "random": None if options["inputs"] else _RANDOM_ROWS,
            "batch_size": min(sizes) if sizes else None,
        }
    )
    with showing_status(f"loading {model}", quiet=False):
        planned = plan_job(job)
    with planned as ready:
        # It imports TensorFlow, which a plan sets up before.
        from kprobe.pipeline.bench import bench as measure

        announce(ready)
        with showing_status("measuring", quiet=False):
            measured = list(measure(ready, sizes, options["seconds"]))
    best = max(measured, key=lambda each: each.dumping.samples_per_s)
    if options["as_json"]:
        print_json(_record(measured, best))
    else:
        _show(measured, best)
        _warn_of_few(ready.rows, best)


def _record(measured: Sequence[Measured], best: Measured) -> dict[str, Any]:
    return {
        "batch_sizes": [
            {
                "batch_size": each.batch_size,
                **{stage: _record_rate(getattr(each, stage)) for stage in _STAGES},
                "dumps": each.dumps,
                "limit": each.limit,
                "ratio": each.ratio,
            }
            for each in measured
        ],
        "best_batch_size": best.batch_size,
    }


def _record_rate(rate: Any) -> dict[str, Any]:
    names = ("samples", "bytes", "seconds", "samples_per_s", "bytes_per_s")
    return {name: getattr(rate, name) for name in names}


def _show(measured: Sequence[Measured], best: Measured) -> None:
    rows = [
        (
            str(each.batch_size),
            {"dumping": "all together"}.get(stage, f"{stage} alone"),
            _format_rate(getattr(each, stage).samples_per_s),
            f"{format_bytes(getattr(each, stage).bytes_per_s)}/s",
            {each.limit: "the limit", "dumping": f"{each.ratio:.2f} of the limit"}.get(stage, ""),
        )
        for each in measured
        for stage in _STAGES
    ]
    header = ("batch size", "what", "samples/s", "bytes", "")
    print_table(header, rows, numbers={"batch size", "samples/s", "bytes"})
    alone = getattr(best, best.limit)
    print_line(
        f"--batch-size {best.batch_size} is best here: a dump makes "
        f"{_format_rate(best.dumping.samples_per_s)} samples/s, {best.ratio:.2f} of the "
        f"{_format_rate(alone.samples_per_s)} that {best.limit} alone would allow"
    )


def _warn_of_few(rows: int, best: Measured) -> None:
    """Say so where the file as such is seen in the rate of a dump."""
    seconds = best.dumping.seconds / best.dumps
    if best.dumping.samples == best.dumps * rows and seconds < _SHORT_SECONDS:
        say(
            f"all {count(rows, 'sample')} are dumped in {1000 * seconds:,.0f} ms, and making the "
            "file is a good part of that: with more samples a dump comes nearer to the limit"
        )


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.2f}"
