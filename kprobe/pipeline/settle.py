"""Settle what is stored of what is asked for, and as which columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.dumps.layout import Column
from kprobe.dumps.names import check_names, column_name
from kprobe.errors import AddressError
from kprobe.graph.session import is_graph_mode
from kprobe.pipeline.probe import Unfit, probe, run_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.graph.computation import Computation
    from kprobe.graph.fetch import Fetch
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.opened import OpenModel

Group = list["Fetch"]

_RAGGED = "is a ragged tensor"
_BY_NAME = "ask for it by its name, to store it whole for each sample"


@dataclass(frozen=True, eq=False)
class Settled:
    """What will be computed, and stored.

    Attributes:
        groups: The fetches of each tensor.
        subgraph: What computes the tensors of the groups.
        columns: The column of each.
        left_out: What a pattern named and can't be stored, each with the reason.
        whole: By address the tensors for whose sake samples must be run one by one, each with the
            reason: they have no rows, and the whole tensor of a sample is stored as its row.
    """

    groups: Sequence[Group]
    subgraph: Computation
    columns: Sequence[Column]
    left_out: list[str] = field(default_factory=list)
    whole: dict[str, str] = field(default_factory=dict)


def settle(
    opened: OpenModel, groups: Sequence[Group], samples: Samples, left_out: Sequence[str]
) -> Settled:
    """Find out with a few samples how each tensor becomes rows.

    What has no row for each sample is taken whole where its name was asked for, and left out
    where a pattern brought it.

    Args:
        opened: The model.
        groups: The fetches of each tensor.
        samples: The samples, of which the first ones are run.
        left_out: What has been left out before.

    Raises:
        AddressError: Something asked for by name can't be stored, or nothing would be left.
    """
    left_out = list(left_out)
    groups = list(groups)
    whole: dict[int, Unfit] = _find_forced(opened, groups)
    for group in [group for group in groups if id(group[0].tensor) in opened.traced.ragged]:
        if all(fetch.by_pattern for fetch in group):
            left_out.append(f"{group[0].address} {_RAGGED}")
            groups.remove(group)
        else:
            whole[id(group[0].tensor)] = Unfit(_RAGGED, axis=0)
    if left_out and not groups:
        raise AddressError(*left_out, hint=_BY_NAME)
    while True:
        by_rows = [group for group in groups if id(group[0].tensor) not in whole]
        subgraph = opened.cut(by_rows, samples.most)
        results, unfit = probe(subgraph, samples) if by_rows else ([], {})
        subgraph.restore()
        if not unfit:
            break
        faults = []
        for number, problem in unfit.items():
            group = by_rows[number]
            # All that is computed from a batch of one sample is that sample's.
            alone = problem.whole and subgraph.batch_size == 1
            if all(fetch.by_pattern for fetch in group) and not alone:
                left_out.append(f"{group[0].address} {problem.reason}")
                groups.remove(group)
            elif problem.whole:
                whole[id(group[0].tensor)] = problem
            else:
                faults.append(f"{group[0].address} {problem.reason}")
        if faults:
            raise AddressError(*faults, hint=_hint_at_size(opened))
        if not groups:
            raise AddressError(*left_out, hint=_BY_NAME if problem.whole else "leave it out")
    if not whole:
        shapes = _find_row_shapes(opened, groups, samples, subgraph, results)
        columns = [_make_column(*each) for each in zip(groups, results, shapes, strict=True)]
        return Settled(groups, subgraph, columns, left_out)
    axes = {id(by_rows[n][0].tensor): axis for n, axis in subgraph.batch_axes.items()}
    return _settle_whole(opened, groups, samples, whole, axes, left_out)


def _settle_whole(
    opened: OpenModel,
    groups: Sequence[Group],
    samples: Samples,
    whole: Mapping[int, Unfit],
    axes: Mapping[int, int | None],
    left_out: list[str],
) -> Settled:
    """Settle for samples that are run one by one."""
    subgraph = opened.cut(groups, samples.most)
    keys = [id(group[0].tensor) for group in groups]
    subgraph.batch_axes |= {n: axes[key] for n, key in enumerate(keys) if key in axes}
    columns = []
    for number, result in enumerate(run_one(subgraph, samples)):
        group, key = groups[number], keys[number]
        if key not in whole:
            columns.append(_make_column(group, result))
            continue
        shape = _find_fixed(opened, group[0].tensor, result)
        axis = whole[key].axis
        if axis is None or axis >= len(shape) or result.shape[axis] != 1:
            subgraph.whole.add(number)
        else:
            subgraph.batch_axes[number] = axis
            del shape[axis]
        columns.append(_make_column(group, result, shape))
    subgraph.restore()
    reasons = {
        g[0].address: whole[key].reason
        for g, key in zip(groups, keys, strict=True)
        if key in whole and subgraph.batch_size != 1
    }
    return Settled(groups, subgraph, columns, left_out, reasons)


def _hint_at_size(opened: OpenModel) -> str:
    hint = "leave it out"
    if opened.job.batch_size is None and is_graph_mode(opened.traced.model):
        hint += ", or say with --batch-size for how many samples at a time the model was built"
    return hint


def _find_forced(opened: OpenModel, groups: Sequence[Group]) -> dict[int, Unfit]:
    """Give what the job itself says has another shape for each sample."""
    forced = set(opened.job.ragged)
    found: dict[int, Unfit] = {}
    for group in groups:
        names = {name for fetch in group for name in (fetch.address, fetch.name)}
        if names & forced:
            found[id(group[0].tensor)] = Unfit("is said to have a shape of its own for each sample")
            forced -= names
    if forced:
        raise AddressError(
            f"--ragged {', '.join(sorted(forced))}: not among the addresses asked for"
        )
    return found


def _find_fixed(opened: OpenModel, tensor: tf.Tensor, result: tf.Tensor) -> list[int]:
    """Give the sizes of a tensor that are the same for all samples, and -1 for the others."""
    rank = result.shape.rank
    if opened.job.eager or tensor.shape.rank is None:
        return [-1] * rank
    own = [-1 if size is None else size for size in tensor.shape]
    return [-1] * (rank - len(own)) + own  # a loop's iterations come first


def _find_row_shapes(
    opened: OpenModel,
    groups: Sequence[Group],
    samples: Samples,
    subgraph: Computation,
    results: Sequence[tf.Tensor],
) -> list[list[int] | None]:
    """Give the shape of a row of each result, -1 for sizes that may follow those of a sample.

    None where samples have one shape, and the results tell.
    """
    if not any(-1 in shape for shape, _ in samples.specs().values()):
        return [None] * len(groups)
    shapes: list[list[int] | None] = []
    for number, (group, result) in enumerate(zip(groups, results, strict=True)):
        shape = _find_fixed(opened, group[0].tensor, result)
        axis = subgraph.batch_axes.get(number, 0)
        shapes.append([-1] * (len(shape) - 1) if axis is None else shape[:axis] + shape[axis + 1 :])
    return shapes


def _make_column(group: Group, result: tf.Tensor, shape: Sequence[int] | None = None) -> Column:
    """Make the column of a tensor from its result for one sample.

    Args:
        group: Its fetches.
        result: The result.
        shape: Of a row, -1 for sizes that differ; None where the result tells it.
    """
    shape = tuple(result.shape[1:] if shape is None else shape)
    dtype = np.dtype(result.dtype.as_numpy_dtype)
    if result.dtype == tf.string:
        shape, dtype = (*shape, -1), np.dtype(np.uint8)
    layout = "ragged" if -1 in shape else "dense"
    return Column(column_name(group[0].name), shape, dtype, _describe(group, layout))


def make_weight_columns(groups: Sequence[Group], values: Sequence[tf.Tensor]) -> list[Column]:
    """Make the columns of weights, which all samples share."""
    columns = []
    for group, tensor in zip(groups, values, strict=True):
        value = np.asarray(tensor)
        attrs = _describe(group, "weight")
        columns.append(Column(column_name(group[0].name), value.shape, value.dtype, attrs, value))
    return columns


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
    }
