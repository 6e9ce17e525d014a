"""The collection: all files that the gate is tried on."""

from __future__ import annotations

import importlib
from pathlib import Path

from gate.hostile.case import Case


def read_cases():
    """Give the cases of models of all modules in `hostile/` that have some."""
    cases = []
    for path in sorted((Path(__file__).parent / "hostile").glob("*.py")):
        module = importlib.import_module(f"gate.hostile.{path.stem}")
        # Those of inputs are others.
        cases += [case for case in getattr(module, "CASES", ()) if isinstance(case, Case)]
    return cases
