"""Options that several commands share, each with its parser."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from kprobe.errors import AddressError, KprobeError


class File(click.ParamType[str]):
    """The name of a file; the shell completes it as one."""

    name = "file"

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which knows files better."""
        return [CompletionItem(incomplete, type="file")]


class Duration(click.ParamType[float]):
    """A time such as 90s, 30m, 1.5h or 2d, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; a number without a unit is one of seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value.strip())
        seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
        if not seconds:
            self.fail(f"expected a time such as 90s, 30m, 3h or 2d, received {value!r}", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """A number of bytes such as 500M, 200G, 1.5T or, in powers of two, 200GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; a number without a unit is one of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(
            r"(\d{1,18}(?:\.\d{1,9})?)([kMGTP]?)(i?)B?", value.strip(), re.IGNORECASE
        )
        if not match or (match[3] and not match[2]):
            self.fail(f"expected a size such as 500M, 200G or 1.5T, received {value!r}", param, ctx)
        power = " kMGTP".lower().index(match[2].lower() or " ")
        return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

model_argument = click.argument("model", type=File(), metavar="MODEL")


def complete_layers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the last address of a list from the model's file."""
    from kprobe.models.file import read_model_file
    from kprobe.models.listing import list_layers

    # An option that still lacks its value leaves the arguments before it unassigned.
    model = ctx.params.get("model") or next(iter(ctx.args), None)
    if model is None:
        return []
    head, comma, last = incomplete.rpartition(",")
    try:
        calls = list_layers(read_model_file(model), parameters=False)
    except (KprobeError, OSError):
        return []
    return [head + comma + call.address for call in calls if call.address.startswith(last)]


def read_layers(arguments: tuple[str, ...]) -> list[str]:
    """Turn the values of --layers into addresses: lists, `@FILE`, and `-` for stdin.

    Raises:
        AddressError: A file that can't be read.
    """
    from kprobe.addresses.grammar import split_addresses

    addresses: list[str] = []
    for argument in arguments:
        if argument == "-":
            lines = sys.stdin.read().splitlines()
        elif argument.startswith("@"):
            try:
                lines = Path(argument[1:]).read_text().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise AddressError(f"--layers {argument} can't be read: {reason}") from None
        else:
            addresses += split_addresses(argument)
            continue
        # One address a line: a comma in it is its own.
        addresses += [line.strip() for line in lines if line.strip()]
    return addresses


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


def loading_options(command: Any) -> Any:
    """Add how a model is loaded.

    --keras, --signature, --custom-objects, --unsafe, --weights and --arg.
    """
    for option in (
        click.option(
            "--arg",
            "arguments",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_read_arguments,
            help="An argument of the code that makes the model: 3, 0.5, True, [1, 2], or text. "
            "Repeatable.",
        ),
        click.option(
            "--weights",
            metavar="FILE",
            type=File(),
            help="Weights for the model instead of its own: .weights.h5, .keras or old HDF5, by "
            "the layers' names, or in order.",
        ),
        click.option("--unsafe", is_flag=True, help="Open a model that may run code of its own."),
        click.option(
            "--custom-objects",
            multiple=True,
            metavar="FILE.py|MODULE",
            type=File(),
            help="Python code that defines the model's own classes and functions. Repeatable.",
        ),
        click.option(
            "--signature",
            metavar="NAME",
            help="Run this signature of a SavedModel. [default: its Keras model, else "
            "serving_default or the only one]",
        ),
        click.option(
            "--keras",
            type=click.Choice(["2", "3"]),
            callback=lambda _ctx, _param, value: int(value) if value else None,
            help="Load with this Keras.",
        ),
    ):
        command = option(command)
    return command


sample_option = click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="[NAME=]SRC",
    type=File(),
    help="A sample for a model that has to be called before it is built, as `kprobe dump` takes "
    "it.",
)


def layer_options(command: Any) -> Any:
    """Add --layers and --all."""
    command = click.option("--all", "every", is_flag=True, help="Every layer call.")(command)
    return click.option(
        "--layers",
        "-l",
        multiple=True,
        metavar="A,B,…",
        shell_complete=complete_layers,
        help="Addresses of the layers; @FILE or - reads one a line. Repeatable.",
    )(command)


def stored_dtype_option(command: Any) -> Any:
    """Add --dtype."""
    return click.option(
        "--dtype",
        type=click.Choice(["float16", "float32", "as-is"]),
        default="as-is",
        show_default=True,
        help="What floating-point tensors are stored as.",
    )(command)


def machine_options(command: Any) -> Any:
    """Add --streams, --threads and --device."""
    for option in (
        click.option("--device", metavar="NAME", help="cpu, gpu or gpu:N."),
        click.option(
            "--threads",
            type=click.IntRange(1),
            metavar="N",
            help="Threads that work on one operation.",
        ),
        click.option(
            "--streams",
            type=click.IntRange(1),
            metavar="N",
            help="Batches computed at a time. [default: 2 on two processors, up to 8 on more]",
        ),
    ):
        command = option(command)
    return command
