"""--sandbox, which commands have that run a model: see `kprobe.cli.sandboxing`."""

from __future__ import annotations

from typing import Any

import click


def sandbox_option(command: Any) -> Any:
    """Add --sandbox, as `sandbox`, of which the command's function hears nothing."""
    return click.option(
        "--sandbox",
        is_flag=True,
        help="Run without network, and write nothing but the output, which needs a folder of its "
        "own. On Linux.",
    )(command)
