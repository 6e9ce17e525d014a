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
    from collections.abc import Iterator

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
        for line in error.lines:
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
