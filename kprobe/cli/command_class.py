"""A command: its help in sections, and all that is wrong with its options told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import iter_params_for_processing

from kprobe.cli.options.group import find_section
from kprobe.cli.usage_errors import UsageErrors

if TYPE_CHECKING:
    from collections.abc import Iterator


class Command(click.Command):
    """A command whose options come in groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            UsageErrors: Values that can't be meant, or what is missing: all of them.
        """
        given = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as first:
            # click stops at the first; what it leaves out is found by reading on.
            errors = [*self._find_bad_parameters(ctx, given)]
            raise UsageErrors(errors or [first], ctx) from None

    def _find_bad_parameters(
        self, ctx: click.Context, args: list[str]
    ) -> Iterator[click.BadParameter]:
        values, rest, order = self.make_parser(ctx).parse_args(args=args)
        for param in iter_params_for_processing(order, self.get_params(ctx)):
            try:
                param.handle_parse_result(ctx, values, rest)
            except click.BadParameter as error:
                yield error

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
