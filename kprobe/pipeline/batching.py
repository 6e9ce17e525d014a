"""How many samples run at a time, and how many batches: what was asked for, or a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import InputError
from kprobe.pipeline.feeds import read_feeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.graph.computation import Computation
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.job import Job
    from kprobe.pipeline.settle import Settled

# A batch of results shouldn't fill the memory: a few of them are under way at once.
_BATCH_BYTES = 128 << 20
_BATCH_SIZE = 32


def choose_batch_size(job: Job, settled: Settled, rows: int, row_bytes: int) -> int:
    """The model's only one, what was asked for, or as many as fit the memory a few times.

    Args:
        job: The job.
        settled: What is computed.
        rows: How many samples there are.
        row_bytes: What is stored of one, in bytes.

    Raises:
        InputError: The model takes another size only.
    """
    only = settled.subgraph.batch_size
    if only is not None:
        if job.batch_size not in (None, only):
            raise InputError(
                f"the model takes batches of {only} samples only, received --batch-size "
                f"{job.batch_size}"
            )
        return int(only)
    if job.batch_size is not None or settled.whole:
        return job.batch_size or 1
    size = _BATCH_SIZE
    while size > 1 and (size * row_bytes > _BATCH_BYTES or size >= 2 * rows):
        size //= 2
    return size


def choose_streams(job: Job, subgraph: Computation) -> int:
    """As many batches as were asked for, where a batch doesn't depend on the last one.

    Raises:
        InputError: Several are asked for, and it does.
    """
    if job.streams in (None, 1) or not (job.stateful or subgraph.has_state):
        return job.streams or 1
    raise InputError(
        f"--streams {job.streams}: with state or seeds that are set before each batch, --exact or "
        "bfloat16, batches are computed one at a time",
        hint="leave --streams out",
    )


def check_one_by_one(job: Job, whole: Mapping[str, str]) -> None:
    """Check that samples may run one by one, as tensors without rows need.

    Raises:
        InputError: Another batch size was asked for.
    """
    if job.batch_size not in (None, 1):
        raise InputError(
            *(f"{address} {reason}" for address, reason in whole.items()),
            f"such tensors are stored for samples run one by one, received --batch-size "
            f"{job.batch_size}",
            hint="leave --batch-size out, or these tensors",
        )


def check_whole_batches(job: Job, subgraph: Computation, samples: Samples) -> None:
    """Check that no batch is filled up where its samples don't stand for themselves.

    Raises:
        InputError: The last batch would be, and its statistics would count what fills it.
    """
    size = subgraph.batch_size
    mixes = job.training or any(r.kind == "mean" for r in read_feeds(job.feeds).replaced.values())
    if not size or not mixes:
        return
    if samples.open_ended or job.on_error == "skip":
        what = "samples that nobody has counted" if samples.open_ended else "--on-error skip"
        raise InputError(
            f"the model takes batches of {size} samples only: with {what} the statistics of a "
            "batch could count what it is filled up with",
            hint="give a .npy of whole batches" if samples.open_ended else "leave it out",
        )
    rows = samples.rows
    if rows % size:
        raise InputError(
            f"the model takes batches of {size} samples only, and {rows} are no multiple of it: "
            "the statistics of the last batch would count what it is filled up with",
            hint=f"--limit {rows - rows % size}" if rows > size else f"give at least {size}",
        )
