"""What was freed is used again, without asking the system for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import sys
if "keep" in sys.argv:
    from kprobe.cli.freed_memory import keep_memory
    keep_memory()

def measure():
    text = open("/proc/self/status").read()
    return int(text.partition("VmData:")[2].split()[0]) // 1024

sizes = [measure()]
for _ in range(20):
    b"x" * (48 << 20)
    sizes.append(measure())
print(*sizes)
"""


@pytest.mark.parametrize("argument", ["keep", "leave"])
def test_freed_memory_is_kept(argument):
    command = [sys.executable, "-c", MEASURE, argument]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, first, *others = map(int, told.split())  # what the process has of the system, in MB
    # What isn't kept is the fact this is for: were it to change, the setting could go.
    assert (first >= before + 48) == (argument == "keep")
    assert {*others} == {first}
