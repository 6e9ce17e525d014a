"""What it costs to inspect a file: measured in each fork of the process that inspects.

Only such a fork itself can tell: nobody waits for it.
"""

from __future__ import annotations

import functools
import resource
from pathlib import Path

from kprobe.gate import inspector

_PROGRAM = """
import costs
costs.note_forks({log!r})
serve()
"""


def measure_own() -> tuple[float, int]:
    """Give what this process took: seconds of computing, and the most bytes of memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def note_forks(log: str) -> None:
    """Let each fork that inspects note its costs, before it answers."""
    inspect = inspector._inspect

    @functools.wraps(inspect)
    def measured(*arguments):
        try:
            return inspect(*arguments)
        finally:
            with Path(log).open("a") as file:
                print(*measure_own(), file=file)

    inspector._inspect = measured


def change_program(program: str, log: Path) -> str:
    """Give the program of the process that inspects, so that its forks note their costs."""
    assert program.endswith("\nserve()\n")
    return program.removesuffix("\nserve()\n") + _PROGRAM.format(log=str(log))


def read_forks(log: Path) -> list[tuple[float, int]]:
    """Give what each fork took so far, as `measure_own` does."""
    if not log.exists():
        return []
    rows = [line.split() for line in log.read_text().splitlines()]
    return [(float(seconds), int(most)) for seconds, most in rows]
