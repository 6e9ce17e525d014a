"""`kprobe show`: what a dump is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.commands.dump import dump as dump_command
from kprobe.cli.config_file import write_config
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import print_text
from kprobe.cli.rendering.stored_dump import show_dump, show_samples

if TYPE_CHECKING:
    from collections.abc import Iterator


def _check(_ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError]:
    for name, flag in (("as_json", "--json"), ("each_sample", "--samples")):
        if options[name] and options["as_config"]:
            yield click.UsageError(f"Expected either {flag} or --as-config, received both.")


@click.command(cls=Command, check=_check)
@click.argument("dump", type=File())
@json_option("Print all that is known as JSON.")
@click.option(
    "--as-config",
    is_flag=True,
    help="Print the command that made it, as a file for `kprobe dump --config`.",
)
@click.option(
    "--samples",
    "each_sample",
    is_flag=True,
    help="List the samples instead: number, name, label and why it was left out, as far as known.",
)
@verbose_option
def show(dump: str, as_json: bool, as_config: bool, each_sample: bool, **_verbose: bool) -> None:
    """Show what a dump is: what it holds, what it was made from, how and when.

    DUMP may also be one that isn't complete, NAME.partial. Nothing is loaded but the file.
    """
    from kprobe.pipeline.describe_dump import describe_dump, describe_samples, recall_job

    if as_config:
        print_text(write_config(dump_command, recall_job(dump)))
    elif each_sample:
        show_samples(describe_samples(dump), as_json)
    else:
        show_dump(describe_dump(dump), as_json)
