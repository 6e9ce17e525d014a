"""`kprobe plot`: pictures of what layers compute, of a dump, of statistics or of a model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing, planned
from kprobe.cli.job_settings import find_job_faults, find_layer_faults
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.group import find_section
from kprobe.cli.options.model import model_options
from kprobe.cli.options.plotting import plot_options
from kprobe.cli.options.progress import quiet_option
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.selection import selection_options
from kprobe.cli.options.statistics import complete_addresses
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import showing_status
from kprobe.cli.rendering.receipt import show_left_out, show_pictures
from kprobe.errors import KprobeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.pipeline.plotting.pictured import Pictured
    from kprobe.pipeline.plotting.spec import PlotSpec

# What has no meaning where nothing is computed.
_OF_MODELS = {"Layers", "Samples", "Computing", "Model"}


def _is_file(options: dict[str, Any]) -> bool:
    """Tell whether there is a dump, or a file of statistics, rather than a model."""
    from kprobe.pipeline.statistics.stored import is_readable

    asked = options.get("layers") or options.get("every") or options.get("inputs")
    return is_readable(options["model"], else_model=bool(asked))


def _check(ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError | KprobeError]:
    """Refuse options that don't go together, or with the kind of file."""
    spec = None
    try:
        spec = _make_spec(options)
    except KprobeError as error:
        yield error
    if options.get("model") is None:
        return
    if not _is_file(options):
        if spec is not None and (fault := spec.find_model_fault()):
            yield fault
        if options.get("addresses"):
            told = ",".join(options["addresses"])
            yield click.UsageError(
                f"Expected the layers of a model as --layers {told}, received them behind it."
            )
        else:
            yield from find_layer_faults(ctx, options)
        return
    given = [
        max(param.opts, key=len)
        for param in ctx.command.params
        if isinstance(param, click.Option)
        and find_section(param) in _OF_MODELS
        and ctx.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        behind = " Addresses stand behind it." if "--layers" in given else ""
        yield click.UsageError(
            f"{', '.join(given)}: expected a model, received {options['model']}, in which all "
            f"is computed.{behind}"
        )


def _look_on(
    ctx: click.Context, options: dict[str, Any]
) -> Iterator[click.UsageError | KprobeError]:
    if options["model"] is not None and not _is_file(options):
        yield from find_job_faults(ctx, {**_settle(options), "output": None})


@click.command(
    cls=Command,
    check=_check,
    look_on=_look_on,
    epilog="For example: kprobe plot acts.h5 conv1 --sample 3 -o conv1.svg",
)
@click.argument("model", type=File(), metavar="DUMP|MODEL")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...", shell_complete=complete_addresses)
@plot_options
@selection_options
@sample_options.without("channels")
@compute_options.without("fail_on")
@model_options
@quiet_option("Say nothing but errors.")
@sandbox_option
@verbose_option
def plot(**options: Any) -> None:
    """Draw what layers compute: PNG, SVG or PDF.

    Of a DUMP all tensors, or those at some ADDRESSES, in which * and ? may stand; of statistics
    that `kprobe stats` kept, their histograms. Of a MODEL, as `kprobe dump` takes it, the layers
    asked for: only the samples that are drawn are run, and nothing else is stored.

    `kprobe help plotting` tells which picture fits which tensor.
    """
    from kprobe.pipeline.plotting.write import find_destination, name_picture, write_pictures

    form, overwrite = options["picture_format"], options["overwrite"]
    place = find_destination(options["output"], form, overwrite=overwrite)
    apart = place is not None and place.folder
    with _picturing(options, apart) as pictured:
        if place is None:
            place = name_picture(pictured, form, overwrite=overwrite)
        if not options["quiet"]:
            show_left_out(pictured.notes)
        with showing_status("drawing", options["quiet"]):
            paths = write_pictures(pictured, place)
        if not options["quiet"]:
            show_pictures(pictured, place, paths)


@contextlib.contextmanager
def _picturing(options: dict[str, Any], apart: bool) -> Iterator[Pictured]:
    """Give what is drawn, of a file or of a model."""
    spec = _make_spec(options)
    if _is_file(options):
        from kprobe.pipeline.plotting.of_file import open_pictured

        with open_pictured(options["model"], options["addresses"], spec, apart=apart) as opened:
            yield opened
        return
    begin_computing(options["verbose"])
    with planned(_settle(options)) as plan:
        # It imports TensorFlow, which a plan sets up before.
        from kprobe.pipeline.plotting.of_model import picture_model

        yield picture_model(plan, spec, apart=apart)


def _make_spec(options: dict[str, Any]) -> PlotSpec:
    from kprobe.pipeline.plotting.spec import PlotSpec

    samples = [_read_sample(text) for text in options.get("samples") or ()]
    return PlotSpec(
        samples=samples or None,
        **{name: options.get(name) for name in ("kind", "channels", "overlay", "boxes")},
        pca=options.get("pca") or False,
    )


def _read_sample(text: str) -> int | str:
    """Take a number for that of a row, and anything else for a name."""
    try:
        return int(text)
    except ValueError:
        return text


def _settle(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options of a job: not those that have its names and mean the picture."""
    own = {name: value for name, value in options.items() if name not in ("output", "overwrite")}
    return {**own, "channels": ()}
