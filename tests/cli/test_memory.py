"""What was freed is used again, without asking the system for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
if "keep" in sys.argv:
    from kprobe.cli.memory import keep_memory
    keep_memory()

def use():
    for _ in range(20):
        b"x" * (48 << 20)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("argument", ["keep", "leave"])
def test_freed_memory_is_kept(argument):
    command = [sys.executable, "-c", COUNT_FAULTS, argument]
    faults = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    pages = 20 * (48 << 20) // 4096
    # What isn't kept is the fact this is for: were it to change, the setting could go.
    assert (faults < pages / 20) == (argument == "keep")
