"""Profile the first batches of a plan, for TensorBoard and as a table by layer.

The times are those that TensorFlow's profiler notes of every operation, with the operation's name
in the graph: TensorFlow 2.21 fills in no `RunMetadata.step_stats` for functions that run eagerly
(`context.enable_run_metadata` gives an empty one), and its profile holds no allocations on a CPU.
So memory is told as the size of what each layer gives, which the trace knows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.tensorflow_names import PROFILE
from kprobe.dumps.files.place import refuse_link
from kprobe.errors import InputError, KprobeError
from kprobe.pipeline.running.forecast import time_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kprobe.pipeline.planning.plan import Plan
    from kprobe.trace.trace import Trace, TracedCall

_TIMES = 3
# What an executor calls an operation: "model/conv1/convolution:Conv2D".
_OPERATION = re.compile(r"([\w.\-/]+):_?[A-Z]\w*")


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What a layer's operations cost.

    Attributes:
        address: Of the layer's call; None for all operations that belong to none.
        layer_class: Its class.
        seconds: The time of its operations for a batch, summed over threads.
        output_bytes: The size of what it gives for a batch; None where the trace doesn't tell.
    """

    address: str | None
    layer_class: str
    seconds: float
    output_bytes: int | None


def profile(plan: Plan, folder: Path) -> list[LayerCost] | None:
    """Write a TensorFlow profile of the first batches, computed for this alone.

    Args:
        plan: The plan. Its graph is compiled before.
        folder: Where the profile goes: a folder of logs for TensorBoard.

    Returns:
        What each layer that took time costs, the costliest first. Of layers that the graph
        compiler merged one has the time of all. None where operations don't tell their layers, as
        in an eager run, or don't run on the CPU.

    Raises:
        InputError: Nothing is computed.
        KprobeError: Another profile is being made, or the folder can't be written, or has a link
            where the profile is to be.
    """
    if plan.samples.rows == 0:
        raise InputError("weights alone aren't computed: there is nothing to profile")
    time_batches(plan, 0)
    before = set(folder.rglob("*.xplane.pb"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for inner in ("plugins", "plugins/profile"):  # where TensorFlow writes
            refuse_link(folder / inner)
        tf.profiler.experimental.start(str(folder))
        try:
            time_batches(plan, _TIMES)
        finally:
            tf.profiler.experimental.stop()
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        raise KprobeError(f"no profile can be made in {folder}: {reason}") from error
    files = set(folder.rglob("*.xplane.pb")) - before
    traced = plan.computation.engine.trace
    on_gpu = plan.job.compute.device != "cpu" and tf.config.list_logical_devices("GPU")
    if not files or traced is None or on_gpu:
        return None
    space = PROFILE.find()()
    space.ParseFromString(files.pop().read_bytes())
    return _sum_up(traced, space, batches=(1 + _TIMES) * plan.streams, size=plan.batch_size)


def _sum_up(traced: Trace, space: Any, *, batches: int, size: int) -> list[LayerCost]:
    calls = _find_owners(traced)
    scopes = {call.scope: call for call in traced.calls if call.scope}
    seconds: dict[str | None, float] = defaultdict(float)
    for name, picoseconds in _list_operations(space):
        call = _find_call(name, calls, scopes)
        seconds[call.address if call else None] += picoseconds * 1e-12 / batches
    by_address = {call.address: call for call in traced.calls}
    costs = [
        LayerCost(
            address=address,
            layer_class=by_address[address].class_name if address else "",
            seconds=spent,
            output_bytes=_count_bytes(by_address[address], size) if address else None,
        )
        for address, spent in seconds.items()
    ]
    return sorted(costs, key=lambda cost: -cost.seconds)


def _find_owners(traced: Trace) -> dict[str, TracedCall]:
    """Give the innermost call that created each operation, by the operation's name."""
    listed = {call.graph: call.graph.get_operations() for call in traced.calls}
    owners: dict[str, TracedCall] = {}
    # A name in the model's own graph counts before the same one in a loop's body.
    for call in sorted(traced.calls, key=lambda call: call.graph is traced.graph):
        owners |= {operation.name: call for operation in listed[call.graph][slice(*call.span)]}
    return owners


def _find_call(
    name: str, calls: Mapping[str, TracedCall], scopes: Mapping[str, TracedCall]
) -> TracedCall | None:
    """Find whose an operation is; what the graph compiler made of some has their scope."""
    parts = name.split("/")
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    if found := next((calls[end] for end in ends if end in calls), None):
        return found
    return next((call for end in ends if (call := _find_scope(end, scopes))), None)


def _find_scope(name: str, scopes: Mapping[str, TracedCall]) -> TracedCall | None:
    while name:
        name = name.rpartition("/")[0]
        if name in scopes:
            return scopes[name]
    return None


def _list_operations(space: Any) -> Iterator[tuple[str, int]]:
    """Give the operations that ran on the host, and their own time in picoseconds."""
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        names = {
            number: found[1]
            for number, metadata in plane.event_metadata.items()
            if (found := _OPERATION.fullmatch(metadata.name))
        }
        for line in plane.lines:
            events = [event for event in line.events if event.metadata_id in names]
            yield from ((names[e.metadata_id], own) for e, own in _find_own_times(events))


def _find_own_times(events: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """Give the time of each event in a thread without that of those within it, as in a loop."""
    around: list[list[Any]] = []
    for event in sorted(events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        while around and event.offset_ps >= around[-1][0].offset_ps + around[-1][0].duration_ps:
            yield tuple(around.pop())
        if around:
            around[-1][1] -= event.duration_ps
        around.append([event, event.duration_ps])
    yield from map(tuple, around)


def _count_bytes(call: TracedCall, size: int) -> int | None:
    total = 0
    for _, tensor in call.outputs:
        if tensor.shape.rank is None:
            return None
        shape = tensor.shape.as_list()
        shape[:1] = [size if length is None else length for length in shape[:1]]
        if None in shape:
            return None
        total += prod(shape) * tensor.dtype.size
    return total
