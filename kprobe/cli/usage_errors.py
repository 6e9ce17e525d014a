"""What is wrong with a command line, in kprobe's words rather than click's."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kprobe.errors import KprobeError
from kprobe.naming import find_meant, join_nearest, list_names, name_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kprobe.errors import Setting

# What click's types say of a value: 'x' is not …, or 0 is not in the range ….
_REFUSED = re.compile(r"'(?P<text>.*)' is not |(?P<number>\S+) is not in the range ", re.DOTALL)
_EXTRA_SHOWN = 3
# Numbers as people write them: 1k, 2.5M, 1e6, 10,000.
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)([kKmMgG]?)|\d{1,3}(?:[,_ ]\d{3})+")
_POWERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class UsageErrors(click.UsageError):
    """Several faults of one command line.

    Attributes:
        errors: What is wrong, at least one.
    """

    def __init__(
        self, errors: Sequence[click.UsageError | KprobeError], ctx: click.Context
    ) -> None:
        super().__init__("\n".join(map(str, errors)), ctx)
        self.errors = errors


class TooMuchError(click.UsageError):
    """More arguments than a command takes.

    Args:
        extra: Those that are too many.
        args: All arguments.
        ctx: The context of the command.
    """

    def __init__(self, extra: Sequence[str], args: Sequence[str], ctx: click.Context) -> None:
        super().__init__(f"unexpected: {' '.join(extra)}", ctx)
        self.extra = extra
        self.option = _find_expanded(args, extra)


def explain_usage(error: click.ClickException, spell: Callable[[Setting], str] = str) -> list[str]:
    """Say what is wrong, and what would be right, in a line for each fault.

    Args:
        error: What click raised, or a command did.
        spell: Spells the settings that hints name.
    """
    errors = error.errors if isinstance(error, UsageErrors) else [error]
    lines = []
    for each in errors:
        lines += each.spell(spell) if isinstance(each, KprobeError) else [_explain(each)]
    return [*dict.fromkeys(lines)]


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
    if isinstance(error, TooMuchError):
        received = list_names(error.extra, _EXTRA_SHOWN)
        expanded = f"; {error.option}" if error.option else ""
        return f"{command}: expected no more arguments, received {received}{expanded}"
    return _begin_small(error.message)


def _find_expanded(args: Sequence[str], extra: Sequence[str]) -> str | None:
    """Tell how to quote a pattern, where the shell made many arguments of it."""
    there = next((name for name in extra if os.path.lexists(name)), None)
    if there is None:
        return None
    place = args.index(there)
    while place and not args[place].startswith("-"):
        place -= 1
    option = args[place].partition("=")[0]
    given = [Path(name) for name in args[place:] if os.path.lexists(name)]
    first = given[0].is_absolute(), given[0].suffix.lower()
    alike = (path for path in given if (path.is_absolute(), path.suffix.lower()) == first)
    folders = [str(path.parent) for path in alike]
    parts = [os.path.commonpath(folders), *(["**"] if len({*folders}) > 1 else []), f"*{first[1]}"]
    pattern = Path(*parts)
    quoted = f"{option} '{pattern}'" if option.startswith("-") else f"'{pattern}'"
    return f"put a pattern in quotes, or the shell makes several arguments of it: {quoted}"


def explain_command(name: str, commands: list[str]) -> str:
    """Say that there is no such command."""
    hint = name_nearest(name, commands) or f"there are {', '.join(commands)}"
    return f"there is no command {name!r}; {hint}"


def find_meant_option(name: str, ctx: click.Context | None) -> str | None:
    """Find the option that a misspelt one is meant to be."""
    params = ctx.command.get_params(ctx) if ctx is not None else []
    known = [flag for param in params for flag in param.opts if flag.startswith("--")]
    return next(iter(find_meant(name, known)), None)


def _explain_option(error: click.NoSuchOption, path: str) -> str:
    meant = find_meant_option(error.option_name, error.ctx)
    hint = join_nearest([meant]) if meant else f"`{path} --help` lists what there is"
    command = path.partition(" ")[2]
    has = f"{command} has" if command else "there is"
    return f"{has} no option {error.option_name}; {hint}"


def _explain_value(error: click.BadParameter, param: click.Parameter) -> str:
    match = _REFUSED.match(error.message)
    expected = _describe_type(param.type)
    if match is None or expected is None:
        return _begin_small(error.message)
    if match["text"] is None:
        return f"expected {expected}, received {match['number']}"
    number = _read_written(match["text"], param.type)
    meant = "" if number is None else f"; did you mean {number}?"
    return f"expected {expected}, received {match['text']!r}{meant}"


def _read_written(text: str, kind: click.ParamType[object]) -> int | None:
    """Read a whole number as people write it, where one is expected."""
    match = _WRITTEN.fullmatch(text)
    if match is None or not isinstance(kind, click.IntRange):
        return None
    if match[1] is None:
        return int(re.sub("[,_ ]", "", text))
    number = float(match[1]) * _POWERS[match[2].lower()]
    return int(number) if number.is_integer() and number < 1 << 53 else None


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
