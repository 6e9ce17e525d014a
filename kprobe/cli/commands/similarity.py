"""`kprobe similarity`: how alike the layers of two dumps represent the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe.cli.command_class import Command
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import showing_status
from kprobe.cli.rendering.similarity import show_similarity

if TYPE_CHECKING:
    from kprobe.analysis.representations import Method


@click.command(cls=Command, epilog="For example: kprobe similarity small.h5 large.h5 --method rsa")
@click.argument("a", type=File())
@click.argument("b", type=File())
@click.option(
    "--layers",
    "-l",
    multiple=True,
    metavar="NAMES",
    help="Addresses, with commas between them, or patterns such as 'block*'. Repeatable. "
    "[default: all]",
)
@click.option(
    "--method",
    type=click.Choice(["cka", "rsa"]),
    default="cka",
    show_default=True,
    help="Linear CKA with the unbiased estimator; or RSA, by rank correlation.",
)
@click.option(
    "--batch-size",
    type=int,
    default=256,
    show_default=True,
    metavar="N",
    help="How many samples are compared with each other at a time.",
)
@click.option("--output", "-o", type=File(), metavar="FILE", help="Write the matrix to HDF5, too.")
@json_option("Print the matrix as JSON.")
@verbose_option
def similarity(
    a: str,
    b: str,
    layers: tuple[str, ...],
    method: Method,
    batch_size: int,
    output: str | None,
    as_json: bool,
    **_verbose: bool,
) -> None:
    """Compare how the layers of two dumps represent the same samples.

    A and B are dumps of the same samples, in any order; the layers may have other shapes. 1 is the
    same but for rotation and scale, 0 is chance. A and B may be one dump.
    """
    from kprobe.analysis.similarity import check_place, measure_similarity

    if output is not None:
        check_place(output)
    with showing_status("comparing", quiet=as_json):
        found = measure_similarity(a, b, layers, method=method, batch_size=batch_size)
    if output is not None:
        found.save(output)
    show_similarity(found, as_json)
