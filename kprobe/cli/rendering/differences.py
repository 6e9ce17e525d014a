"""How two sides differ, as a table or as JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from kprobe.analysis.comparison.table import write_table
from kprobe.cli.rendering.printing import print_json, print_line, say

if TYPE_CHECKING:
    from kprobe.analysis.comparison.result import DiffResult
    from kprobe.errors import Setting


def show_differences(result: DiffResult, as_json: bool) -> None:
    """Print how two sides differ: the table, what is claimed of it, and which tolerance would pass.

    Args:
        result: What was found.
        as_json: Whether to print it as JSON.
    """
    if as_json:
        print_json(result.to_json())
        return
    for line in result.notes:
        say(line)
    for line in write_table(result, _spell):
        print_line(line)


def _spell(setting: Setting) -> str:
    return f"--{setting.name} {shlex.quote(str(setting.value))}"
