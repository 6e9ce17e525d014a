"""The one boundary where exceptions become lines on stderr and exit codes."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import TYPE_CHECKING

import click

from kprobe.cli.output import say
from kprobe.cli.quiet import give_back_stderr
from kprobe.errors import KprobeError, ModelCodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kprobe.errors import Setting

BUG = 70
STOPPED = 75


@contextlib.contextmanager
def reporting(ctx: click.Context) -> Iterator[None]:
    """Report what the block raises, and leave with the exit code of its kind."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except KprobeError as error:
        if ctx.obj and ctx.obj.get("verbose") and error.__cause__ is not None:
            traceback.print_exception(error.__cause__, file=sys.stderr)
        elif isinstance(error, ModelCodeError) and error.excerpt:
            click.echo(error.excerpt, file=sys.stderr)
        for line in error.spell(_make_speller(ctx)):
            say(line)
        ctx.exit(error.exit_code)
    except KeyboardInterrupt:
        say("stopped")
        ctx.exit(STOPPED)
    except Exception:
        give_back_stderr()
        traceback.print_exc()
        say("this is a bug in kprobe: please report the lines above")
        ctx.exit(BUG)


def _make_speller(ctx: click.Context) -> Callable[[Setting], str]:
    """Make what spells a setting as the flag that the command has for it, or else that any has."""
    group = ctx.find_root().command
    commands = list(group.commands.values()) if isinstance(group, click.Group) else [group]
    commands.sort(key=lambda command: command.name == ctx.invoked_subcommand, reverse=True)
    flags: dict[str | None, str] = {}
    for command in commands:
        for param in command.params:
            if isinstance(param, click.Option):
                flags.setdefault(param.name, max(param.opts, key=len))

    def spell(setting: Setting) -> str:
        flag = flags.get(setting.name, setting.name)
        return flag if setting.value in (None, True) else f"{flag} {setting.value}"

    return spell
