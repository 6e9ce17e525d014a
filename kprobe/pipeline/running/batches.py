"""Compute the batches of a plan: read ahead, several at a time, given in order."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kprobe.errors import Hint, InputError, KprobeError, ModelError, NonFiniteError, Setting
from kprobe.inputs.samples import count_rows
from kprobe.inputs.sources.uneven import is_uneven
from kprobe.pipeline.planning.too_few import too_few

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from kprobe.inputs.samples import Batch
    from kprobe.pipeline.planning.plan import Plan

T = TypeVar("T")

# How long it waits for samples or results before it says that there are none, in seconds.
_PATIENCE = 1.0


@dataclass(frozen=True)
class Computed:
    """A batch that was computed.

    Attributes:
        first: The row of its first sample.
        rows: How many samples it has.
        results: For each fetched column a tensor with a row for each sample; a list of rows
            where the samples differ in shape.
        faults: For samples that couldn't be read, by their rows, the reasons.
        feeds: What it was computed from, as it was read, by input name.
    """

    first: int
    rows: int
    results: Sequence[Any]
    faults: Mapping[int, str]
    feeds: Mapping[str, Any] = field(default_factory=dict)


def compute_batches(
    plan: Plan, start: int, stop: int, waits: dict[str, float], ahead: queue.Queue[Any]
) -> Generator[Computed | None, None, None]:
    """Compute some rows of a plan, batch by batch, in order.

    Args:
        plan: The plan.
        start: The first row, a multiple of the plan's batch size.
        stop: The row after the last.
        waits: How long it waited for "reading" is added here, in seconds.
        ahead: Where what is read waits to be computed.

    Yields:
        What was computed; None about every second in which there is nothing, so that a source that
        stalls, or a slow model, doesn't keep the caller from looking at the clock.

    Raises:
        InputError: A sample can't be read.
        ModelError: The model fails on a batch.
        NonFiniteError: A result isn't finite, and that was to be found out.
    """
    reading = _read_ahead(plan.samples.batches(plan.batch_size, start, stop), ahead)
    under_way: deque[Future[Computed]] = deque()
    with contextlib.closing(reading), ThreadPoolExecutor(plan.streams, "kprobe-compute") as pool:
        try:
            while True:
                asked = time.perf_counter()
                try:
                    item = next(reading)
                except StopIteration:
                    break
                except KprobeError:
                    # What was read before it is good.
                    while under_way:
                        yield from _give(under_way.popleft())
                    raise
                waits["reading"] += time.perf_counter() - asked
                if item is None:
                    while under_way and under_way[0].done():
                        yield from _give(under_way.popleft())
                    yield None
                    continue
                under_way.append(pool.submit(_compute_batch, plan, *item))
                while len(under_way) > plan.streams:
                    yield from _give(under_way.popleft())
            while under_way:
                yield from _give(under_way.popleft())
        finally:
            for future in under_way:
                future.cancel()


def _give(future: Future[Computed]) -> Iterator[Computed | None]:
    while not wait([future], _PATIENCE).done:
        yield None
    yield future.result()


def _compute_batch(plan: Plan, first: int, batch: Batch) -> Computed:
    rows = count_rows(batch)
    found = plan.samples.faults
    faults = {row: found[row] for row in range(first, first + rows) if row in found}
    good = np.array([first + row not in faults for row in range(rows)], bool)
    try:
        results = run_batch(plan, first, batch, good)
    except (InputError, ModelError) as error:
        # Of samples that nobody counted, only now it is known how many the last batch has.
        if rows == plan.batch_size or not first or plan.samples.rows is not None:
            raise
        hint = Hint("take fewer: ", Setting("limit", first))
        raise too_few(f"the last batch has {rows} samples", error, hint) from error
    if plan.job.compute.fail_on == "nan":
        _check_finite(plan, first, results, good)
    if faults:
        results = [_blank(result, good) for result in results]
    return Computed(first, rows, results, faults, batch)


def run_batch(plan: Plan, first: int, batch: Batch, good: np.ndarray[Any, Any]) -> Sequence[Any]:
    """Run a batch; one whose samples differ in shape, in parts of those that have the same.

    Args:
        plan: The plan.
        first: The row of the batch's first sample.
        batch: By input name the samples, batch axis first, or an array of arrays.
        good: Which of them are to be run: bool, of shape (rows,). Where the model takes one
            batch size only, all are.

    Returns:
        For each fetched column a tensor, or a list of rows where the samples differ in shape.
    """
    if not any(is_uneven(values) for values in batch.values()):
        return _run_even(plan, first, batch, good)
    groups: dict[Any, list[int]] = {}
    for row in np.flatnonzero(good):
        shapes = tuple(np.shape(values[row]) for values in batch.values())
        groups.setdefault(shapes, []).append(int(row))
    results: list[list[Any]] = [[None] * len(good) for _ in plan.fetched]
    for rows in groups.values():
        part = {name: np.stack([values[row] for row in rows]) for name, values in batch.items()}
        for result, tensor in zip(results, plan.computation(part, first + rows[0]), strict=True):
            for place, value in zip(rows, tensor.numpy(), strict=True):
                result[place] = value
    for result, column in zip(results, plan.fetched, strict=True):
        shape = [max(size, 0) for size in column.shape]
        blank = np.zeros(shape, object if column.attrs["dtype"] == "string" else column.dtype)
        result[:] = [blank if row is None else row for row in result]
    return results


def _run_even(plan: Plan, first: int, batch: Batch, good: np.ndarray[Any, Any]) -> Sequence[Any]:
    if good.all() or not good.any() or plan.computation.engine.batch_size is not None:
        return plan.computation(batch, first)
    # Those that couldn't be read are zeros, and would count in the statistics of the batch.
    results = plan.computation({name: values[good] for name, values in batch.items()}, first)
    return [_spread(np.asarray(result), good) for result in results]


def _spread(values: np.ndarray[Any, Any], good: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put the rows of those that were run where these stand."""
    if values.shape[:1] != (np.count_nonzero(good),):
        return values  # which is reported when it is to be written
    spread = np.zeros((len(good), *values.shape[1:]), values.dtype)
    spread[good] = values
    return spread


def _blank(result: Any, good: np.ndarray[Any, Any]) -> Any:
    """Put NaN, or 0 where the dtype has none, into the rows of samples that weren't there."""
    if isinstance(result, list):
        for row in np.flatnonzero(~good):
            result[row] = _blank(result[row][np.newaxis], good[row : row + 1])[0]
        return result
    values = np.array(result)
    if values.shape[:1] != good.shape:
        return result
    nothing = b"" if values.dtype == object else np.nan if values.dtype.kind in "fc" else 0
    values[~good] = nothing
    return values


def _check_finite(
    plan: Plan, first: int, results: Sequence[Any], good: np.ndarray[Any, Any]
) -> None:
    """Look for NaN and infinity, in the order in which the model computes.

    Raises:
        NonFiniteError: There is one; it names the first tensor, and in it the first sample.
    """
    for number in plan.order:
        column, result = plan.fetched[number], results[number]
        if column.dtype.kind not in "fc":
            continue
        # By numpy: where the model's code switched eager execution off, TensorFlow would make a
        # graph of it.
        by_row = result if isinstance(result, list) else np.asarray(result)
        if not isinstance(by_row, list) and np.isfinite(by_row).all():
            continue
        for row in np.flatnonzero(good).tolist():
            values = by_row[row]
            if not np.isfinite(values).all():
                kind = "NaN" if np.isnan(values).any() else "infinity"
                name = plan.samples.names(first + row, first + row + 1)[0].decode()
                raise NonFiniteError(
                    f"{plan.addresses_of(column)[0]} holds {kind} in sample {first + row} ({name})"
                )


def _read_ahead(
    items: Iterator[T], coming: queue.Queue[tuple[T | None, BaseException | None]]
) -> Generator[T | None, None, None]:
    """Fetch the next item in a thread of its own while the last one is used.

    Yields:
        The items; None whenever it has waited for one long enough.
    """
    stopping = threading.Event()

    def fetch() -> None:
        item, error = None, None
        while not stopping.is_set():
            try:
                item = next(items, None)
            except BaseException as raised:
                item, error = None, raised
            coming.put((item, error))
            if item is None:
                return

    # A thread that waits for a pipe mustn't keep a stopped process alive.
    threading.Thread(target=fetch, name="kprobe-read", daemon=True).start()
    try:
        while True:
            try:
                item, error = coming.get(timeout=_PATIENCE)
            except queue.Empty:
                yield None
                continue
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopping.set()
        with contextlib.suppress(queue.Empty):
            coming.get_nowait()
