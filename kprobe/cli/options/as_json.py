"""--json, which commands with a result have: print it as JSON rather than as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def json_option(what: str) -> Callable[[Any], Any]:
    """Add --json, as `as_json`, with what its help says."""
    return click.option("--json", "as_json", is_flag=True, help=what)
