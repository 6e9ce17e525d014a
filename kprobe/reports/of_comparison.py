"""What a report says of a comparison: where two sides part ways, and where the error is born."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.naming import list_names
from kprobe.reports.contents import Contents, Figure, Finding, Layer
from kprobe.reports.network import fold_layers, follow_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kprobe.reports.contents import Level

FIGURES = (
    Figure(
        key="excess",
        title="over tolerance",
        help="the local error, or else the running one, over its tolerance",
        colour="log",
    ),
    Figure(
        key="local",
        title="local error",
        help="how far B's layer is from A's on the same inputs, over A's deviation",
        colour="log",
    ),
    Figure(
        key="running",
        title="running error",
        help="how far B's values are from A's, with all that came before, over A's deviation",
        colour="log",
    ),
    Figure(
        key="largest", title="largest", help="the largest difference of two values", colour="log"
    ),
    Figure(key="snr", title="dB", help="the signal-to-noise ratio of the running difference"),
    Figure(key="tolerance", title="tolerance", help="how large the error may be"),
    Figure(key="noise", title="noise", help="how far A is from itself, computed otherwise"),
    Figure(key="cosine", title="cosine", help="the cosine of the angle between both"),
    Figure(
        key="ulps",
        title="ULP",
        help="the largest difference in units in the last place",
        unit="count",
        colour="log",
    ),
    Figure(
        key="unlike",
        title="NaN on one side",
        help="how many values are NaN or infinite on one side, or differ in that",
        unit="count",
        colour="linear",
    ),
)
FLAGS = {
    "born": "where the error is born",
    "first": "the first that parts ways",
    "above": "above tolerance",
    "unlike": "with NaN or infinity on one side",
    "unequal": "of another shape or text in B",
    "weak": "matched by order alone",
}
# Of those that are named, so many.
_NAMED = 4
_KEYS = {
    "local": "local_relative",
    "running": "relative",
    "largest": "max_abs",
    "snr": "snr_db",
    "tolerance": "tolerance",
    "noise": "noise",
    "cosine": "cosine",
    "ulps": "max_ulps",
}


def describe_comparison(told: Mapping[str, Any]) -> Contents:
    """Say what a comparison tells.

    Args:
        told: The comparison, as `read_comparison` gives it.
    """
    layers = _list_layers(told)
    used = {flag for layer in layers for flag in layer.flags}
    some = {key for layer in layers for key, value in layer.values.items() if value is not None}
    some |= {"excess", "running"}
    if not any(layer.values["unlike"] for layer in layers):
        some.discard("unlike")
    return Contents(
        kind="comparison",
        title=f"{Path(told['a']).name} and {Path(told['b']).name}",
        level="good" if told["same"] else "bad",
        verdict=_say_verdict(told),
        findings=list(_find(told, layers)),
        facts=list(_list_facts(told)),
        figures=[figure for figure in FIGURES if figure.key in some],
        flags={flag: text for flag, text in FLAGS.items() if flag in used},
        sort=None if told["same"] else "excess",
        layers=layers,
        tree=fold_layers([layer.name for layer in layers], [t["weight"] for t in told["tensors"]]),
        linked=any(tensor["after"] for tensor in told["tensors"]),
    )


def _list_layers(told: Mapping[str, Any]) -> list[Layer]:
    tensors = told["tensors"]
    places = {tensor["b"]: place for place, tensor in enumerate(tensors)}
    weights = [tensor["weight"] for tensor in tensors]
    upstream: list[Sequence[int] | None] = [
        None
        if weights[place]
        else sorted({places[name] for name in tensor["after"] if name in places} - {place})
        for place, tensor in enumerate(tensors)
    ]
    if not any(upstream):
        upstream = follow_order(weights)
    return [
        Layer(
            name=tensor["b"],
            other="" if tensor["a"] == tensor["b"] else tensor["a"],
            class_name=tensor["layer_class"] or "",
            shape=_write_shape(tensor["shape"]),
            dtype=tensor["dtype"],
            values=_list_values(tensor),
            flags=list(_find_flags(tensor, told)),
            upstream=above,
            facts=list(_list_details(tensor)),
        )
        for tensor, above in zip(tensors, upstream, strict=True)
    ]


def _list_values(tensor: Mapping[str, Any]) -> dict[str, float | None]:
    values = {key: tensor[name] for key, name in _KEYS.items()}
    decides = "running" if tensor["local_relative"] is None else "local"
    excess, tolerance = None, tensor["tolerance"]
    if values[decides] is not None and tolerance:
        excess = values[decides] / tolerance
    unlike = tensor["only_a"] + tensor["only_b"] + tensor["unlike"]
    return {
        "excess": excess if excess is not None and math.isfinite(excess) else None,
        **values,
        "unlike": unlike,
    }


def _find_flags(tensor: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    if told["born"] is not None and tensor["place"] == told["born"]:
        yield "born"
    if tensor["b"] == told["first"]:
        yield "first"
    if not tensor["same"]:
        yield "above"
    if tensor["only_a"] or tensor["only_b"] or tensor["unlike"]:
        yield "unlike"
    if tensor["unequal"]:
        yield "unequal"
    if tensor["matched_by"] == "order":
        yield "weak"


def _list_details(tensor: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give titles and texts of what the table has no room for: both sides, and the worst place."""
    yield "in A", tensor["a"]
    yield "in B", tensor["b"]
    yield "matched by", tensor["matched_by"]
    if tensor["layout"]:
        yield "layout", tensor["layout"]
    if tensor["place"] != tensor["b"]:
        yield "place", tensor["place"]
    if tensor["sample"] is not None or tensor["row"] is not None:
        sample = "" if tensor["sample"] is None else tensor["sample"]
        row = "" if tensor["row"] is None else f" (row {tensor['row']:,})"
        yield "sample of the largest difference", f"{sample}{row}".strip()
    if tensor["odd_sample"] is not None:
        yield "first sample that isn't alike", tensor["odd_sample"]
    if tensor["index"] is not None:
        yield "index of the largest difference", str(tensor["index"])
    for name, title in (
        ("worst_channel", "channel with the largest running error"),
        ("local_worst_channel", "channel with the largest local error"),
    ):
        if tensor[name] is not None:
            yield title, f"{tensor[name]:,}"
    if tensor["local_reason"]:
        yield "no local error", tensor["local_reason"]
    for name, title in (
        ("only_a", "not finite in A alone"),
        ("only_b", "not finite in B alone"),
        ("unlike", "not finite, and unlike"),
    ):
        if tensor[name]:
            yield title, f"{tensor[name]:,} values"
    if tensor["unequal"]:
        yield "of another shape or text", f"{tensor['unequal']:,} samples"
    yield "values compared", f"{tensor['count']:,}"


def _write_shape(shape: Sequence[int | None] | None) -> str:
    return "?" if shape is None else "x".join("?" if n is None else str(n) for n in shape)


def _say_verdict(told: Mapping[str, Any]) -> str:
    text: str = told["verdict"]
    if told["kind"] == "born":
        text = f"The error is {text}"
    return f"{text[:1].upper()}{text[1:]}"


def _find(told: Mapping[str, Any], layers: Sequence[Layer]) -> Iterator[Finding]:
    flagged = {flag: [layer for layer in layers if flag in layer.flags] for flag in FLAGS}
    level: Level = "good" if told["same"] else "bad"
    if told["born"] is not None:
        yield Finding(level=level, text=f"Born at: {told['born']}.", flag="born")
    if told["first"] is not None:
        yield Finding(
            level=level, text=f"The first that parts ways: {told['first']}.", flag="first"
        )
    of = f"{len(layers):,} tensors"
    if above := flagged["above"]:
        worst = sorted(above, key=_rank)
        named = list_names((layer.name for layer in worst), _NAMED)
        are = "is" if len(above) == 1 else "are"
        text = f"{len(above):,} of {of} {are} above tolerance, the worst first: {named}."
        yield Finding(level="bad", text=text, flag="above")
    else:
        yield Finding(level="good", text=f"All of {of} are within tolerance.")
    if flagged["unlike"]:
        named = list_names((layer.name for layer in flagged["unlike"]), _NAMED)
        yield Finding(level="bad", text=f"NaN or infinity on one side: {named}.", flag="unlike")
    if flagged["unequal"]:
        named = list_names((layer.name for layer in flagged["unequal"]), _NAMED)
        yield Finding(level="bad", text=f"Of another shape or text in B: {named}.", flag="unequal")
    if not told["same"] and told["would_pass"] is not None:
        text = f"It would pass with a relative tolerance of {told['would_pass']:.2g}."
        yield Finding(level="note", text=text)
    for side in ("a", "b"):
        if names := told[f"unmatched_{side}"]:
            text = f"Only in {told[side]}: {list_names(names, 2 * _NAMED)}."
            yield Finding(level="warn", text=text)
    if weak := flagged["weak"]:
        named = list_names((layer.name for layer in weak), _NAMED)
        text = f"{len(weak):,} matched by order and shape, not by a name: {named}."
        yield Finding(level="warn", text=text, flag="weak")
    for note in told["notes"]:
        yield Finding(level="note", text=note)


def _rank(layer: Layer) -> float:
    """Give a key that puts the largest error over its tolerance first."""
    excess = layer.values["excess"]
    return -math.inf if excess is None or layer.values["unlike"] else -excess


def _list_facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "A", told["a"]
    yield "B", told["b"]
    yield "Samples compared", f"{told['samples']:,}"
    yield "Tensors compared", f"{len(told['tensors']):,}"
    yield "Only in A", f"{len(told['unmatched_a']):,}"
    yield "Only in B", f"{len(told['unmatched_b']):,}"
