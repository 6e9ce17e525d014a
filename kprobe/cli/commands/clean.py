"""`kprobe clean`: take away what killed processes leave in a directory of ranges."""

from __future__ import annotations

from pathlib import Path

import click

from kprobe.cli.command_class import Command
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.ranges import show_cleaned


@click.command(cls=Command, epilog="For example: kprobe clean features.dump --dry-run")
@click.argument("folder", type=File())
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@json_option("Print what is removed as JSON.")
@verbose_option
def clean(folder: str, dry_run: bool, as_json: bool, **_verbose: bool) -> None:
    """Remove what no receipt vouches for from a directory of ranges.

    FOLDER is what `kprobe dump --shard` writes to. Files that aren't kprobe's stay, and so do
    ranges that a process is writing; run it when no process is about to publish one.
    """
    from kprobe.dumps.ranges.clean import clean_folder

    show_cleaned(clean_folder(Path(folder), dry_run=dry_run), dry_run=dry_run, as_json=as_json)
