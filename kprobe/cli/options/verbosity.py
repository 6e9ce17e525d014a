"""-v, which every command has: let libraries speak, and show where an error came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY = "kprobe.verbose"


def _note(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    # What a command's context holds here, the contexts around it hold too.
    ctx.meta[_KEY] = value
    return value


def saying_all(what: str) -> Callable[[Any], Any]:
    """Add --verbose, as `verbose`, with what its help says."""
    return click.option(
        "--verbose",
        "-v",
        is_flag=True,
        # Other options may fail while they are read.
        is_eager=True,
        callback=_note,
        help=what,
    )


def verbose_option(command: Any) -> Any:
    """Add --verbose, as `verbose`, to a command that may import TensorFlow."""
    what = "Let TensorFlow speak, too, and tell all of what failed, with its traceback."
    return saying_all(what)(command)


def is_verbose(ctx: click.Context | None) -> bool:
    """Tell whether it was given to the command of a context, or to one inside."""
    return ctx is not None and bool(ctx.meta.get(_KEY))
