"""`kprobe show`: what a dump is."""

from __future__ import annotations

import click

from kprobe.cli.command_class import Command
from kprobe.cli.commands.dump import dump as dump_command
from kprobe.cli.config_file import write_config
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import print_line
from kprobe.cli.rendering.stored_dump import show_dump


@click.command(cls=Command)
@click.argument("dump", type=File())
@json_option("Print all that is known as JSON.")
@click.option(
    "--as-config",
    is_flag=True,
    help="Print the command that made it, as a file for `kprobe dump --config`.",
)
@verbose_option
def show(dump: str, as_json: bool, as_config: bool, **_verbose: bool) -> None:
    """Show what a dump is: what it holds, what it was made from, how and when.

    DUMP may also be one that isn't complete, NAME.partial. Nothing is loaded but the file.
    """
    from kprobe.pipeline.describe_dump import describe_dump, recall_job

    if as_json and as_config:
        raise click.UsageError("Expected either --json or --as-config.")
    if as_config:
        print_line(write_config(dump_command, recall_job(dump)))
    else:
        show_dump(describe_dump(dump), as_json)
