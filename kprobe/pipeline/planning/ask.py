"""What a job asks of a session: which tensors, computed from which feeds and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.errors import AddressError, Hint, InputError, Setting
from kprobe.inputs.opening import open_samples
from kprobe.inputs.parsing import list_given_names
from kprobe.inputs.samples import Samples
from kprobe.naming import list_names
from kprobe.pipeline.planning.axes import name_axes, name_fetches
from kprobe.pipeline.planning.settle import make_weight_columns
from kprobe.session.complete import describe_inputs
from kprobe.subgraph.feeding import check_used, choose_fetches, find_feeds
from kprobe.trace.recording.dropped import UNUSED

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.contents import Column
    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.settle import Group
    from kprobe.session.session import Session
    from kprobe.trace.fetch import Fetch


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked for of a session.

    Attributes:
        session: The session, with what is fed.
        fetches: What is asked for.
        groups: Those that are computed, grouped by tensor.
        weights: Those that are weights.
        weight_columns: The columns of these.
        samples: The samples that they need.
        left_out: What is left out, each with the reason.
    """

    session: Session
    fetches: Sequence[Fetch]
    groups: Sequence[Group]
    weights: Sequence[Group]
    weight_columns: Sequence[Column]
    samples: Samples
    left_out: Sequence[str]


def ask(job: Job, session: Session, samples: Samples | None, opened: contextlib.ExitStack) -> Asked:
    """Find what a job asks for, and what it is computed from.

    Args:
        job: The job.
        session: Its model.
        samples: Its samples, if they are open already.
        opened: What closes samples that are opened now.

    Raises:
        KprobeError: Whatever is wrong with the addresses, the feeds or the samples.
    """
    fed = find_feeds(session.traced, [*job.selection.sources, *job.selection.replaced])
    session, fetches, left_out = _find_asked(job, session, fed)
    weights = _group([fetch for fetch in fetches if fetch.is_weight])
    groups = _group([fetch for fetch in fetches if not fetch.is_weight])
    session, sources = _feed(job, session, groups, fed)
    samples = _take_samples(job, session, groups, samples, sources, opened)
    # Before anything runs, since the model's state may change.
    columns = make_weight_columns(weights, job.stored_dtype)
    return Asked(session, fetches, groups, weights, columns, samples, left_out)


def _find_asked(
    job: Job, session: Session, fed: Sequence[Fetch]
) -> tuple[Session, Sequence[Fetch], list[str]]:
    """Look up what is asked for, and add what isn't in the trace: gradients, maps, reductions.

    Returns:
        The session to go on with; what is asked for; and what patterns named and there isn't, each
        with the reason.

    Raises:
        AddressError: There is no such thing.
    """
    selection = job.selection
    if selection.cam is not None:
        session, maps = session.add_map(selection, selection.cam, name_axes(session.traced.calls))
        return session, maps, []
    asked, apart = _leave_parts(job, session, session.find(selection.layers))
    chosen = choose_fetches(session.traced, asked, fed)
    left_out = [*apart, *_list_left_out(job, session)]
    session, fetches, without = session.differentiate(
        chosen, selection.gradients_of, selection.of_unit, fed
    )
    axes = name_fetches(session.traced.calls, fetches) if selection.requests else {}
    session, fetches, unreduced = session.reduce(fetches, selection.requests, axes)
    return session, fetches, [*left_out, *without, *unreduced]


def _list_left_out(job: Job, session: Session) -> list[str]:
    """List the calls that all layers would bring and that have no tensor, each with the reason."""
    dropped = session.traced.dropped if job.selection.layers is None else ()
    return [
        f"{call.address} {call.reason}"
        for call in dropped
        if call.reason != UNUSED and not call.is_input
    ]


def _leave_parts(
    job: Job, session: Session, fetches: Sequence[Fetch]
) -> tuple[list[Fetch], list[str]]:
    """Leave out what a pattern names in parts that samples are given for others than.

    A part that the model's own call doesn't run has inputs of its own. Where only samples of others
    are given, what isn't asked for by its name is left out, and said.
    """
    given = list_given_names(job.samples.inputs)
    if not session.parts or not job.samples.given:
        return list(fetches), []
    of_parts = {name for part in session.parts for name in part.inputs}
    without = [part.name for part in session.parts if not given & set(part.inputs)]
    # Samples without a name are the model's own, if it is called.
    alone = bool(given) and given <= of_parts
    if not given and of_parts == set(session.signature):
        return list(fetches), []
    kept, left = [], dict[str, None]()
    for fetch in fetches:
        of = next((p.name for p in session.parts if f"{fetch.layer}/".startswith(f"{p.name}/")), "")
        if fetch.by_pattern and not fetch.is_weight and (of in without if of else alone):
            left[
                f"{of} isn't run by the model's own call, and no samples are given for it"
                if of
                else f"{fetch.layer}: no samples are given for the model's own call"
            ] = None
        else:
            kept.append(fetch)
    return kept, list(left)


def _feed(
    job: Job, session: Session, groups: Sequence[Group], fed: Sequence[Fetch]
) -> tuple[Session, Mapping[str, Any]]:
    """Let tensors be fed, and give the source of each by its address.

    Raises:
        AddressError: Nothing that is asked for depends on one of them.
    """
    sources, replaced = job.selection.sources, job.selection.replaced
    if not fed:
        return session, {}
    supplied, changed = fed[: len(sources)], fed[len(sources) :]
    session = session.feed(
        {feed.address: feed.tensor for feed in supplied},
        {f.address: (f.tensor, by) for f, by in zip(changed, replaced.values(), strict=True)},
    )
    cut = session.cut([group[0] for group in groups])
    check_used({*cut.specs, *cut.replaced}, fed)
    addresses = [feed.address for feed in supplied]
    return session, dict(zip(addresses, sources.values(), strict=True))


def _take_samples(
    job: Job,
    session: Session,
    groups: Sequence[Group],
    samples: Samples | None,
    fed: Mapping[str, Any],
    opened: contextlib.ExitStack,
) -> Samples:
    """Open the samples, unless they are open, and keep of them what is needed.

    Raises:
        InputError: An input is needed that has none, or samples are given that nothing needs.
        AddressError: Some of what is asked for needs an input beside the feeds.
    """
    if not groups:
        _check_weights_alone(job, session)
        if samples is not None:
            samples.close()
        return Samples({})
    needed = session.list_needed([group[0] for group in groups])
    if samples is None:
        if fed:
            _check_inputs(job, session, groups, [name for name in needed if name not in fed])
        size = next((spec.shape[0] for spec in needed.values()), None)
        spec = job.samples.fill_batches(size or job.compute.batch_size)
        inputs = describe_inputs(session.model, needed, traced=True)
        samples = opened.enter_context(open_samples(spec, inputs, feeds=fed))
    samples.restrict(list(needed))
    return samples


def _check_inputs(
    job: Job, session: Session, groups: Sequence[Group], inputs: Sequence[str]
) -> None:
    """Check that inputs are given beside the feeds where they are needed, and only there.

    Raises:
        InputError: No input of the model is needed, and some are given.
        AddressError: Some of what is asked for needs an input, and none is given.
    """
    given = [each.describe() for each in job.samples.given]
    if given and not inputs:
        raise InputError(
            f"with these feeds the model needs no input, received {', '.join(given)}",
            hint=Hint("leave ", Setting("inputs"), " out"),
        )
    if not inputs or given or job.samples.random:
        return
    unreached = [
        group[0].address for group in groups if set(session.list_needed([group[0]])) & set(inputs)
    ]
    raise AddressError(
        f"{list_names(unreached, 8)} can't be computed from the feeds alone: "
        f"the input {', '.join(inputs)} is needed, too",
        hint=Hint("give it with ", Setting("inputs"), ", or feed what lies upstream"),
    )


def _check_weights_alone(job: Job, session: Session) -> None:
    """Check that nothing is asked for that needs samples, which weights alone don't.

    Raises:
        InputError: Some are given, or an audit is asked for.
    """
    # A model that had to be called has a use for samples all the same.
    if job.samples.given and not session.called:
        raise InputError("weights alone need no input, and some is given", hint="leave it out")
    if job.compute.audit:
        raise InputError("weights alone aren't computed: there is nothing to audit")


def _group(fetches: Sequence[Fetch]) -> list[list[Fetch]]:
    """Put fetches of the same tensor together: it is computed and stored once."""
    groups: dict[tuple[int, bool], list[Fetch]] = {}
    for fetch in fetches:
        groups.setdefault((id(fetch.tensor), fetch.own), []).append(fetch)
    return list(groups.values())
