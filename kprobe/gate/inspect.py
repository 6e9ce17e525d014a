"""Inspect a file by all rules of the gate but those of names, the cheapest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kprobe.gate.findings import Findings, Limits
from kprobe.gate.opened_directory import OpenedDirectory
from kprobe.gate.rules import Fault

if TYPE_CHECKING:
    from kprobe.gate.findings import Opened


def inspect(opened: Opened, limits: Limits | None = None) -> Findings:
    """Inspect a file or a directory.

    Args:
        opened: The file or the directory.
        limits: Only `max_model_bytes` is looked at. What else bounds it: `kprobe.gate.apart`.

    Returns:
        What it finds: the faults of the first step that finds any.
    """
    limits = limits or Limits()
    most = limits.max_model_bytes
    if most is not None and opened.size > most:
        fault = Fault("file-size", f"takes {opened.size:,} bytes, above the limit of {most:,}")
        return Findings((fault,), opened.size)
    if isinstance(opened, OpenedDirectory):
        return Findings((), opened.size, "saved_model")
    if opened.read(64).lstrip().startswith(b"{"):
        json.loads(opened.read(opened.size))
        return Findings((), opened.size, "json")
    return Findings((), opened.size)
