"""Which part of the ranges a process writes, said outright or by the scheduler that started it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_AUTO = re.compile(r"auto(?:/([0-9]{1,9}))?")
# What schedulers tell a job: its number, the first one, the last one, and the step between them.
# The first whose number is there counts. SLURM: sbatch(1) and srun(1); LSF: bsub(1), "Job arrays";
# PBS: qsub(1), `-J`; Kubernetes: "Indexed Job".
_SCHEDULERS: Sequence[tuple[str, str, str | None, str | None, str | None]] = (
    (
        "SLURM_ARRAY_TASK_ID",
        "a job array of SLURM",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ),
    ("LSB_JOBINDEX", "a job array of LSF", None, "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP"),
    ("PBS_ARRAY_INDEX", "a job array of PBS", None, None, None),
    ("JOB_COMPLETION_INDEX", "an indexed job of Kubernetes", None, None, None),
    ("SLURM_PROCID", "a step of SLURM", None, None, None),
)
# Where a scheduler counts from, if it doesn't say.
_FIRST = {"LSB_JOBINDEX": 1, "PBS_ARRAY_INDEX": 1}


@dataclass(frozen=True)
class Shard:
    """One of several equal parts.

    Attributes:
        number: Which one, from 1.
        count: How many there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def choose(self, ranges: Sequence[range]) -> list[range]:
        """Give the ranges of this part: every so many, so that parts differ by one at most."""
        return list(ranges[self.number - 1 :: self.count])


def read_shard(text: object, told: Mapping[str, str] | None = None) -> Shard:
    """Read which part is meant.

    Args:
        text: "I/N", from 1/N to N/N; "auto", where the scheduler tells both; or "auto/N".
        told: What the scheduler tells; the environment of this process by default.

    Raises:
        DumpError: It is none of them, or the scheduler doesn't tell.
    """
    if isinstance(text, Shard):
        return text
    if isinstance(text, str):
        if found := _SHARD.fullmatch(text):
            shard = Shard(int(found[1]), int(found[2]))
            if 1 <= shard.number <= shard.count:
                return shard
        elif found := _AUTO.fullmatch(text):
            count = None if found[1] is None else int(found[1])
            return _ask_scheduler(count, os.environ if told is None else told)
    raise DumpError(
        f"shard: expected I/N, from 1/N to N/N, or auto, or auto/N, received {text!r:.60}"
    )


def _ask_scheduler(count: int | None, told: Mapping[str, str]) -> Shard:
    for name, what, least, most, step in _SCHEDULERS:
        if (number := _find(told, name)) is None or (name == "LSB_JOBINDEX" and number == 0):
            continue  # LSF tells 0 outside of arrays
        first = _FIRST.get(name, 0) if least is None else _find(told, least) or 0
        each = 1 if step is None else _find(told, step) or 1
        last = None if most is None else _find(told, most)
        if name == "SLURM_PROCID":
            last = (_find(told, "SLURM_NTASKS") or 0) - 1
        found = (number - first) // each + 1
        all_of_them = None if last is None else (last - first) // each + 1
        count = all_of_them if count is None else count
        if count is None:
            raise DumpError(
                f"shard: {what} doesn't tell how many jobs there are",
                hint="say so, such as auto/8",
            )
        if not 1 <= found <= count or (number - first) % each:
            raise DumpError(
                f"shard: expected one of {count} jobs, received number {found} by {name}={number}"
            )
        return Shard(found, count)
    raise DumpError(
        "shard: expected a scheduler that tells which job this is, received none of "
        + ", ".join(name for name, *_ in _SCHEDULERS),
        hint="say which part is meant, such as 1/4",
    )


def _find(told: Mapping[str, str], name: str) -> int | None:
    text = told.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
