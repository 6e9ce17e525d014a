"""Settle what is stored of what is asked for, and as which columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.dumps.contents import Column
from kprobe.dumps.names import check_names, column_name
from kprobe.engines.engine import FetchSpec
from kprobe.engines.results import Computation, SampleAxis
from kprobe.errors import AddressError, Hint, InputError, Setting
from kprobe.pipeline.planning.axes import name_axes, name_fetch
from kprobe.pipeline.planning.probe import Probed, Unfit, probe, run_first
from kprobe.trace.recording.graph_mode import is_graph_mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.output import StoredDtype
    from kprobe.engines.compute import Compute
    from kprobe.engines.engine import Engine
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.axes import Axes
    from kprobe.pipeline.planning.job import Job
    from kprobe.session.session import Session
    from kprobe.trace.fetch import Fetch

Group = list["Fetch"]

_RAGGED = "is a ragged tensor"
_BY_NAME = "ask for it by its name, to store it whole for each sample"


@dataclass(frozen=True, eq=False)
class Settled:
    """What will be computed, and stored.

    Attributes:
        groups: The fetches of each tensor.
        computation: What computes the tensors of the groups.
        columns: The column of each.
        left_out: What a pattern named and can't be stored, each with the reason.
        one_by_one: By address the tensors for whose sake samples must be run one by one, each with
            the reason: they have no rows, and the whole tensor of a sample is stored as its row.
    """

    groups: Sequence[Group]
    computation: Computation
    columns: Sequence[Column]
    left_out: Sequence[str] = ()
    one_by_one: Mapping[str, str] = field(default_factory=dict)


def settle(
    session: Session, job: Job, groups: Sequence[Group], samples: Samples, left_out: Sequence[str]
) -> Settled:
    """Find out with a few samples how each tensor becomes rows.

    What has no row for each sample is stored whole, that is, as a sample that is run alone gives
    it, where its name was asked for; it is left out where a pattern brought it.

    Args:
        session: The model.
        job: The job.
        groups: The fetches of each tensor.
        samples: The samples, of which the first ones are run.
        left_out: What has been left out before.

    Raises:
        AddressError: Something asked for by name can't be stored, or nothing would be left.
    """
    return _Settling(session, job, groups, samples, left_out).run()


class _Settling:
    """The fetches on their way to columns."""

    def __init__(
        self,
        session: Session,
        job: Job,
        groups: Sequence[Group],
        samples: Samples,
        left_out: Sequence[str],
    ) -> None:
        self._session = session
        self._job = job
        self._groups = list(groups)
        self._samples = samples
        self._left_out = list(left_out)
        # By the id of a tensor, why it has no rows of one shape.
        self._uneven: dict[int, Unfit] = _find_forced(job, groups)
        said = [group for group in groups if id(group[0].tensor) in self._uneven]
        # Before anything runs; what the samples show is known only behind that.
        check_one_by_one(
            job.compute,
            {group[0].address: self._uneven[id(group[0].tensor)].reason for group in said},
        )
        for group in [group for group in groups if id(group[0].tensor) in session.traced.ragged]:
            if all(fetch.by_pattern for fetch in group):
                self._leave_out(group, _RAGGED)
            else:
                self._uneven[id(group[0].tensor)] = Unfit(_RAGGED, axis=0)
        if self._left_out and not self._groups:
            raise AddressError(*self._left_out, hint=_BY_NAME)

    def run(self) -> Settled:
        """Leave out what can't be stored until all can."""
        while True:
            even = [group for group in self._groups if id(group[0].tensor) not in self._uneven]
            engine = self._make_engine(even)
            probed = Probed([], 1, [], {})
            if even:
                probed = probe(engine, self._samples, self._job.compute.batch_size)
                engine.restore()
            if not probed.unfit:
                break
            self._sort_out(even, engine, probed)
        if self._uneven:
            keys = [id(group[0].tensor) for group in even]
            return self._settle_one_by_one(dict(zip(keys, probed.axes, strict=True)))
        axes = [SampleAxis(place) for place in probed.axes]
        columns = [
            self._make_column(group, axis, result, probed.rows)
            for group, axis, result in zip(self._groups, axes, probed.results, strict=True)
        ]
        return Settled(self._groups, Computation(engine, axes), columns, self._left_out)

    def _make_engine(self, groups: Sequence[Group]) -> Engine:
        dtype = self._job.stored_dtype
        fetches = [
            FetchSpec(
                fetch.address, fetch.tensor, choose_stored(fetch.tensor, dtype), own=fetch.own
            )
            for fetch in (group[0] for group in groups)
        ]
        return self._session.make_engine(fetches, rows=self._samples.most)

    def _leave_out(self, group: Group, reason: str) -> None:
        self._left_out.append(f"{group[0].address} {reason}")
        self._groups.remove(group)

    def _sort_out(self, groups: Sequence[Group], engine: Engine, probed: Probed) -> None:
        """Leave out what patterns brought, and store the rest whole.

        Raises:
            AddressError: Something that was asked for by name can't be stored, or nothing is left.
        """
        faults = []
        for number, problem in probed.unfit.items():
            group = groups[number]
            # All that is computed from a batch of one sample is that sample's.
            certain = problem.alone and engine.batch_size == 1
            if all(fetch.by_pattern for fetch in group) and not certain:
                self._leave_out(group, problem.reason)
            elif problem.alone:
                self._uneven[id(group[0].tensor)] = problem
            else:
                faults.append(f"{group[0].address} {problem.reason}")
        if faults:
            raise AddressError(*faults, hint=_hint_at_size(self._session))
        if not self._groups:
            by_name = any(problem.alone for problem in probed.unfit.values())
            raise AddressError(*self._left_out, hint=_BY_NAME if by_name else "leave it out")

    def _settle_one_by_one(self, places: Mapping[int, int | None]) -> Settled:
        """Settle for samples that are run one by one.

        Args:
            places: The axis of samples of those tensors that have one, by the tensor's id.
        """
        engine = self._make_engine(self._groups)
        reasons = {
            group[0].address: self._uneven[id(group[0].tensor)].reason
            for group in self._groups
            if id(group[0].tensor) in self._uneven and engine.batch_size != 1
        }
        check_one_by_one(self._job.compute, reasons)
        axes, columns = [], []
        results = run_first(engine, self._samples)
        engine.restore()
        for group, result in zip(self._groups, results, strict=True):
            key = id(group[0].tensor)
            if key not in self._uneven:
                axes.append(SampleAxis(places[key]))
                columns.append(self._make_column(group, axes[-1], result, 1))
                continue
            shape = _find_fixed(self._session, group[0].tensor, result)
            place = self._uneven[key].axis
            if place is None or place >= len(shape) or result.shape[place] != 1:
                axes.append(SampleAxis(None, whole=True))
            else:
                axes.append(SampleAxis(place))
                del shape[place]
            columns.append(_make_column(group, result.dtype, shape, self._axes, place))
        computation = Computation(engine, axes)
        return Settled(self._groups, computation, columns, self._left_out, reasons)

    def _make_column(self, group: Group, axis: SampleAxis, result: tf.Tensor, rows: int) -> Column:
        """Make the column of a tensor that has rows, -1 for sizes that follow those of a sample."""
        if not any(-1 in shape for shape, _ in self._samples.specs().values()):
            shape = axis.put_first(result, rows).shape.as_list()[1:]
        elif axis.place is None:
            shape = [-1] * (result.shape.rank - 1)
        else:
            shape = _find_fixed(self._session, group[0].tensor, result)
            del shape[axis.place]
        return _make_column(group, result.dtype, shape, self._axes, axis.place)

    @cached_property
    def _axes(self) -> Mapping[int, Axes]:
        return name_axes(self._session.traced.calls)


def check_one_by_one(compute: Compute, reasons: Mapping[str, str]) -> None:
    """Check that samples may run one by one, as tensors without rows need.

    Raises:
        InputError: Another batch size was asked for.
    """
    if reasons and compute.batch_size not in (None, 1):
        raise InputError(
            *(f"{address} {reason}" for address, reason in reasons.items()),
            "such tensors are stored for samples run one by one, received a batch size of "
            f"{compute.batch_size}",
            hint=Hint("leave ", Setting("batch_size"), " out, or these tensors"),
        )


def _hint_at_size(session: Session) -> Hint | str:
    if session.compute.batch_size is None and is_graph_mode(session.model):
        return Hint(
            "leave it out, or say for how many samples at a time the model was built: ",
            Setting("batch_size", "N", python="N"),
        )
    if (session.compute.batch_size or 1) > 1:
        return Hint(
            "leave it out, or ", Setting("batch_size"), ", to store it whole for each sample"
        )
    return "leave it out"


def _find_forced(job: Job, groups: Sequence[Group]) -> dict[int, Unfit]:
    """Give what the job itself says has another shape for each sample."""
    forced = set(job.selection.ragged)
    unused = set(forced)
    found: dict[int, Unfit] = {}
    for group in groups:
        names = {name for fetch in group for name in fetch.names}
        if names & forced:
            found[id(group[0].tensor)] = Unfit("is declared ragged")
            unused -= names
    if unused:
        raise AddressError(
            f"declared ragged: {', '.join(sorted(unused))}: not among the addresses asked for"
        )
    return found


def _find_fixed(session: Session, tensor: tf.Tensor, result: tf.Tensor) -> list[int]:
    """Give the sizes of a tensor that are the same for all samples, and -1 for the others."""
    rank = result.shape.rank
    if session.compute.eager or tensor.shape.rank is None:
        return [-1] * rank
    own = [-1 if size is None else size for size in tensor.shape]
    return [-1] * (rank - len(own)) + own  # a loop's iterations come first


def _make_column(
    group: Group,
    dtype: tf.DType,
    shape: Sequence[int],
    axes: Mapping[int, Axes],
    place: int | None,
) -> Column:
    """Make a column.

    Args:
        group: The fetches of its tensor.
        dtype: What it is stored as.
        shape: Of a row, -1 for sizes that differ.
        axes: The names of the axes of tensors, by the tensors' ids.
        place: Which axis of the tensor is that of samples; None for none.
    """
    fetch = group[0]
    named = name_fetch(axes, fetch, len(shape), place)
    sizes, stored = tuple(shape), np.dtype(dtype.as_numpy_dtype)
    if dtype == tf.string:
        sizes, stored = (*sizes, -1), np.dtype(np.uint8)
        named = (*named, None) if named else ()
    layout = "ragged" if -1 in sizes else "dense"
    attrs = _describe(group, layout)
    return Column(column_name(group[0].name), sizes, stored, attrs, axes=named)


def choose_stored(tensor: tf.Tensor, dtype: StoredDtype) -> tf.DType:
    """The dtype a tensor is stored as. Numpy has no bfloat16 or float8, and HDF5 no booleans."""
    if tensor.dtype == tf.bool:
        return tf.uint8
    if tensor.dtype.is_floating and dtype != "as-is":
        return tf.as_dtype(dtype)
    known = not tensor.dtype.is_floating or tensor.dtype in (tf.float16, tf.float32, tf.float64)
    return tensor.dtype if known else tf.float32


def make_weight_columns(groups: Sequence[Group], dtype: StoredDtype) -> list[Column]:
    """Make the columns of weights, which all samples share, with the values they have now."""
    columns = []
    for group in groups:
        fetch = group[0]
        value = np.asarray(tf.cast(fetch.read(), choose_stored(fetch.tensor, dtype)))
        attrs = _describe(group, "weight")
        columns.append(Column(column_name(group[0].name), value.shape, value.dtype, attrs, value))
    return columns


def describe_overflows(groups: Sequence[Group], columns: Sequence[Column]) -> list[str]:
    """Say which values of weights became infinite in what they are stored as."""
    told = []
    for group, column in zip(groups, columns, strict=True):
        before = group[0].read()
        if before.dtype.is_floating and before.dtype.size > column.dtype.itemsize:
            became = tf.math.is_inf(column.value) & tf.math.is_finite(before)
            if number := np.count_nonzero(became):
                told.append(
                    f"values of {group[0].address} that become infinite as stored: {number:,}"
                )
    return told


def check_columns(groups: Sequence[Group]) -> None:
    """Check that the columns can have their names.

    Raises:
        DumpError: Some can't.
    """
    pairs = [(fetch.address, column_name(fetch.name)) for group in groups for fetch in group]
    check_names(dict.fromkeys(pairs))


def _describe(group: Group, layout: str) -> dict[str, Any]:
    fetch = group[0]
    return {
        "addresses": list(dict.fromkeys(name for f in group for name in (f.address, f.name))),
        "layer": fetch.layer,
        "layer_class": fetch.layer_class,
        "tensor": getattr(fetch.tensor, "name", ""),  # an eager one has none
        "dtype": fetch.tensor.dtype.name,
        "layout": layout,
        **({} if fetch.origin is None else fetch.origin.attrs),
    }
