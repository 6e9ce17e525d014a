"""Globs: `*` for any text and `?` for one character, and nothing else."""

from __future__ import annotations

import re


def compile_glob(glob: str) -> re.Pattern[str]:
    """Give the regular expression whose `fullmatch` tells what a glob fits; `*` crosses slashes."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in glob)
    return re.compile("".join(parts), re.DOTALL)
