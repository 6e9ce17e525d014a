"""The kinds of things that files may be allowed to hold, as they are given."""

from __future__ import annotations

from collections.abc import Sequence

from kprobe.checks import check_choice
from kprobe.errors import ModelError
from kprobe.gate.rules import KINDS


def read_kinds(given: str | Sequence[str]) -> frozenset[str]:
    """Read the kinds that are allowed.

    Raises:
        ModelError: One isn't known.
    """
    parts = [given] if isinstance(given, str) or not isinstance(given, Sequence) else [*given]
    kinds: list[str] = []
    for part in parts:
        kinds += [kind.strip() for kind in part.split(",")] if isinstance(part, str) else [part]
    faults = [fault for kind in kinds for fault in check_choice("allow", kind, KINDS)]
    if faults:
        raise ModelError(*dict.fromkeys(faults))
    return frozenset(kinds)
