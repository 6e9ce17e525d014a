"""`kprobe find`: what a tensor is computed from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from kprobe.cli.options.values import loading_options, model_argument, sample_option
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import format_shapes, print_json, print_table, shorten
from kprobe.cli.stdio import hold_back_noise


@click.command()
@model_argument
@click.argument("regex")
@click.option("--from", "start", metavar="ADDRESS", help="Where to begin. [default: the outputs]")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Go N hops at the most.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@sample_option
@loading_options
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
    hold_back_noise(verbose)
    from kprobe.errors import AddressError
    from kprobe.pipeline.inspect import search_model

    matches = search_model(model, regex, start, depth, **loading)
    if not matches:
        within = "" if depth is None else f" within {depth} hops"
        raise AddressError(
            f"nothing upstream of {start or 'the outputs'}{within} matches {regex!r}"
        )
    if as_json:
        print_json([asdict(match) for match in matches])
        return
    rows = [
        (str(m.hops), m.address, m.type, shorten(m.dtypes), format_shapes(m.shapes))
        for m in matches
    ]
    print_table(("hops", "address", "type", "dtype", "shape"), rows, numbers={"hops"})
