"""--progress and --quiet: what a run says while it is under way, if anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def progress_option(command: Any) -> Any:
    """Add --progress, as `progress`."""
    return click.option(
        "--progress",
        type=click.Choice(["auto", "json", "none"]),
        default="auto",
        show_default=True,
        help="How progress is shown on stderr: a bar, or lines in a log; a line of JSON a second; "
        "not.",
    )(command)


def quiet_option(what: str) -> Callable[[Any], Any]:
    """Add --quiet, as `quiet`, with what its help says."""
    return click.option("--quiet", "-q", is_flag=True, help=what)
