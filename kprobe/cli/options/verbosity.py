"""-v, which every command has: let libraries speak, and show where an error came from."""

from __future__ import annotations

from typing import Any

import click

_KEY = "kprobe.verbose"


def _note(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    # What a command's context holds here, the contexts around it hold too.
    ctx.meta[_KEY] = value
    return value


def verbose_option(command: Any) -> Any:
    """Add --verbose, as `verbose`."""
    return click.option(
        "--verbose",
        "-v",
        is_flag=True,
        # Other options may fail while they are read.
        is_eager=True,
        callback=_note,
        help="Let TensorFlow speak, too, and tell all of what failed, with its traceback.",
    )(command)


def is_verbose(ctx: click.Context | None) -> bool:
    """Tell whether it was given to the command of a context, or to one inside."""
    return ctx is not None and bool(ctx.meta.get(_KEY))
