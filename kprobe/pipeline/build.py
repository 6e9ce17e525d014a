"""Build a plan: load, trace, cut out the sub-graph and learn the shapes of its results."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.dumps.layout import REASON, VALID, Column
from kprobe.errors import AddressError, InputError
from kprobe.graph.device import select_device
from kprobe.graph.dropped import UNUSED
from kprobe.graph.feeding import check_used, find_feeds
from kprobe.graph.fetch import Fetch, find_fetches
from kprobe.graph.mode import eagerly
from kprobe.graph.session import recording_session
from kprobe.graph.signature import read_signature
from kprobe.inputs.samples import Samples
from kprobe.models.factory import Code
from kprobe.models.load import load_model
from kprobe.pipeline.audit import audit, measure_error
from kprobe.pipeline.batching import (
    check_one_by_one,
    check_whole_batches,
    choose_batch_size,
    choose_streams,
)
from kprobe.pipeline.complete import (
    complete,
    describe_inputs,
    needs_sample,
    open_first,
    seed_initializers,
)
from kprobe.pipeline.facts import collect_facts
from kprobe.pipeline.feeds import read_feeds
from kprobe.pipeline.opened import OpenModel, open_model
from kprobe.pipeline.plan import Plan
from kprobe.pipeline.precheck import describe_samples, open_samples, samples_can_wait
from kprobe.pipeline.settle import check_columns, make_weight_columns, settle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kprobe.models.file import ModelFile
    from kprobe.pipeline.job import Job
    from kprobe.pipeline.settle import Group


def load(job: Job, source: ModelFile | Code) -> Any:
    """Load the model of a job, on the device it asks for."""
    select_device(job.device)
    if job.threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        except RuntimeError:
            raise InputError(
                f"threads: {job.threads} can't be had any more, TensorFlow has run already"
            ) from None
    if job.random_weights or isinstance(source, Code):
        seed_initializers(job.seed)
    return load_model(
        source,
        keras=job.keras,
        custom_objects=job.custom_objects,
        unsafe=job.unsafe,
        arguments=job.arguments,
        around=recording_session,
    )


def build(
    job: Job,
    model: Any,
    samples: Samples | None,
    facts: Mapping[str, Any],
    source: ModelFile | Code | None = None,
) -> Plan:
    """Build the plan of a job for its loaded model.

    Args:
        job: The job.
        model: A model of keras or tf_keras.
        samples: The job's samples, if they are open already. They are the plan's from now on,
            and closed if there won't be one.
        facts: What is known for the attributes of the dump.
        source: Where the model was loaded from, if it was.

    Raises:
        KprobeError: Whatever is wrong with the addresses, the inputs or the model.
    """
    with contextlib.ExitStack() as stack:
        if samples is not None:
            stack.callback(samples.close)
        first = None
        if needs_sample(model, job.inputs):
            first = samples or open_first(model, describe_samples(job))
            stack.callback(first.close)
        notes = complete(
            model, source, first, weights=job.weights, random_weights=job.random_weights
        )
        if first is not None and samples_can_wait(job):
            first.close()  # which inputs are needed isn't known yet
        elif first is not None:
            samples = first
        plan = _build(job, model, samples, facts, notes, called=first is not None)
        stack.pop_all()
        return plan


@eagerly
def _build(
    job: Job,
    model: Any,
    samples: Samples | None,
    facts: Mapping[str, Any],
    notes: Sequence[str],
    *,
    called: bool,
) -> Plan:
    """Build the plan for a model that is complete; `called` if samples were needed for that."""
    with contextlib.ExitStack() as stack:
        feeds = read_feeds(job.feeds)
        signature = read_signature(model)
        if samples is None and not samples_can_wait(job):
            samples = open_samples(job, describe_inputs(signature))
            stack.callback(samples.close)
        opened = open_model(job, model, signature, samples)
        traced = opened.traced
        fetches = find_fetches(traced, job.layers)
        if not fetches:
            raise AddressError("no layers are asked for", hint="name some with --layers, or --all")
        weights = _group([fetch for fetch in fetches if fetch.is_weight])
        groups = _group([fetch for fetch in fetches if not fetch.is_weight])
        fed = find_feeds(traced, feeds.addresses)
        if fed:
            supplied, replaced = fed[: len(feeds.sources)], fed[len(feeds.sources) :]
            by = feeds.replaced.values()
            opened = opened.feed(
                {feed.address: feed.tensor for feed in supplied},
                {f.address: (f.tensor, r) for f, r in zip(replaced, by, strict=True)},
            )
            needed = opened.cut_tensors([group[0].tensor for group in groups])
            check_used(needed, fed)
        if not groups:
            # A model that had to be called has a use for samples all the same.
            _check_weights_alone(job, None if called else samples)
            if samples is not None:
                samples.close()
            samples = Samples({})
        elif samples is None:
            specs = signature
            if feeds.sources:
                specs = dict(zip(needed.feeds, needed.specs, strict=True))
                _check_inputs(opened, groups, [n for n in specs if n not in feeds.addresses])
            samples = open_samples(job, describe_inputs(specs))
            stack.callback(samples.close)
        # Before anything runs, since the model's state may change.
        values = opened.read_weights(weights)
        left_out = [
            f"{call.address} {call.reason}"
            for call in (traced.dropped if job.layers is None else ())
            if call.reason != UNUSED
        ]
        settled = settle(opened, groups, samples, left_out)
        subgraph = settled.subgraph
        stored = [*settled.groups, *weights]
        check_whole_batches(job, subgraph, samples)
        columns = [*settled.columns, *make_weight_columns(weights, values)]
        columns += _make_label_columns(samples)
        if job.on_error == "skip":
            columns += [VALID, REASON]
        check_columns(stored)
        if settled.whole:
            check_one_by_one(job, settled.whole)
        batch_size = choose_batch_size(job, settled, samples, columns)
        streams = choose_streams(job, settled, batch_size, columns)
        attrs = collect_facts(
            job, model, [fetch.address for group in stored for fetch in group], samples
        )
        attrs |= {
            "batch_size": batch_size,
            "streams": streams,
            "frozen": subgraph.frozen,
            "reproducible": subgraph.reproducible,
            **facts,
        }
        if settled.whole:
            attrs["one_by_one"] = list(settled.whole)
        if job.precision == "bfloat16" and settled.groups:
            attrs["bfloat16_error"] = measure_error(
                replace(opened, job=replace(job, precision="float32")),
                settled,
                samples.peek(batch_size),
                samples.most,
            )
        if job.audit:
            attrs["audit_ulps"] = audit(
                opened.cut_tensors,
                traced.outputs,
                [group[0].tensor for group in settled.groups],
                samples.peek(batch_size),
                frozen=subgraph.frozen,
            )
        stack.pop_all()
        return Plan(
            job=job,
            samples=samples,
            subgraph=subgraph,
            columns=columns,
            addresses=[
                *([*dict.fromkeys(f.address for f in group)] for group in stored),
                *([column.name] for column in columns[len(stored) :]),
            ],
            left_out=settled.left_out,
            whole=settled.whole,
            batch_size=batch_size,
            streams=streams,
            order=_find_order(opened, settled.groups),
            attrs=attrs,
            notes=notes,
        )


def _check_inputs(
    opened: OpenModel, groups: Sequence[Sequence[Fetch]], inputs: Collection[str]
) -> None:
    """Check that inputs are given beside the feeds where they are needed, and only there.

    Raises:
        InputError: No input of the model is needed, and some are given.
        AddressError: Some of what is asked for needs an input, and none is given.
    """
    job = opened.job
    given = job.inputs if isinstance(job.inputs, Sequence) else ["an array"]
    if given and not inputs:
        raise InputError(
            f"with these feeds the model needs no input, received {', '.join(map(str, given))}",
            hint="leave --input out",
        )
    if not inputs or given or job.random:
        return
    unreached = [
        group[0].address
        for group in groups
        if set(opened.cut_tensors([group[0].tensor]).feeds) & set(inputs)
    ]
    raise AddressError(
        f"{', '.join(unreached[:8])} can't be computed from the feeds alone: "
        f"the input {', '.join(inputs)} is needed, too",
        hint="give it with --input, or feed what lies upstream",
    )


def _check_weights_alone(job: Job, samples: Samples | None) -> None:
    """Check that nothing is asked for that needs samples, which weights alone don't.

    Raises:
        InputError: Some are given, or an audit is asked for.
    """
    if samples is not None and not samples.random:
        raise InputError("weights alone need no input, and some is given", hint="leave it out")
    if job.audit:
        raise InputError("weights alone aren't computed: there is nothing to audit")


def _group(fetches: Sequence[Fetch]) -> list[list[Fetch]]:
    """Put fetches of the same tensor together: it is computed and stored once."""
    groups: dict[int, list[Fetch]] = {}
    for fetch in fetches:
        groups.setdefault(id(fetch.tensor), []).append(fetch)
    return list(groups.values())


def _make_label_columns(samples: Samples) -> list[Column]:
    if samples.labels is None:
        return []
    value = samples.labels.indices[: samples.rows]
    attrs: dict[str, Any] = {"classes": samples.labels.classes, "layout": "label"}
    return [Column("label", value.shape, value.dtype, attrs, value, by_sample=True)]


def _find_order(opened: OpenModel, groups: Sequence[Group]) -> list[int]:
    """Give the numbers of the groups in the order in which the model computes their tensors."""
    if opened.job.eager:
        return list(range(len(groups)))
    places = [opened.traced.find_place(group[0].tensor) for group in groups]
    return sorted(range(len(groups)), key=places.__getitem__)
