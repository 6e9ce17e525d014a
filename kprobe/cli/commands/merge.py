"""`kprobe merge`: one dump of the ranges that several processes have written."""

from __future__ import annotations

from pathlib import Path

import click

from kprobe.cli.command_class import Command
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.output import output_options
from kprobe.cli.options.progress import quiet_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import showing_status
from kprobe.cli.rendering.ranges import show_merged

_LEFT_OUT = 3  # the exit code of a dump whose samples aren't all there


@click.command(cls=Command, epilog="For example: kprobe merge features.dump -o features.h5")
@click.argument("folder", type=File())
@output_options.only("output", "overwrite").saying(
    output="The dump. Default: the directory's name with .h5."
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out the ranges that aren't there: `valid` says which rows they are.",
)
@json_option("Print the outcome as JSON.")
@quiet_option("Say nothing but errors.")
@verbose_option
@click.pass_context
def merge(
    ctx: click.Context,
    /,
    folder: str,
    output: str | None,
    overwrite: bool,
    allow_missing: bool,
    as_json: bool,
    quiet: bool,
    **_verbose: bool,
) -> None:
    """Put the ranges of a dump together in one file.

    FOLDER is what `kprobe dump --shard` writes to. The dump is the one that a single process would
    have written. A range that is missing, cut, or of another run is an error.
    """
    from kprobe.dumps.output import OutputSpec
    from kprobe.dumps.ranges.merge import merge_ranges

    target = OutputSpec(path=Path(output or Path(folder).with_suffix(".h5")), overwrite=overwrite)
    with showing_status("merging", quiet or as_json):
        merged = merge_ranges(Path(folder), target, allow_missing=allow_missing)
    if as_json or not quiet:
        show_merged(merged, as_json)
    if merged.left_out:
        ctx.exit(_LEFT_OUT)
