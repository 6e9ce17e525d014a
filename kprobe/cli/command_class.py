"""A command: its help in sections, and all that is wrong with its options told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeAlias

import click
from click.core import iter_params_for_processing

from kprobe.cli.options.group import find_section
from kprobe.cli.usage_errors import TooMuchError, UsageErrors, find_meant_option
from kprobe.errors import KprobeError

Fault: TypeAlias = click.UsageError | KprobeError
Check: TypeAlias = Callable[[click.Context, dict[str, Any]], Iterator[Fault]]


class Command(click.Command):
    """A command whose options come in groups.

    Args:
        check: Yields what is wrong with options that don't go together: given the context, and the
            values by name, of which those that can't be meant are missing.
        look_on: Yields what else is wrong, where something is already: given the same, with
            defaults for what is missing.
    """

    def __init__(
        self,
        *args: Any,
        check: Check | None = None,
        look_on: Check | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self._check = check
        self._look_on = look_on

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            UsageErrors: All that is wrong with them.
        """
        given = [*args]
        faults: list[Fault] = []
        rest: list[str] = []
        try:
            rest = super().parse_args(ctx, args)
        except (click.UsageError, KprobeError) as first:
            # click stops at the first; what it leaves out is found by reading on.
            faults = [*self._find_faults(ctx, given)] or [first]
        if ctx.resilient_parsing:
            return rest
        if any(isinstance(fault, KprobeError) for fault in faults):
            # What the file of options has, nobody knows: nothing is missing then.
            told = [fault for fault in faults if not isinstance(fault, click.MissingParameter)]
            raise UsageErrors(told, ctx)
        if self._check is not None:
            faults += self._check(ctx, ctx.params)
        if faults and self._look_on is not None:
            faults += self._look_on(ctx, self._fill_in(ctx))
        if faults:
            raise UsageErrors(faults, ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, in a sandbox if that is asked for."""
        if ctx.params.pop("sandbox", False):
            from kprobe.cli.sandboxing import enter_sandbox

            enter_sandbox(str(self.name), ctx.params)
        return super().invoke(ctx)

    def _find_faults(self, ctx: click.Context, args: list[str]) -> Iterator[Fault]:
        """Read on behind each fault, as if it weren't there."""
        reader = _Reader(self, ctx, args)
        yield from reader.read()
        ctx.params.clear()
        rest = reader.rest
        for param in iter_params_for_processing(reader.order, self.get_params(ctx)):
            try:
                _, rest = param.handle_parse_result(ctx, reader.values, rest)
            except (click.BadParameter, KprobeError) as error:
                yield error
        for name in reader.valueless:
            ctx.params.pop(name, None)
        # From 8.3 on click marks so what isn't given, until all is read.
        unset = [name for name, value in ctx.params.items() if isinstance(value, Enum)]
        ctx.params.update(dict.fromkeys(unset))
        if rest and not reader.unsure:
            yield TooMuchError(rest, args, ctx)

    def _fill_in(self, ctx: click.Context) -> dict[str, Any]:
        """Give the values of all options, those that are missing as if they weren't asked for."""
        filled = dict(ctx.params)
        for param in self.get_params(ctx):
            if param.name in filled or not param.expose_value:
                continue
            value: Any = param.default if isinstance(param.default, str | int | float) else None
            if param.multiple:
                value = ()
            elif isinstance(param, click.Option) and param.is_flag:
                value = False
            filled[param.name] = param.callback(ctx, param, value) if param.callback else value
        return filled

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help, those of a group together."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(find_section(param), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _Reader:
    """Reads arguments to the end, whatever is misspelt among them.

    Attributes:
        values: What the options are given, as `click`'s parser has it.
        rest: What is left over of the arguments.
        order: The options in the order in which they were given.
        valueless: The names of the options that lack a value.
        unsure: Whether one of the arguments may be the value of an option that there isn't.
    """

    def __init__(self, command: click.Command, ctx: click.Context, args: list[str]) -> None:
        self._parser = command.make_parser(ctx)
        self._ctx = ctx
        self._args = [*args]
        self._params = {name: p for p in command.get_params(ctx) for name in p.opts}
        self.values: Any = {}
        self.rest: list[str] = []
        self.order: list[click.Parameter] = []
        self.valueless: list[str] = []
        self.unsure = False

    def read(self) -> Iterator[click.UsageError]:
        """Yield what is wrong with the names of options, and where a value is missing."""
        while True:
            before = [*self._args]
            try:
                self.values, self.rest, self.order = self._parser.parse_args(args=[*self._args])
                return
            except click.NoSuchOption as error:
                yield error
                self._replace(error.option_name)
            except click.BadOptionUsage as error:
                yield error
                self._take_out(error.option_name)
            if self._args == before:
                return

    def _replace(self, name: str) -> None:
        """Put the option that is meant for one that there isn't, or take it out."""
        place = self._find(name)
        if place is None:
            return
        meant = find_meant_option(name, self._ctx)
        if meant is None:
            self.unsure |= "=" not in self._args[place]
            del self._args[place]
            return
        _, equals, value = self._args[place].partition("=")
        param = self._params[meant]
        takes_none = isinstance(param, click.Option) and param.is_flag
        self._args[place] = meant if takes_none else f"{meant}{equals}{value}"

    def _take_out(self, name: str) -> None:
        place = self._find(name)
        if place is None:
            return
        if "=" in self._args[place]:
            self._args[place] = name  # it takes no value
            return
        del self._args[place]
        if (param := self._params.get(name)) is not None and param.name is not None:
            self.valueless.append(param.name)

    def _find(self, name: str) -> int | None:
        """Find where an option is given last, as one that lacks its value is."""
        end = self._args.index("--") if "--" in self._args else len(self._args)
        short = len(name) == 2
        for place in reversed(range(end)):
            text = self._args[place]
            if text == name or text.startswith(f"{name}=") or (short and text.startswith(name)):
                return place
        return None
