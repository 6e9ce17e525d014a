"""How many samples run at a time, and how many batches: what was asked for, or a choice."""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING

from kprobe.engines.device import has_gpu
from kprobe.errors import Hint, InputError, ModelError, Setting
from kprobe.pipeline.planning.probe import run_first
from kprobe.pipeline.planning.too_few import too_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.dumps.contents import Column
    from kprobe.engines.compute import Compute
    from kprobe.engines.engine import Engine
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.settle import Settled

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
    engine, asked = settled.computation.engine, job.compute.batch_size
    only = engine.batch_size
    if only is not None:
        if asked not in (None, only):
            raise InputError(
                f"the model takes batches of {only} samples only, received a batch size of {asked}"
            )
        return int(only)
    if asked is not None or settled.one_by_one:
        return asked or 1
    stored = sum(column.row_bytes for column in columns)
    computed = engine.find_largest()
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
    known &= not (samples.rows is None or engine.runs_python)
    most = job.compute.max_activation_bytes
    size = _MOST if by_speed and known else _USUAL
    while size > 1 and (
        size * stored > (_STORED_BYTES if by_speed else _COMPUTED_BYTES)
        or (by_speed and size * largest > _TENSOR_BYTES)
        or (most is not None and size * largest > most)
        or size >= 2 * samples.most
    ):
        size //= 2
    return size


def choose_streams(
    compute: Compute, settled: Settled, batch_size: int, columns: Sequence[Column]
) -> int:
    """As many batches as were asked for, or as many as fill the processor.

    Where a batch depends on the last one, that is one; where Python is called, unless told.

    Raises:
        InputError: Several are asked for, and a batch depends on the last one.
    """
    engine = settled.computation.engine
    alone = compute.stateful or engine.has_state
    if alone and compute.streams not in (None, 1):
        raise InputError(
            f"{compute.streams} streams: with state or seeds that are set before each batch, or "
            "eagerly, batches are computed one at a time",
            hint=Hint("leave ", Setting("streams"), " out"),
        )
    # The user's Python needn't expect to be called from several threads.
    if alone or compute.streams is not None or compute.eager or engine.runs_python:
        return compute.streams or 1
    # Measured on two cores: two are 1.2 to 1.3 times as fast as one where there are many small
    # operations (MobileNetV2, EfficientNetB0), and three not faster than two. More cores than two
    # are partly busy with one batch. On a GPU the next batch is copied while one is computed.
    cores = len(os.sched_getaffinity(0))
    streams = 2 if has_gpu() else min(cores, max(2, cores // 2), _MOST_STREAMS)
    stored = batch_size * sum(column.row_bytes for column in columns)
    while streams > 1 and streams * stored > _COMPUTED_BYTES:
        streams //= 2
    return streams


def check_last_batch(job: Job, engine: Engine, samples: Samples, batch_size: int) -> None:
    """Check that the model takes the last batch as it is: it isn't filled up.

    What fills it up would count where samples see each other, as in statistics of a batch.

    Raises:
        InputError: It doesn't, or what can't be read would leave a hole in a batch.
    """
    only, rows = engine.batch_size, samples.rows
    if only not in (None, 1) and job.samples.on_error == "skip":
        raise InputError(
            f"the model takes batches of {only} samples only, and one that can't be read would "
            "leave a hole in its batch",
            hint=Hint("leave ", Setting("on_error"), " out"),
        )
    rest = 0 if rows is None else rows % batch_size
    if not rest:
        return
    full = (rows or 0) - rest  # the samples of full batches
    hint = Hint("take fewer: ", Setting("limit", full)) if full else f"give {batch_size} at least"
    if only is not None:
        raise InputError(
            f"the model takes batches of {only} samples only, and {rows} are no multiple of it",
            hint=hint,
        )
    # A size that was chosen is one of many: it was seen that the model takes one, and two.
    if job.compute.batch_size in (None, 1) or not full:
        return
    try:
        run_first(engine, samples, rest)
    except (ModelError, InputError) as error:
        raise too_few(f"the last batch would have {rest} samples", error, hint) from error
    finally:
        engine.restore()


def _mixes_samples(job: Job) -> bool:
    """Tell whether what comes of a sample depends on the others in its batch."""
    replaced = job.selection.replaced.values()
    return job.compute.training or any(replacement.kind == "mean" for replacement in replaced)
