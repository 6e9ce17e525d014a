"""What a report says of statistics: of a dump, or of those that were kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.pipeline.statistics.report import find_first
from kprobe.reports.contents import Contents, Figure, Layer
from kprobe.reports.network import read_network
from kprobe.reports.origin import describe_origin
from kprobe.reports.standing_out import FLAGS, find_flags, find_gaps, find_standing_out, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.analysis.statistics.summary import TensorSummary
    from kprobe.pipeline.statistics.gathered import Gathered

FIGURES = (
    Figure(
        key="zeros",
        title="zeros",
        help="the part of the values that is exactly zero",
        unit="percent",
        colour="linear",
    ),
    Figure(
        key="dead",
        title="dead",
        help="the part of the channels that is zero for every sample",
        unit="percent",
        colour="linear",
    ),
    Figure(key="mean", title="mean", help="the mean of the finite values"),
    Figure(key="std", title="deviation", help="the standard deviation", colour="log"),
    Figure(key="min", title="least", help="the least value"),
    Figure(key="max", title="largest", help="the largest value"),
    Figure(key="rms", title="norm (RMS)", help="the root of the mean of the squares", colour="log"),
    Figure(
        key="l2",
        title="norm (L2)",
        help="the root of the sum of the squares, over all samples",
        colour="log",
        column=False,
    ),
    Figure(
        key="saturated",
        title="saturated",
        help="the part at the least or the largest value, where many are exactly there",
        unit="percent",
        colour="linear",
    ),
    Figure(key="nan", title="NaN", help="how many values are NaN", unit="count", colour="linear"),
    Figure(
        key="inf",
        title="infinite",
        help="how many values are infinite",
        unit="count",
        colour="linear",
    ),
)
# Columns that are there only where any layer has such values.
_RARE = ("dead", "saturated", "nan", "inf")


def describe_statistics(
    gathered: Gathered, names: Mapping[str, Sequence[str]] | None = None
) -> Contents:
    """Say what statistics tell.

    Args:
        gathered: The statistics.
        names: By the address of each tensor, all addresses it has; None where it has one.
    """
    tensors = [each.summarize(address) for address, each in gathered.statistics.items()]
    among = set(gathered.weights)
    weights = [tensor.address in among for tensor in tensors]
    own = [(names or {}).get(tensor.address, [tensor.address]) for tensor in tensors]
    network = read_network(gathered.attrs, own, weights)
    layers = []
    for place, tensor in enumerate(tensors):
        layer = _describe_tensor(tensor, weight=weights[place])
        others = [("also", name) for name in own[place] if name != tensor.address]
        layers.append(
            replace(
                layer,
                class_name="weight" if weights[place] else network.classes[place],
                upstream=network.upstream[place],
                facts=[*others, *layer.facts],
            )
        )
    firsts = find_first(gathered, tensors)
    level, verdict = judge(gathered, firsts, layers)
    used = {flag for layer in layers for flag in layer.flags}
    rare = {key for key in _RARE if not any(layer.values[key] for layer in layers)}
    return Contents(
        kind="statistics",
        title=Path(gathered.source).name,
        level=level,
        verdict=verdict,
        findings=[*find_standing_out(firsts, layers), *find_gaps(gathered)],
        facts=[*_describe_samples(gathered), *describe_origin(gathered.attrs)],
        figures=[figure for figure in FIGURES if figure.key not in rare],
        flags={flag: text for flag, text in FLAGS.items() if flag in used},
        sort=None,
        layers=layers,
        tree=network.tree,
        linked=network.linked,
    )


def _describe_tensor(tensor: TensorSummary, *, weight: bool) -> Layer:
    found: dict[str, Any] = {figure.key: getattr(tensor, figure.key) for figure in FIGURES}
    # The mean of float64's largest numbers, say, is none that JSON has.
    values = {
        key: value if value is None or math.isfinite(value) else None
        for key, value in found.items()
    }
    flags = list(find_flags(tensor, weight=weight))
    histogram = tensor.histogram
    if histogram is not None and not all(map(math.isfinite, histogram.edges)):
        histogram = None
    facts = [
        ("values", f"{tensor.count:,}"),
        *([("channels", f"{tensor.channels:,}")] if tensor.channels is not None else []),
        *([("dead channels", f"{tensor.dead_channels:,}")] if tensor.dead_channels else []),
        *(
            (f"{100 * float(part):g} % lie below", f"{at:.5g}")
            for part, at in tensor.quantiles.items()
        ),
    ]
    return Layer(
        name=tensor.address,
        class_name="",
        shape="x".join("?" if size < 0 else str(size) for size in tensor.shape),
        dtype=tensor.dtype,
        values=values,
        flags=flags,
        edges=None if histogram is None else (histogram.edges[0], histogram.edges[-1]),
        counts=[] if histogram is None else histogram.counts,
        facts=facts,
    )


def _describe_samples(gathered: Gathered) -> list[tuple[str, str]]:
    total = "nobody knows how many" if gathered.total is None else f"{gathered.total:,}"
    return [
        ("Source", gathered.source),
        ("Samples", f"{gathered.rows:,}" + ("" if gathered.complete else f" of {total}")),
        ("Tensors", f"{len(gathered.statistics):,}"),
    ]
