"""`kprobe ls`: what a model file holds."""

from __future__ import annotations

from typing import Any

import click

from kprobe.cli.options import model_argument
from kprobe.cli.output import format_shape, print_json, print_table


@click.command()
@model_argument
@click.argument("pattern", required=False)
@click.option("--type", "class_name", metavar="CLASS", help="Only layers of this class.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def ls(model: str, pattern: str | None, class_name: str | None, as_json: bool) -> None:
    """List the layers of a model file, each call with its address.

    PATTERN narrows the list: a name, a path, or globs such as 'block*_conv?' and '**/bn'.
    Nothing is loaded: neither TensorFlow nor the weights.
    """
    from kprobe.errors import AddressError
    from kprobe.graph.resolve import match_pattern
    from kprobe.models.file import read_model_file
    from kprobe.models.listing import list_layers

    file = read_model_file(model)
    calls = list_layers(file)
    if pattern is not None:
        calls = match_pattern(pattern, calls)
    if class_name is not None:
        calls = [call for call in calls if call.class_name == class_name]
    if not calls and (pattern or class_name):
        wanted = " of ".join(x for x in (pattern, class_name and f"class {class_name}") if x)
        raise AddressError(f"{model} has no layer {wanted}")
    if as_json:
        print_json([_record(call) for call in calls])
        return
    rows = [
        (
            "  " * call.depth + call.address,
            call.class_name,
            _format_shapes(call.output_shape),
            "" if call.parameters is None else f"{call.parameters:,}",
        )
        for call in calls
    ]
    print_table(("address", "class", "output", "parameters"), rows, numbers={"parameters"})


def _format_shapes(shape: Any) -> str:
    if isinstance(shape, list):
        return " ".join(map(format_shape, shape))
    return format_shape(shape)


def _record(call: Any) -> dict[str, Any]:
    return {
        "address": call.address,
        "class": call.class_name,
        "output_shape": call.output_shape,
        "parameters": call.parameters,
        "depth": call.depth,
    }
