"""The collection: all files that the gate is tried on."""

from __future__ import annotations

import importlib
from pathlib import Path

from gate.hostile.case import Case


def read_cases(kind=Case, name=""):
    """Give the cases of all modules in `hostile/` that have some.

    Args:
        kind: `Case`, of models, or `InputCase`, of samples.
        name: What their names begin with; a tuple of several.
    """
    cases = []
    for path in sorted((Path(__file__).parent / "hostile").glob("*.py")):
        module = importlib.import_module(f"gate.hostile.{path.stem}")
        cases += [case for case in getattr(module, "CASES", ()) if isinstance(case, kind)]
    return [case for case in cases if case.name.startswith(name)]
