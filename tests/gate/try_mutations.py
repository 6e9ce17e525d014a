"""Change small honest files in all ways, and see what the gate says of each: `COUNT`.

It needs kprobe, `tests` and `tests/gate` in the path.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from mutations import make_mutation, make_seeds
from others import compare

from kprobe.gate.inspect import inspect
from kprobe.gate.opened import open_file


def judge(path, content):
    """Give the rules that a file breaks; one that breaks none is read by others, too."""
    path.write_bytes(content)
    found = inspect(opened := open_file(path))
    if not found.faults:
        compare(opened, content, found.format)
    return {fault.rule for fault in found.faults}


def try_mutations(seeds, folder, numbers):
    """Give how many were accepted, and how many broke each rule."""
    found = Counter()
    for number in numbers:
        ending, content = make_mutation(seeds, number)
        try:
            found.update(judge(folder / f"model.{ending}", content) or {"accepted"})
        except BaseException as error:
            error.add_note(f"mutation {number}, of a file that ends with {ending}")
            raise
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        told = try_mutations(make_seeds(), Path(made), range(int(sys.argv[1])))
    print(*(f"{count:6} {rule}" for rule, count in told.most_common()), sep="\n")
