"""What is wrong with a command line, in kprobe's words rather than click's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from kprobe.naming import name_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

# What click's types say of a value: 'x' is not …, or 0 is not in the range ….
_REFUSED = re.compile(r"'(?P<text>.*)' is not |(?P<number>\S+) is not in the range ", re.DOTALL)
_MORE = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.DOTALL)


class UsageErrors(click.UsageError):
    """Several faults of one command line.

    Attributes:
        errors: What is wrong, at least one.
    """

    def __init__(self, errors: Sequence[click.UsageError], ctx: click.Context) -> None:
        super().__init__("\n".join(error.message for error in errors), ctx)
        self.errors = errors


def explain_usage(error: click.ClickException) -> list[str]:
    """Say what is wrong, and what would be right, in a line for each fault.

    Args:
        error: What click raised, or a command did.
    """
    errors = error.errors if isinstance(error, UsageErrors) else [error]
    return [_explain(each) for each in errors]


def _explain(error: click.ClickException) -> str:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx is not None else "kprobe"
    command = path.partition(" ")[2]
    if isinstance(error, click.NoSuchOption):
        return _explain_option(error, path)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{command}: expected {_name(error.param)}; `{path} --help` tells more"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"{_name(error.param)}: {_explain_value(error, error.param)}"
    if isinstance(error, click.BadOptionUsage):
        takes_none = "does not take a value" in error.message
        return f"{error.option_name}: expected {'no value' if takes_none else 'a value'}"
    if match := _MORE.match(error.message):
        return f"{command}: expected no more arguments, received {match[1]}"
    return _begin_small(error.message)


def explain_command(name: str, commands: list[str]) -> str:
    """Say that there is no such command."""
    hint = name_nearest(name, commands) or f"there are {', '.join(commands)}"
    return f"there is no command {name!r}; {hint}"


def _explain_option(error: click.NoSuchOption, path: str) -> str:
    params = error.ctx.command.get_params(error.ctx) if error.ctx is not None else []
    known = [name for param in params for name in param.opts if name.startswith("--")]
    hint = name_nearest(error.option_name, known) or f"`{path} --help` lists what there is"
    command = path.partition(" ")[2]
    has = f"{command} has" if command else "there is"
    return f"{has} no option {error.option_name}; {hint}"


def _explain_value(error: click.BadParameter, param: click.Parameter) -> str:
    match = _REFUSED.match(error.message)
    expected = _describe_type(param.type)
    if match is None or expected is None:
        return _begin_small(error.message)
    received = match["number"] if match["text"] is None else repr(match["text"])
    return f"expected {expected}, received {received}"


def _describe_type(kind: click.ParamType[object]) -> str | None:
    if isinstance(kind, click.Choice):
        *others, last = map(str, kind.choices)
        return f"{', '.join(others)} or {last}" if others else last
    if isinstance(kind, click.IntRange):
        most = "" if kind.max is None else f" to {kind.max}"
        return "a whole number" if kind.min is None else f"a whole number from {kind.min}{most}"
    return None


def _name(param: click.Parameter) -> str:
    """Give an option as its flag, and an argument as it stands in the help."""
    return (
        max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name
    )


def _begin_small(message: str) -> str:
    """Write a sentence as the other messages are written, which begin behind `kprobe:`."""
    first, rest = message[:1], message[1:]
    # Not the first letter of a name such as HDF5.
    small = first.lower() if rest[:1].islower() else first
    return small + rest.removesuffix(".")
