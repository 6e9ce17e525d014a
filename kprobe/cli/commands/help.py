"""`kprobe help`: the manual, a page for each subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from kprobe.cli.command_class import Command
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import print_line, print_table, print_text
from kprobe.cli.stdio import own_stdout
from kprobe.errors import KprobeError
from kprobe.naming import name_nearest

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _complete(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    return [
        CompletionItem(subject, help=_read_title(page))
        for subject, page in _find_pages().items()
        if subject.startswith(begun)
    ]


@click.command("help", cls=Command)
@click.argument("subject", required=False, shell_complete=_complete)
@verbose_option
def help(subject: str | None, **_verbose: bool) -> None:  # noqa: A001 - the command's name
    """Read the manual: the page of a SUBJECT, or the list of them all."""
    pages = _find_pages()
    if subject is None:
        rows = [(name, _read_title(page)) for name, page in pages.items()]
        print_table(("subject", "what it tells"), rows, numbers=set())
        print_line("")
        print_line("`kprobe help SUBJECT` shows a page.")
        return
    if subject not in pages:
        raise KprobeError(_explain(subject, [*pages]))
    text = pages[subject].read_text("utf-8").rstrip("\n")
    if own_stdout().isatty():
        click.echo_via_pager(text)
    else:
        print_text(text)


def _find_pages() -> dict[str, Traversable]:
    """Find the pages by their subjects, in the order of the alphabet."""
    from importlib.resources import files

    pages = (files("kprobe") / "help").iterdir()
    found = {page.name.removesuffix(".md"): page for page in pages if page.name.endswith(".md")}
    return dict(sorted(found.items()))


def _read_title(page: Traversable) -> str:
    """Read what a page tells, from its first line: `# Subject: what it tells`."""
    return page.read_text("utf-8").partition("\n")[0].partition(": ")[2]


def _explain(subject: str, subjects: list[str]) -> str:
    """Say that there is no such page, and what there is."""
    ctx = click.get_current_context().find_root()
    if isinstance(ctx.command, click.Group) and subject in ctx.command.list_commands(ctx):
        return f"there is no page {subject!r}; `kprobe {subject} --help` describes the command"
    hint = name_nearest(subject, subjects) or f"there are {', '.join(subjects)}"
    return f"there is no page {subject!r}; {hint}"
