"""`kprobe stats`: what the values of tensors tell, of a dump or of a running model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing, planned
from kprobe.cli.config_file import config_option, put_rivals_aside
from kprobe.cli.job_settings import find_job_faults, find_layer_faults
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.compute import compute_options
from kprobe.cli.options.group import find_section
from kprobe.cli.options.model import model_options
from kprobe.cli.options.output import output_options
from kprobe.cli.options.progress import progress_option, quiet_option
from kprobe.cli.options.samples import sample_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.selection import selection_options
from kprobe.cli.options.statistics import complete_addresses, statistics_options
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.progress import showing_progress
from kprobe.cli.rendering.statistics import say_failures, show_statistics
from kprobe.errors import KprobeError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.pipeline.statistics.gathered import Gathered

_FOUND, _LEFT_OUT = 1, 3  # exit codes: a condition is met; samples couldn't be read
# What has no meaning where nothing is computed, beside the groups of a job.
_OF_MODELS = {"Layers", "Samples", "Computing", "Model"}
_FOR_MODELS = {"resume", "stop_after"}
# On the command line, or in a file that stands for it.
_GIVEN = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)


def _is_file(options: dict[str, Any]) -> bool:
    """Tell whether there is a dump, or a file of statistics, rather than a model."""
    from kprobe.pipeline.statistics.stored import is_readable

    asked = options.get("layers") or options.get("every") or options.get("inputs")
    return is_readable(options["model"], else_model=bool(asked))


def _check(ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError | KprobeError]:
    """Refuse options that don't go together, or with the kind of file."""
    put_rivals_aside(ctx, options)
    if options.get("as_json") and options.get("as_csv"):
        yield click.UsageError("--json and --csv both want stdout.")
    if options.get("output") == "-":
        yield click.UsageError("-o - isn't there for statistics: expected the name of a file.")
    yield from _find_wrong_conditions(options)
    if options.get("model") is None:
        return
    if not _is_file(options):
        if options.get("resume") and not options.get("output"):
            yield click.UsageError("--resume continues what -o FILE keeps: expected -o, too.")
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
        and (find_section(param) in _OF_MODELS or param.name in _FOR_MODELS)
        and ctx.get_parameter_source(str(param.name)) in _GIVEN
    ]
    if given:
        behind = " Addresses stand behind it." if "--layers" in given else ""
        yield click.UsageError(
            f"{', '.join(given)}: expected a model, received {options['model']}, in which all "
            f"is computed.{behind}"
        )


def _find_wrong_conditions(options: dict[str, Any]) -> Iterator[KprobeError]:
    if options.get("conditions") is not None:
        from kprobe.pipeline.statistics.conditions import parse_conditions

        try:
            parse_conditions(options["conditions"], options["by"])
        except KprobeError as error:
            yield error


def _look_on(
    ctx: click.Context, options: dict[str, Any]
) -> Iterator[click.UsageError | KprobeError]:
    if options["model"] is not None and not _is_file(options):
        yield from find_job_faults(ctx, options)


@click.command(
    cls=Command,
    check=_check,
    look_on=_look_on,
    epilog="For example: kprobe stats acts.h5 'block*' --by channel --csv",
)
@click.argument("model", type=File(), metavar="DUMP|MODEL")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...", shell_complete=complete_addresses)
@statistics_options
@selection_options
@sample_options
@output_options.only("output", "overwrite", "resume", "stop_after").saying(
    output="Keep the statistics in this file, which `kprobe stats` reads again. Of a model, it has "
    "what is known until then every 10 s.",
    overwrite="Replace statistics of that name, or a part of them.",
)
@compute_options.without("fail_on")
@model_options
@json_option("Print the statistics as JSON.")
@progress_option
@config_option
@quiet_option("Say nothing but errors, and print nothing.")
@sandbox_option
@verbose_option
@click.pass_context
def stats(ctx: click.Context, /, **options: Any) -> None:
    """Tell what the values of tensors are: means, extremes, quantiles, zeros, NaN, histograms.

    Of a DUMP, or of statistics that were kept with -o, all tensors or those at some ADDRESSES, in
    which * and ? may stand. Of a MODEL, as `kprobe dump` takes it, the layers asked for: they are
    computed, and their values aren't stored.

    `kprobe help statistics` tells what each number is.
    """
    try:
        gathered = _gather_file(options) if _is_file(options) else _gather_model(options)
    except StoppedError as stopped:
        if (until_then := getattr(stopped, "gathered", None)) is not None:
            show_statistics(until_then, options, stopped=True)
        raise
    failures = show_statistics(gathered, options)
    if failures:
        say_failures(failures)
        ctx.exit(_FOUND)
    if gathered.left_out:
        ctx.exit(_LEFT_OUT)


def _gather_file(options: dict[str, Any]) -> Gathered:
    from kprobe.pipeline.statistics.of_file import gather_file, take_output

    output = take_output(options["output"], overwrite=options["overwrite"])
    with showing_progress("none" if options["quiet"] else options["progress"]) as progress:
        return gather_file(
            options["model"],
            options["addresses"],
            by_sample=options["by"] == "sample",
            output=output,
            progress=progress,
        )


def _gather_model(options: dict[str, Any]) -> Gathered:
    from kprobe.pipeline.statistics.conditions import check_addresses, parse_conditions
    from kprobe.pipeline.statistics.of_file import take_output

    begin_computing(options["verbose"])
    settings = {name: options[name] for name in ("overwrite", "resume", "stop_after")}
    output = take_output(options["output"], **settings)
    without = {name: value for name, value in options.items() if name != "output"}
    with planned(without) as plan:
        # It imports TensorFlow, which a plan sets up before.
        from kprobe.pipeline.statistics.of_model import gather_model

        if options["conditions"] is not None:
            # Rather than behind a long run.
            known = [addresses[0] for addresses in plan.addresses]
            check_addresses(parse_conditions(options["conditions"], options["by"]), known)
        with showing_progress("none" if options["quiet"] else options["progress"]) as progress:
            return gather_model(
                plan,
                output,
                by_sample=options["by"] == "sample",
                stop_after=options["stop_after"],
                progress=progress,
            )
