"""Foresee what a plan takes: time, and room on the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.pipeline.running.estimate import estimate_seconds

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a plan takes.

    Attributes:
        free_bytes: How much is free where the dump would be.
        compute_seconds: How long it takes to compute all rows, as `estimate_seconds` has it.
    """

    free_bytes: int
    compute_seconds: float | None


def forecast(plan: Plan) -> Forecast:
    """Foresee what a plan takes that writes a dump; some batches of it are computed.

    Raises:
        ValueError: It writes none.
        InputError: A sample can't be read.
    """
    if plan.job.output is None:
        raise ValueError("the plan writes nothing")
    seconds = estimate_seconds(plan)
    free = shutil.disk_usage(plan.job.output.path.absolute().parent).free
    return Forecast(free_bytes=free, compute_seconds=seconds)
