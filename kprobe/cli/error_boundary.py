"""The one boundary where exceptions become lines on stderr and exit codes."""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import TYPE_CHECKING

import click

from kprobe.cli.options.verbosity import is_verbose
from kprobe.cli.rendering.printing import PREFIX, say, say_text
from kprobe.cli.stdio import give_back_stderr, list_own_streams
from kprobe.cli.usage_errors import explain_usage
from kprobe.errors import InputError, KprobeError, ModelCodeError, ModelError
from kprobe.escaping import escape_hidden
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from kprobe.errors import Setting

BUG = 70
STOPPED = 75
# What a shell reports of a process that SIGPIPE ended, as it ends other filters.
READER_GONE = 141


@contextlib.contextmanager
def reporting(ctx: click.Context | None) -> Iterator[None]:
    """Report what the block raises, and leave with the exit code of its kind.

    Args:
        ctx: The context of the group of commands; None where it isn't there yet.
    """
    try:
        yield
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        raise
    except BrokenPipeError:
        code = READER_GONE
    except click.ClickException as error:
        with _telling():
            for line in explain_usage(error, _make_speller(_find_context(error) or ctx)):
                say(line)
        code = error.exit_code
    except KprobeError as error:
        with _telling():
            _report(error, ctx)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        with _telling():
            say("stopped")
        code = STOPPED
    except Exception as error:
        shortage = find_shortage(error)
        with _telling():
            if shortage is None:
                _report_bug(error)
            else:
                _report(shortage, ctx)
        code = BUG if shortage is None else shortage.exit_code
    else:
        return
    _let_go()
    raise click.exceptions.Exit(code)


def _find_context(error: click.ClickException) -> click.Context | None:
    return error.ctx if isinstance(error, click.UsageError) else None


def _telling() -> AbstractContextManager[None]:
    # Where nobody reads stderr any more, the exit code still tells.
    return contextlib.suppress(OSError)


def _report(error: KprobeError, ctx: click.Context | None) -> None:
    verbose = is_verbose(ctx)
    told = [*_list_errors(error)]
    for each in told:
        if verbose and each.__cause__ is not None:
            say_text("".join(traceback.format_exception(each.__cause__)).removesuffix("\n"))
        elif isinstance(each, ModelCodeError) and each.excerpt:
            say_text(each.excerpt)
    spell = _make_speller(ctx)
    lines = error.spell(spell) if verbose else _abridge(error, spell)
    for line in lines:
        say(line)
    _tell_of_sandbox(error)


def _tell_of_sandbox(error: Exception) -> None:
    from kprobe.cli.sandboxing import explain_bar

    if (barred := explain_bar(error)) is not None:
        say(f"hint: {barred}")


# Characters of a line; and what -v has besides.
_LONGEST = 299 - len(PREFIX)
_TRACEBACK, _REST = "-v shows the traceback", "-v tells all"


def _abridge(error: KprobeError, spell: Callable[[Setting], str]) -> list[str]:
    """Give an error in lines that are read at a glance, and say whether -v tells more."""
    if any(_is_caused_by_others(each) for each in _list_errors(error)):
        more = _TRACEBACK
    elif error.spell(spell, _LONGEST) != [escape_hidden(line) for line in error.spell(spell)]:
        more = _REST
    else:
        return error.spell(spell, _LONGEST)
    lines = error.spell(spell, _LONGEST - len(more) - 2)
    return [f"{lines[0]}; {more}"] if len(lines) == 1 else [*lines, f"hint: {more}"]


def _list_errors(error: KprobeError) -> Iterator[KprobeError]:
    if not error.merged:
        yield error
    for each in error.merged:
        yield from _list_errors(each)


def _is_caused_by_others(error: KprobeError) -> bool:
    """Tell whether a traceback would show code that isn't kprobe's: the model's or the user's."""
    return isinstance(error, ModelError | InputError) and error.__cause__ is not None


def _report_bug(error: Exception) -> None:
    give_back_stderr()
    say_text(traceback.format_exc().removesuffix("\n"))
    _tell_of_sandbox(error)
    say("this is a bug in kprobe: please report the lines above")


def _let_go() -> None:
    """Drop what can't be written: Python would try once more on its way out, and complain."""
    for stream in list_own_streams():
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _make_speller(ctx: click.Context | None) -> Callable[[Setting], str]:
    """Make what spells a setting as the flag that the command has for it, or else that any has."""
    flags: dict[str | None, str] = {}
    for command in _list_commands(ctx):
        for param in command.params:
            if isinstance(param, click.Option):
                flags.setdefault(param.name, max(param.opts, key=len))

    def spell(setting: Setting) -> str:
        flag = flags.get(setting.name, setting.name)
        if setting.value in (None, True):
            return flag
        values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
        return " ".join(f"{flag} {value}" for value in values)

    return spell


def _list_commands(ctx: click.Context | None) -> list[click.Command]:
    """List the commands, the one that runs first."""
    if ctx is None:
        return []
    root = ctx.find_root()
    group = root.command
    if not isinstance(group, click.Group):
        return [group]
    found = (group.get_command(root, name) for name in group.list_commands(root))
    commands = [command for command in found if command is not None]
    return sorted(commands, key=lambda command: command.name != ctx.invoked_subcommand)
