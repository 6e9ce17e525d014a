"""The statistics of a running model: nothing is stored but what is known of its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.dumps.partial import list_places
from kprobe.errors import Hint, KprobeError, Setting, StoppedError, join_hints
from kprobe.pipeline.planning.apart import check_apart
from kprobe.pipeline.running.run import (
    add_what_is_kept,
    check_continued,
    explain_stop,
    run_range,
)
from kprobe.pipeline.statistics.sink import StatisticsSink
from kprobe.stopping import deferring_stops

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.dumps.output import OutputSpec
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.progress import Progress
    from kprobe.pipeline.statistics.gathered import Gathered


class StoppedGatheringError(StoppedError):
    """A run that was stopped from outside, and whose statistics are kept nowhere else.

    Attributes:
        gathered: Those of the samples until then.
    """

    def __init__(self, fault: str, gathered: Gathered, hint: Hint | None) -> None:
        super().__init__(fault, hint=hint)
        self.gathered = gathered


def gather_model(
    plan: Plan,
    output: OutputSpec | None = None,
    *,
    by_sample: bool = False,
    stop_after: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Gathered:
    """Run all rows of a plan and gather the statistics of its tensors.

    Args:
        plan: The plan.
        output: The file to keep them in, from time to time, and in the end; None for none.
        by_sample: Whether each sample is told of by itself, too.
        stop_after: After how many seconds of running to stop; None for never.
        progress: As for `run`.

    Raises:
        InputError: A sample can't be read.
        AddressError: A tensor turns out to have no row for each sample.
        DumpError: The file can't be written or is read; or what is there is of another run.
        StoppedGatheringError: By Ctrl-C, or at the time limit, without an output.
        StoppedError: The same with one, which can be continued.
    """
    from kprobe.compat.eager_mode import eagerly  # TensorFlow's import waits until there is a plan

    if output is not None:
        check_apart(plan.job, list_places(output.path))
    sink = StatisticsSink(plan, output, by_sample=by_sample)
    if (done := sink.find_done()) is not None:
        return done
    partial = sink.partial
    try:
        with deferring_stops(), sink:
            if sink.committed and partial is not None:
                check_continued(plan, partial)
            eagerly(run_range)(plan, sink, sink.committed, plan.rows, progress, stop_after)
            sink.finish()
    except (KeyboardInterrupt, StoppedError) as stopped:
        if partial is None:
            raise _explain(plan, sink, stopped) from None
        raise explain_stop(plan, partial, sink.committed, stopped) from None
    except KprobeError as error:
        if partial is not None and sink.committed:
            add_what_is_kept(plan, partial, sink.committed, error)
        raise
    return sink.gather(finished=True)


def _explain(plan: Plan, sink: StatisticsSink, stopped: BaseException) -> StoppedError:
    """Say that the run was stopped, and give what was gathered until then."""
    gathered = sink.gather()
    reason, remedy = "stopped", None
    if isinstance(stopped, StoppedError):
        reason, remedy = stopped.faults[0], stopped.remedy
    of = "" if plan.samples.rows is None else f" of {plan.rows:,}"
    hints = [*([remedy] if remedy else []), Hint("keep them with ", Setting("output", "FILE"))]
    fault = f"{reason}: these are the statistics of {gathered.rows:,}{of} samples"
    if sink.is_torn:
        fault += ", and of a part of the next batch"
    if not gathered.rows:
        return StoppedError(f"{reason}: stopped before there were any statistics", hint=remedy)
    return StoppedGatheringError(fault, gathered, join_hints(hints, ", and "))
