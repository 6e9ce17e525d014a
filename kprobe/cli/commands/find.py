"""`kprobe find`: what a tensor is computed from."""

from __future__ import annotations

from typing import Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.computing import begin_computing
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.model import loading_options, model_argument
from kprobe.cli.options.samples import building_options
from kprobe.cli.options.sandbox import sandbox_option
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.model import show_matches


@click.command(cls=Command)
@model_argument
@click.argument("regex")
@click.option("--from", "start", metavar="ADDRESS", help="Where to begin. [default: the outputs]")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Go at most N hops.")
@json_option("Print a JSON array.")
@building_options
@loading_options
@sandbox_option
@verbose_option
def find(
    model: str,
    regex: str,
    start: str | None,
    depth: int | None,
    as_json: bool,
    verbose: bool,
    **loading: Any,
) -> None:
    """Find operations upstream of a tensor, nearest first, as addresses to paste.

    REGEX is searched for in the operations' addresses and types, e.g. NonMaxSuppression. The
    model is loaded for it.
    """
    begin_computing(verbose)
    from kprobe.pipeline.inspect import search_model

    show_matches(search_model(model, regex, start, depth, **loading), as_json)
