"""How many samples run at a time, and how many batches: what was asked for, or a choice."""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING

from kprobe.errors import InputError
from kprobe.graph.device import has_gpu
from kprobe.pipeline.feeds import read_feeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.layout import Column
    from kprobe.graph.computation import Computation
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.job import Job
    from kprobe.pipeline.settle import Settled

# What is stored of a batch: half a dozen of them are under way at once. And of all that are
# computed at a time.
_STORED_BYTES = 16 << 20
_COMPUTED_BYTES = 128 << 20
# As much as the caches of most processors hold; and what glibc allocates above this it takes, where
# nothing else is said, from the system anew each time (M_MMAP_THRESHOLD, mallopt(3)). Measured on
# two cores, samples/s, frozen, with the largest tensor of a batch at 20, 40 and 150 MB:
# EfficientNetB0 59, 47, 32; MobileNetV2 94, 68, 51; at 26, 51 and 410 MB: VGG16 7.6, 6.5, 5.9.
# Where freed memory is kept, MobileNetV2 at 40, 150 and 300 MB: 105, 71, 55.
_TENSOR_BYTES = 32 << 20
# Beyond, calling the graph doesn't show, even where it computes next to nothing.
_MOST = 1024
# What training takes where nothing is said (keras.Model.fit): it shows in the results there. And
# what a GPU, which has memory of its own, is kept busy with.
_USUAL = 32
_MOST_STREAMS = 8


def choose_batch_size(
    job: Job, settled: Settled, samples: Samples, columns: Sequence[Column]
) -> int:
    """The model's only one, what was asked for, or as many as are computed fastest.

    Args:
        job: The job.
        settled: What is computed.
        samples: The samples.
        columns: What is stored.

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
    stored = sum(column.row_bytes for column in columns)
    computed = settled.subgraph.find_largest()
    largest = max(
        computed or 0,
        max((column.row_bytes for column in columns), default=0),
        # What the graph makes floating-point numbers of, whose size a model may leave open.
        max((4 * prod(rows.shape[1:]) for rows in samples.peek(1).values()), default=0),
    )
    by_speed = not _mixes_samples(job) and not has_gpu()
    # Of what nobody knows the size of, such as photos as they are, many may be too many; and
    # where the user's Python takes its time, a large batch would be long on its way to the disk.
    known = computed is not None and all(-1 not in shape for shape, _ in samples.specs().values())
    known &= not (samples.rows is None or settled.subgraph.runs_python)
    size = _MOST if by_speed and known else _USUAL
    while size > 1 and (
        size * stored > (_STORED_BYTES if by_speed else _COMPUTED_BYTES)
        or (by_speed and size * largest > _TENSOR_BYTES)
        or size >= 2 * samples.most
    ):
        size //= 2
    return size


def choose_streams(job: Job, settled: Settled, batch_size: int, columns: Sequence[Column]) -> int:
    """As many batches as were asked for, or as many as fill the processor.

    Where a batch depends on the last one, that is one; where Python is called, unless told.

    Raises:
        InputError: Several are asked for, and a batch depends on the last one.
    """
    alone = job.stateful or settled.subgraph.has_state
    if alone and job.streams not in (None, 1):
        raise InputError(
            f"--streams {job.streams}: with state or seeds that are set before each batch, "
            "or eagerly, batches are computed one at a time",
            hint="leave --streams out",
        )
    # The user's Python needn't expect to be called from several threads.
    if alone or job.streams is not None or job.eager or settled.subgraph.runs_python:
        return job.streams or 1
    # Measured on two cores: two are 1.2 to 1.3 times as fast as one where there are many small
    # operations (MobileNetV2, EfficientNetB0), and three not faster than two. More cores than two
    # are partly busy with one batch. On a GPU the next batch is copied while one is computed.
    cores = len(os.sched_getaffinity(0))
    streams = 2 if has_gpu() else min(cores, max(2, cores // 2), _MOST_STREAMS)
    stored = batch_size * sum(column.row_bytes for column in columns)
    while streams > 1 and streams * stored > _COMPUTED_BYTES:
        streams //= 2
    return streams


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
    if not size or not _mixes_samples(job):
        return
    rows = samples.rows
    if rows is None or job.on_error == "skip":
        what = "samples that nobody has counted" if rows is None else "--on-error skip"
        raise InputError(
            f"the model takes batches of {size} samples only: with {what} the statistics of a "
            "batch could count what it is filled up with",
            hint="give a .npy of whole batches" if rows is None else "leave it out",
        )
    if rows % size:
        raise InputError(
            f"the model takes batches of {size} samples only, and {rows} are no multiple of it: "
            "the statistics of the last batch would count what it is filled up with",
            hint=f"--limit {rows - rows % size}" if rows > size else f"give at least {size}",
        )


def _mixes_samples(job: Job) -> bool:
    """Tell whether what comes of a sample depends on the others in its batch."""
    replaced = read_feeds(job.feeds).replaced.values()
    return job.training or any(replacement.kind == "mean" for replacement in replaced)
