"""Find faults of a checkpoint of TensorFlow: which files it is in, and if its index fits them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from kprobe.gate.graphs.checkpoint_index import MAX_INDEX_BYTES, find_index_faults
from kprobe.gate.opened import describe_mode
from kprobe.gate.opened_checkpoint import DATA, INDEX
from kprobe.gate.opened_directory import MAX_MEMBERS
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from kprobe.gate.opened_checkpoint import OpenedCheckpoint
    from kprobe.gate.opened_directory import OpenedDirectory

_RULE = "savedmodel-variables"


def find_checkpoint_faults(
    checkpoint: OpenedCheckpoint, counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find the first fault of a checkpoint.

    Args:
        checkpoint: Its files.
        counts: As for `find_index_faults`.
    """
    if len(checkpoint.members) > MAX_MEMBERS:
        yield Fault("savedmodel-members", f"has more than {MAX_MEMBERS:,} files")
        return
    for member in checkpoint.members:
        name = show(member.name)
        if not stat.S_ISREG(member.mode):
            what = describe_mode(member.mode)
            text = f"has {name}: expected a regular file, received {what}"
            yield Fault("savedmodel-members", text)
            return
        if member.name.endswith(INDEX) and member.size > MAX_INDEX_BYTES:
            text = f"has a {name} of {member.size:,} bytes, above the limit of {MAX_INDEX_BYTES:,}"
            yield Fault("savedmodel-size", text)
            return
    yield from find_variable_faults(checkpoint, checkpoint.path.name, counts)


def find_variable_faults(
    directory: OpenedDirectory, prefix: str, counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find faults of the files of variables.

    Args:
        directory: What they lie in.
        prefix: What their names in it begin with.
        counts: As for `find_index_faults`.
    """
    shards: dict[str, int] = {}
    numbers = []
    for member in directory.members:
        end = member.name.removeprefix(prefix)
        if end != member.name and (found := DATA.fullmatch(end)):
            shards[member.name] = member.size
            numbers.append((int(found[1]), int(found[2])))
    index = directory.open_member(f"{prefix}{INDEX}")
    if index is None:
        if shards:
            yield Fault(_RULE, f"has no {show(prefix + INDEX)}")
        return
    # Sorted by their names, as all members are.
    if numbers != [(number, len(shards)) for number in range(len(shards))]:
        yield Fault(_RULE, "hasn't all files of its variables, or too many")
        return
    yield from find_index_faults(index.read(MAX_INDEX_BYTES), [*shards.values()], counts)
