"""A side that is a model: what it computes is planned for what the other side has."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.records import Described
from kprobe.errors import AddressError, InputError, KprobeError, ModelError, StoppedError
from kprobe.pipeline.comparing.sides import Side, Tensor
from kprobe.pipeline.planning.plan_job import OpenJob, open_job
from kprobe.pipeline.planning.upstream import find_upstream
from kprobe.subgraph.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.session.loading import Loaded
    from kprobe.session.session import Session
    from kprobe.trace.fetch import Fetch

EVERY = "**"
# Samples that planning runs. Of all layers together, memory wouldn't hold a large batch.
_PLANNED = 2


class ModelSide(Side):
    """A model with samples.

    Attributes:
        plan: What is computed of it.
        any_size: Whether its batches may be smaller than was asked for: each sample stands for
            itself, and the model takes a few.
    """

    plan: Plan
    any_size: bool

    def __init__(
        self,
        name: str,
        job: Job,
        opened: contextlib.ExitStack,
        *,
        wanted: Sequence[str] | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Load it, trace it, and plan what is asked for.

        Args:
            name: What messages call it.
            job: The model, its samples, and how it is computed.
            opened: What closes the plan.
            wanted: Addresses of the other side, which this one may not have: those that it has are
                computed, and all layer calls where one is missing. None for what the job says.
            loaded: The model, if it is loaded already.

        Raises:
            KprobeError: Whatever is wrong with the model or the samples.
        """
        self.name = name
        self._opened = opened
        with saying(name):
            self._open: OpenJob = open_job(job, opened, loaded)
            layers = job.selection.layers
            if wanted is not None:
                layers = _choose_layers(self._open.session, wanted)
            self._make_plan(layers)

    @property
    def loaded(self) -> Loaded:
        """The model."""
        return self._open.session.loaded

    @property
    def precision(self) -> str:
        """What it is computed in."""
        return self._open.session.compute.precision

    @property
    def only_size(self) -> int | None:
        """The only number of samples that it takes, as far as is known."""
        whole = None if self.any_size or self.plan.one_by_one else self.plan.batch_size
        return self.plan.computation.engine.batch_size or whole

    def narrow(self, addresses: Sequence[str]) -> None:
        """Compute these alone, which are among the tensors."""
        if len(addresses) < len(self.tensors):
            self.plan.computation.restore()
            self._make_plan(addresses)

    def limit_batch(self, most: int) -> None:
        """Compute so many samples at a time, at most."""
        self.plan = _resize(self.plan, min(self.plan.batch_size, most))

    def names(self) -> npt.NDArray[Any]:
        """Give each row's identity.

        Raises:
            InputError: Nobody knows how many there are.
        """
        if self.plan.samples.rows is None:
            raise InputError(
                f"{self.name}: nobody knows how many samples there are, and those of a dump are to "
                "be found among them",
                hint="write them to a file first",
            )
        names: npt.NDArray[Any] = np.char.decode(self.plan.samples.names()[:], "utf-8")
        return names

    def read_first(
        self, rows: npt.NDArray[np.intp], addresses: Sequence[str]
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Compute some of the first rows."""
        plan = self.plan
        batch = plan.samples.peek(self.only_size or int(rows.max()) + 1)
        results = zip(plan.fetched, plan.computation(batch), strict=True)
        values = {column.name: np.asarray(result) for column, result in results}
        plan.computation.restore()
        there = rows[rows < len(next(iter(batch.values())))]
        columns = {tensor.described.address: tensor.column for tensor in self.tensors}
        return {address: values[columns[address]][there] for address in addresses}

    def _make_plan(self, layers: Sequence[Any] | None) -> None:
        job = replace(self._open.job, selection=Selection(layers=layers))
        self.plan = self._opened.enter_context(self._plan(job))
        self.tensors, reasons = _describe(self.plan)
        self.left_out = [*self.plan.left_out, *reasons]
        self.notes = self.plan.notes

    def _plan(self, job: Job) -> Plan:
        """Plan with a few samples where that can be, whatever size of batches is asked for."""
        compute, asked = job.compute, job.compute.batch_size or 1
        self.any_size = not (compute.training or compute.stateful)
        if self.any_size and asked > _PLANNED:
            few = replace(job, compute=replace(compute, batch_size=_PLANNED))
            with contextlib.suppress(AddressError, InputError, ModelError):
                plan = self._open.plan(self._opened, few)
                if plan.computation.engine.batch_size is None:
                    return _resize(replace(plan, job=job), asked)
            self.any_size = False  # so many samples belong together
        plan = self._open.plan(self._opened, job)
        self.any_size &= plan.computation.engine.batch_size is None and not plan.one_by_one
        return plan


@dataclass(frozen=True)
class saying:  # noqa: N801 - used as a with statement's verb
    """Let what is raised in the block say of which side it is.

    Attributes:
        name: The side's.
    """

    name: str

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if isinstance(error, KprobeError) and not isinstance(error, StoppedError):
            for each in [error, *error.merged]:
                each.faults = [f if self.name in f else f"{self.name}: {f}" for f in each.faults]


def _resize(plan: Plan, batch_size: int) -> Plan:
    """Give a plan with batches of another size."""
    return replace(plan, batch_size=batch_size, attrs={**plan.attrs, "batch_size": batch_size})


def _choose_layers(session: Session, wanted: Sequence[str]) -> list[str]:
    """Give those addresses that a model has, and all its layer calls where it lacks one."""
    found = []
    for address in wanted:
        try:
            session.find([address])
        except AddressError:
            continue
        found.append(address)
    return found if len(found) == len(wanted) else [*found, EVERY]


def _describe(plan: Plan) -> tuple[list[Tensor], list[str]]:
    """Describe what a plan computes, and say what of it can't be compared."""
    places = {number: place for place, number in enumerate(plan.order)}
    sources = _find_sources(plan)
    tensors, reasons = [], []
    for number, column in enumerate(plan.fetched):
        address, *also = plan.addresses_of(column)
        if column.ragged or column.attrs["dtype"] == "string":
            kind = "texts" if column.attrs["dtype"] == "string" else "samples that differ in shape"
            reasons.append(f"{address}: {kind} aren't compared")
            continue
        described = Described(
            address=address,
            shape=tuple(column.shape),
            dtype=str(column.attrs["dtype"]),
            order=places[number],
            class_name=str(column.attrs["layer_class"]) or None,
            also=tuple(also),
            axes=tuple(column.axes) or None,
            inputs=known[0] if (known := sources.get(number)) else None,
            skipped=known[1] if known else (),
        )
        tensors.append(Tensor(described, column.name, column.row_bytes))
    reasons += [f"{c.name}: weights aren't compared" for c in plan.columns if _is_weight(c)]
    return tensors, reasons


def _is_weight(column: Any) -> bool:
    return column.value is not None and column.attrs.get("layout") == "weight"


def _find_sources(plan: Plan) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Find what tensors are computed from.

    Returns:
        By a fetch's number the addresses of those that it is computed from directly, and those of
        layers between that aren't fetched, and aren't a part of its own layer.
    """
    taken = [fetch.tensor for fetch in plan.computation.engine.fetches]
    others: dict[int, Fetch] = {}
    with contextlib.suppress(AddressError):  # no layer has a tensor
        others = {id(fetch.tensor): fetch for fetch in plan.session.find(None)}
    skipped = [f for key, f in others.items() if key not in {id(tensor) for tensor in taken}]
    if not plan.session.compute.eager:
        skipped.sort(key=lambda fetch: plan.session.traced.find_place(fetch.tensor))
    upstream = find_upstream(plan.session, [*taken, *(fetch.tensor for fetch in skipped)])
    found = {}
    for number in upstream.keys() & set(range(len(taken))):
        layer = plan.fetched[number].attrs["layer"]
        above, pending = set[int](), [*upstream[number]]
        while pending:
            if (place := pending.pop()) not in above:
                above.add(place)
                pending += upstream.get(place, ()) if place >= len(taken) else ()
        found[number] = (
            tuple(plan.addresses_of(plan.fetched[n])[0] for n in sorted(above) if n < len(taken)),
            tuple(
                skipped[n - len(taken)].address
                for n in sorted(above)
                if n >= len(taken)
                and not f"{skipped[n - len(taken)].layer}/".startswith(f"{layer}/")
            ),
        )
    return found
