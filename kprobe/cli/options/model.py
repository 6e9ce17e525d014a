"""Which model, and how it is loaded: `kprobe.models.spec.ModelSpec`."""

from __future__ import annotations

import ast
from typing import Any

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.values import File, Size
from kprobe.gate.rules import KINDS

model_argument = click.argument("model", type=File(), metavar="MODEL")


def _read_arguments(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any]:
    """Read `KEY=VALUE`, the values as Python's literals, or else as text."""
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"expected KEY=VALUE, received {text!r}")
        if key in arguments:
            raise click.BadParameter(f"{key} is given twice")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            arguments[key] = value
    return arguments


model_options = OptionGroup(
    "Model",
    {
        "random_weights": declare(
            "--random-weights",
            is_flag=True,
            help="Continue where there are no weights for the model, or for some of its layers.",
        ),
        "keras": declare(
            "--keras",
            type=click.Choice(["2", "3"]),
            callback=lambda _ctx, _param, value: int(value) if value else None,
            help="Load with this Keras.",
        ),
        "signature": declare(
            "--signature",
            metavar="NAME",
            help="Run this signature of a SavedModel. [default: its Keras model, else "
            "serving_default or the only one]",
        ),
        "custom_objects": declare(
            "--custom-objects",
            multiple=True,
            metavar="FILE.py|MODULE[:NAME]",
            type=File(),
            help="Python code that defines the model's own classes and functions, or one of them "
            "by NAME. It is imported. Repeatable.",
        ),
        "allow": declare(
            "--allow",
            multiple=True,
            metavar="KIND",
            help=f"Open a model that holds this, and nothing else of the kind: {', '.join(KINDS)}. "
            "With external also samples in HDF5 whose values lie in other files. Repeatable.",
        ),
        "unsafe": declare(
            "--unsafe", is_flag=True, help="Open a model that may run code of its own."
        ),
        "max_model_bytes": declare(
            "--max-model-bytes",
            type=Size(),
            metavar="SIZE",
            help="Refuse a model file, or a directory of one, larger than, say, 2G. "
            "[default: any size]",
        ),
        "weights": declare(
            "--weights",
            metavar="FILE",
            type=File(),
            help="Weights for the model instead of its own: .weights.h5, .keras, old HDF5 or a "
            "checkpoint, by the layers' names, or in order.",
        ),
        "arguments": declare(
            "--arg",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_read_arguments,
            help="An argument of the code that makes the model: 3, 0.5, True, [1, 2], or text. "
            "Repeatable.",
        ),
    },
)

# For commands that look at no weights.
loading_options = model_options.without("random_weights")
