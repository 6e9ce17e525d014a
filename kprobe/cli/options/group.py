"""Groups of options: each option stands once, and commands take a group or a part of it.

@selection_options
@sample_options.without("random", "limit")
def stats(model, **options): …
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTHERS = "Options"


class _GroupedOption(click.Option):
    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


def find_section(param: click.Option) -> str:
    """Give the title that an option stands under in the help."""
    return param.section if isinstance(param, _GroupedOption) else _OTHERS


@dataclass(frozen=True)
class Declaration:
    """How an option is declared.

    Attributes:
        flags: Its names on the command line.
        attributes: What `click.option` takes besides.
    """

    flags: tuple[str, ...]
    attributes: Mapping[str, Any]


def declare(*flags: str, **attributes: Any) -> Declaration:
    """Declare an option of a group, as `click.option` does one of a command."""
    return Declaration(flags, attributes)


@dataclass(frozen=True)
class OptionGroup:
    """Options that a part of a job is made of; a decorator that adds them to a command.

    Attributes:
        title: The heading that they stand under in the help.
        options: The options by the names of their values, in the order of the help.
    """

    title: str
    options: Mapping[str, Declaration] = field(default_factory=dict)

    def __call__(self, command: Any) -> Any:
        """Add all of them."""
        # The last decorator's comes first.
        for name, option in reversed([*self.options.items()]):
            command = click.option(
                *option.flags,
                name,
                cls=_GroupedOption,
                section=self.title,
                **option.attributes,
            )(command)
        return command

    def only(self, *names: str) -> OptionGroup:
        """Give the group with these options alone."""
        return self._choose({name: self.options[name] for name in names})

    def without(self, *names: str) -> OptionGroup:
        """Give the group without these options."""
        left_out = {name: self.options[name] for name in names}
        return self._choose({name: o for name, o in self.options.items() if name not in left_out})

    def saying(self, **helps: str) -> OptionGroup:
        """Give the group with another help of some options, which mean less in a command."""
        options = dict(self.options)
        for name, text in helps.items():
            attributes = {**options[name].attributes, "help": text}
            options[name] = replace(options[name], attributes=attributes)
        return self._choose(options)

    def _choose(self, options: Mapping[str, Declaration]) -> OptionGroup:
        return replace(self, options=options)
