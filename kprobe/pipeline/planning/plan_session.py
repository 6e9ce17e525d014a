"""From a traced model to a plan: cut out what is asked for, and learn the shapes of results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kprobe.compat.eager_mode import eagerly
from kprobe.dumps.contents import REASON, VALID, Column
from kprobe.errors import ModelError
from kprobe.pipeline.planning.ask import ask
from kprobe.pipeline.planning.audit import audit, measure_error
from kprobe.pipeline.planning.batch_size import (
    check_last_batch,
    choose_batch_size,
    choose_streams,
)
from kprobe.pipeline.planning.facts import collect_facts
from kprobe.pipeline.planning.plan import Plan
from kprobe.pipeline.planning.settle import check_columns, describe_overflows, settle
from kprobe.pipeline.planning.upstream import describe_graph
from kprobe.session.complete import explain_lengths

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.ask import Asked
    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.settle import Group, Settled
    from kprobe.session.session import Session
    from kprobe.trace.fetch import Fetch


@eagerly
def plan_session(
    job: Job,
    session: Session,
    samples: Samples | None,
    facts: Mapping[str, Any],
    opened: contextlib.ExitStack,
) -> Plan:
    """Plan what a job asks of a session.

    Args:
        job: The job.
        session: Its model.
        samples: Its samples, if they are open already.
        facts: Which model it is, for the attributes of the dump.
        opened: What closes samples that are opened now, if there won't be a plan.

    Raises:
        KprobeError: Whatever is wrong with the addresses, the inputs or the model.
    """
    asked, settled = _settle_any_length(job, session, samples, opened)
    session, samples, weights = asked.session, asked.samples, asked.weights
    stored = [*settled.groups, *weights]
    check_columns(stored)
    columns = [*settled.columns, *asked.weight_columns, *_make_sample_columns(job, samples)]
    batch_size, streams = _choose_batches(job, settled, samples, columns)
    addresses = [[*dict.fromkeys(fetch.address for fetch in group)] for group in stored]
    attrs = collect_facts(job, session, [a for own in addresses for a in own], samples)
    attrs |= {"batch_size": batch_size, "streams": streams, **_describe_engine(settled), **facts}
    attrs |= _measure(job, session, settled, samples, batch_size)
    attrs |= _describe_maps(settled.groups) if job.selection.cam else {}
    order = _find_order(session, settled.groups)
    attrs["computed"] = [settled.columns[number].name for number in order]
    tensors = [group[0].source for group in settled.groups]
    attrs["graph"] = describe_graph(session, tensors, settled.columns, addresses, order)
    return Plan(
        job=job,
        session=session,
        samples=samples,
        computation=settled.computation,
        columns=columns,
        addresses=[*addresses, *([column.name] for column in columns[len(stored) :])],
        names=_find_names(asked.fetches, stored, columns),
        left_out=settled.left_out,
        one_by_one=settled.one_by_one,
        batch_size=batch_size,
        streams=streams,
        order=order,
        attrs=attrs,
        notes=[
            *session.notes,
            *samples.notes,
            *describe_overflows(weights, asked.weight_columns),
        ],
    )


def _settle_any_length(
    job: Job, session: Session, samples: Samples | None, opened: contextlib.ExitStack
) -> tuple[Asked, Settled]:
    """Settle what a job asks for, with random samples of other lengths where the first ones fail.

    Raises:
        ModelError: The model takes none that were tried.
    """
    failures: list[ModelError] = []
    while True:
        try:
            asked = ask(job, _fit_lengths(session, samples), samples, opened)
            samples = asked.samples
            return asked, settle(asked.session, job, asked.groups, samples, asked.left_out)
        except ModelError as error:
            failures.append(error)
        if samples is None or not samples.change_lengths(to_run=True):
            raise explain_lengths(failures[0], samples) from failures[0].__cause__


def _fit_lengths(session: Session, samples: Samples | None) -> Session:
    """Trace a session anew where random samples have other lengths by now."""
    shapes = samples.find_open() if samples is not None else {}
    if all(session.specs[name].shape[1:] == shape for name, shape in shapes.items()):
        return session
    return session.resize(shapes)


def _describe_maps(groups: Sequence[Group]) -> dict[str, Any]:
    """Say which maps they are, whatever was left open: a run of others can't continue them."""
    origin = groups[0][0].origin
    return {} if origin is None else {"cam": json.dumps(dict(origin.attrs))}


def _describe_engine(settled: Settled) -> dict[str, Any]:
    engine = settled.computation.engine
    return {"frozen": engine.frozen, "reproducible": engine.reproducible}


def _choose_batches(
    job: Job, settled: Settled, samples: Samples, columns: Sequence[Column]
) -> tuple[int, int]:
    """Choose how many samples are in a batch, and how many batches are computed at a time.

    Raises:
        InputError: What was asked for can't be computed.
    """
    batch_size = choose_batch_size(job, settled, samples, columns)
    check_last_batch(job, settled.computation.engine, samples, batch_size)
    return batch_size, choose_streams(job.compute, settled, batch_size, columns)


def _make_sample_columns(job: Job, samples: Samples) -> list[Column]:
    """Make the columns of what is known of the samples: labels, and whether they were read."""
    columns = []
    if samples.labels is not None:
        value = samples.labels.indices[: samples.rows]
        attrs: dict[str, Any] = {"classes": samples.labels.classes, "layout": "label"}
        columns.append(Column("label", value.shape, value.dtype, attrs, value, by_sample=True))
    return columns + ([VALID, REASON] if job.samples.on_error == "skip" else [])


def _find_names(
    fetches: Sequence[Fetch], stored: Sequence[Group], columns: Sequence[Column]
) -> dict[str, str]:
    """Give by the name of each fetch that is stored, in their order, that of its column."""
    pairs = zip(stored, columns, strict=False)  # those of samples come last
    found = {fetch.name: column.name for group, column in pairs for fetch in group}
    return {fetch.name: found[fetch.name] for fetch in fetches if fetch.name in found}


def _find_order(session: Session, groups: Sequence[Group]) -> list[int]:
    """Give the numbers of the groups in the order in which the model computes their tensors."""
    if session.compute.eager:
        return list(range(len(groups)))
    places = [session.traced.find_place(group[0].source) for group in groups]
    return sorted(range(len(groups)), key=places.__getitem__)


def _measure(
    job: Job, session: Session, settled: Settled, samples: Samples, batch_size: int
) -> Mapping[str, Any]:
    """Give attributes of the dump that are measured on the first batch."""
    attrs: dict[str, Any] = {}
    if settled.one_by_one:
        attrs["one_by_one"] = list(settled.one_by_one)
    computation = settled.computation
    if job.compute.precision == "bfloat16" and settled.groups:
        batch = samples.peek(batch_size)
        attrs["bfloat16_error"] = measure_error(session, computation, batch, samples.most)
    if job.compute.audit:
        attrs["audit_ulps"] = audit(session, computation.engine, samples.peek(batch_size))
    return attrs
