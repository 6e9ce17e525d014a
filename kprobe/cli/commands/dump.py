"""`kprobe dump`: the activations of layers, over samples, in HDF5."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.config_file import config_option, put_rivals_aside
from kprobe.cli.freed_memory import keep_memory
from kprobe.cli.job_settings import check_layers, collect_settings, default_output
from kprobe.cli.options.samples import image_options, preprocessing_options
from kprobe.cli.options.values import (
    Duration,
    File,
    Size,
    layer_options,
    loading_options,
    machine_options,
    model_argument,
    stored_dtype_option,
)
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.plan import announce, show_plan, show_profile, summarize
from kprobe.cli.rendering.printing import print_json, say, showing_status
from kprobe.cli.rendering.progress import KINDS, showing_progress
from kprobe.cli.stdio import hold_back_noise, own_stdout, take_stdout
from kprobe.errors import DumpError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@model_argument
@layer_options
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="[NAME=]SRC",
    type=File(),
    help="Samples: .npy, .npz, FILE.h5:/DATASET, - for a .npy on stdin; an image, a folder of "
    "images, or a .txt file with a path a line; FILE.tfrecord:FEATURE, FILE.parquet:COLUMN; a "
    "saved tf.data dataset; FILE.py:FUNCTION or MODULE:FUNCTION that gives batches. Several, or a "
    "pattern such as 'part*.npy', are read one after another. NAME=SRC for each of several inputs. "
    "Without it, random samples.",
)
@click.option(
    "--feed",
    "feeds",
    multiple=True,
    metavar="ADDRESS=SRC",
    help="The values of an inner tensor, from anything --input takes, such as another dump: "
    "acts.h5:conv5_3. Nothing upstream of it is run, or needs input. Also zero, mean (over the "
    "batch) and noise:STD (added), made from the tensor's own value.",
)
@click.option("--random", type=click.IntRange(1), metavar="N", help="Make N random samples.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Where randomness starts.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take the first N samples.")
@image_options
@preprocessing_options
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=File(),
    help="The dump; - for stdout. Default: the model's name with .activations.h5.",
)
@click.option("--overwrite", is_flag=True, help="Replace a dump of that name, or a part of one.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with what an earlier run of the same command has written.",
)
@click.option(
    "--stop-after",
    type=Duration(),
    metavar="TIME",
    help="Stop after 90s, 30m, 3h or 2d of running; --resume goes on.",
)
@click.option(
    "--max-bytes",
    type=Size(),
    metavar="SIZE",
    help="Refuse a dump larger than, say, 200G. [default: the free space]",
)
@stored_dtype_option
@click.option(
    "--ragged",
    multiple=True,
    metavar="A,B,…",
    help="Addresses among --layers of which each sample has a tensor of its own shape, where the "
    "first samples don't show it. Samples are run one by one.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="Samples run at a time. [default: as many as fit the processor's caches]",
)
@machine_options
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do at a sample that can't be read. With skip its row stays, without values: the "
    "datasets valid and reason tell, and the exit code is 3.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["nan"]),
    help="Stop with exit code 1 at the first tensor with NaN or infinity in it, and name the "
    "sample.",
)
@click.option(
    "--training", is_flag=True, help="Run as in training: dropout active, batch statistics."
)
@click.option(
    "--stateful",
    is_flag=True,
    help="Carry the model's state (of stateful RNNs, say) on from batch to batch, in memory.",
)
@click.option(
    "--eager",
    is_flag=True,
    help="Run the model eagerly, where its Python can't be traced: slowly, and layers only.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What the model may compute in. bfloat16 is faster on processors that have it; the error "
    "on the first batch is said and stored.",
)
@click.option("--exact", is_flag=True, help="The model's results bit for bit, at some speed.")
@click.option(
    "--audit",
    is_flag=True,
    help="Compare the model's outputs on a batch with the fetches and without.",
)
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
@click.option("--json", "as_json", is_flag=True, help="Print the outcome, or the plan, as JSON.")
@click.option(
    "--random-weights",
    is_flag=True,
    help="Go on where there are no weights for the model, or for some of its layers.",
)
@loading_options
@click.option(
    "--progress",
    type=click.Choice(KINDS),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr: a bar, or lines in a log; a line of JSON a second; not.",
)
@config_option
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@verbose_option
@click.pass_context
def dump(ctx: click.Context, /, model: str, **options: Any) -> None:
    """Run a Keras model over samples and write the activations of layers to HDF5.

    MODEL is a .keras or HDF5 file; a SavedModel directory; a JSON file of an architecture, with
    --weights; or code, FILE.py:CALLABLE or package.module:CALLABLE, that returns a model, or an
    object that holds one as .keras_model or .model.

    An address is a layer's name (conv5_3), a path through nested models (encoder/conv1), one
    call of a shared layer (encoder@1/conv1; @* for all), a pattern (block*_conv?, '**/bn',
    type:Conv2D, at:-1, 're:conv.*'), a layer's input (conv5_3:in), one of several outputs
    (lstm[0]), a layer's weight (conv5_3:kernel), each with a name of its own where wanted
    (features=avg_pool). `kprobe ls MODEL` lists them.
    """
    put_rivals_aside(ctx, options)
    to_stdout = options["output"] == "-" and not options["dry_run"]
    _check_streams(options, to_stdout)
    hold_back_noise(options["verbose"])
    keep_memory()

    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job
    from kprobe.pipeline.running.run import run

    quiet = options["quiet"]
    with _destination(options["output"] or default_output(model), to_stdout) as output:
        # What isn't written needs no permission.
        overwrite = options["overwrite"] or options["dry_run"]
        settings = collect_settings({**options, "model": model, "overwrite": overwrite})
        job = make_job(**{**settings, "output": output})
        with showing_status(f"loading {model}", quiet):
            planned = plan_job(job)
        with planned as ready:
            if not quiet:
                announce(ready)
            costs = show_profile(ready, options) if options["profile"] else {}
            if options["dry_run"]:
                show_plan(ready, options["as_json"], costs)
                return
            with showing_progress("none" if quiet else options["progress"]) as progress:
                receipt = run(ready, progress)
    if options["as_json"]:
        print_json(asdict(receipt) | {"output": str(receipt.output), **costs})
    elif not quiet:
        say(summarize(receipt, "stdout" if to_stdout else str(output)))
    if receipt.left_out:
        if not quiet:
            for fault in list(planned.samples.faults.values())[:_FAULTS_SHOWN]:
                say(f"couldn't be read: {fault}")
        ctx.exit(_LEFT_OUT)


_LEFT_OUT = 3  # the exit code of a dump whose samples couldn't all be read
_FAULTS_SHOWN = 5


def _check_streams(options: dict[str, Any], to_stdout: bool) -> None:
    """Refuse options that want the same of stdin or stdout."""
    if to_stdout and own_stdout().isatty():
        raise click.UsageError("-o - writes HDF5, which is not for a terminal: pipe it.")
    if to_stdout and options["as_json"]:
        raise click.UsageError("--json and -o - both want stdout.")
    if to_stdout and options["profile"]:
        raise click.UsageError("--profile and -o - both want stdout.")
    if to_stdout and options["resume"]:
        raise click.UsageError("-o - leaves nothing that --resume could continue.")
    check_layers(options)


@contextlib.contextmanager
def _destination(output: str | Path, to_stdout: bool) -> Iterator[Path]:
    """Give the file to write; for stdout one in passing, copied there when it is finished.

    Raises:
        DumpError: stdout can't be written; a pipe that was closed is no error.
    """
    from kprobe.dumps.output import read_output

    if not to_stdout:
        yield read_output(output)
        return
    stdout = take_stdout()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "activations.h5"
        try:
            yield path
        except StoppedError:
            raise StoppedError("stopped, and nothing was written to stdout") from None
        try:
            with path.open("rb") as file, stdout:
                shutil.copyfileobj(file, stdout, 1 << 20)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DumpError(f"stdout can't be written: {error.strerror}") from error
