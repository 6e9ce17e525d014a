"""The group of commands, and how it is run."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.error_boundary import reporting
from kprobe.cli.stdio import open_stderr
from kprobe.cli.usage_errors import explain_command
from kprobe.errors import KprobeError
from kprobe.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

_COMMANDS = (
    "dump",
    "check",
    "ls",
    "find",
    "show",
    "stats",
    "diff",
    "similarity",
    "plot",
    "cam",
    "report",
    "merge",
    "clean",
    "bench",
    "help",
)


class _Commands(click.Group):
    """A group whose commands all report their errors in one way.

    Args:
        homes: The modules of commands, by the commands' names: each is imported when it is needed.
    """

    command_class = Command

    def __init__(
        self, *args: Any, homes: Mapping[str, str] | None = None, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self._homes = homes or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self._homes, *super().list_commands(ctx)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._homes:
            found: click.Command = getattr(importlib.import_module(self._homes[cmd_name]), cmd_name)
            return found
        return super().get_command(ctx, cmd_name)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if extra.get("resilient_parsing"):  # to complete a word, which fails in silence
            return super().make_context(info_name, args, parent, **extra)
        with reporting(None):
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = [*self._homes, *self.commands]
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            raise KprobeError(explain_command(name, known))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with reporting(ctx):
            return super().invoke(ctx)


@click.group(
    cls=_Commands,
    homes={name: f"kprobe.cli.commands.{name}" for name in _COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: kprobe ls MODEL. Then: kprobe dump MODEL --layers NAME,NAME",
)
@click.version_option(__version__, prog_name="kprobe")
def cli() -> None:
    """Dump the activations of any layer of a saved Keras model to HDF5."""


def main() -> None:
    """Run the command line."""
    _open_descriptors()
    if sys.stderr is None:  # closed by the caller
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process
    else:
        sys.stderr = open_stderr(2)
    signal.signal(signal.SIGTERM, _stop)
    # A shell's background job has Ctrl-C ignored, `nohup` the end of a terminal: that is to stay.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    cli(prog_name="kprobe")


def _open_descriptors() -> None:
    """Open what the caller closed of stdin, stdout and stderr.

    Else a dump that is opened next becomes, say, number 2, and what libraries write to stderr
    goes into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


class _SignalError(KeyboardInterrupt):
    """A signal to stop: whatever is open is closed on the way out.

    A KeyboardInterrupt itself that passes through code run by `exec`, as some libraries do, makes
    Python end the process by SIGINT, whatever exit code is asked for.
    """


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _SignalError
