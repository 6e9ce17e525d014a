"""What a report says: plain records, which the page has as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Level = Literal["bad", "warn", "good", "note"]
# A place in the tree of layers: the number of a layer, or a group of such places.
Tree = list[Any]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that layers have.

    Attributes:
        key: What it is called in `Layer.values`.
        title: What the page calls it.
        help: What it tells, in a line.
        unit: How it is written: "percent" of a fraction, "count" or "number".
        colour: How it is coloured: between the least and the largest, "linear" or "log"; None
            where it is no choice for the colours of the graph.
        column: Whether the table has a column for it, if any layer has it.
    """

    key: str
    title: str
    help: str
    unit: Literal["percent", "count", "number"] = "number"
    colour: Literal["linear", "log"] | None = None
    column: bool = True


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that stands out.

    Attributes:
        level: How bad it is.
        text: What it is, a sentence.
        flag: Which layers it is about: those with this flag; None for no layers in particular.
    """

    level: Level
    text: str
    flag: str | None = None


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Pictures of a layer's values, one for each sample that is shown.

    Attributes:
        channels: The numbers of the channels, as texts, whose maps stand side by side in each
            picture; empty where the picture is of all values.
        scale: The values of the first and of the last colour.
        palette: The name of the colours.
        pictures: A `data:` URI for each sample; of a comparison, those of B.
        others: The same of A; empty where there is no other side.
        ratio: The width of a map over its height.
        pixelated: Whether its pixels are values, which are to be seen as such.
    """

    channels: Sequence[str]
    scale: tuple[float, float]
    palette: str
    pictures: Sequence[str]
    others: Sequence[str] = ()
    ratio: float
    pixelated: bool


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A tensor, as the page shows it.

    Attributes:
        name: Its address.
        other: What A calls it, where a comparison's B calls it otherwise; else "".
        class_name: The class of its layer, "" where that isn't known.
        shape: The shape of a row, such as "8x8x16".
        dtype: The dtype of its values.
        values: What is known of it, by the key of a `Figure`; None for what there is no number of.
        flags: What stands out, as `Finding.flag` has it.
        upstream: The places among the layers of those that it is computed from directly; None
            for what isn't part of the graph, such as a weight.
        edges: The least and the largest value of its histogram; None without one.
        counts: How many values lie in each part between them.
        facts: More that is told where it is looked at: titles and texts.
        maps: Pictures of its values, or None.
    """

    name: str
    class_name: str
    shape: str
    dtype: str
    other: str = ""
    values: Mapping[str, float | None]
    flags: Sequence[str] = ()
    upstream: Sequence[int] | None = None
    edges: tuple[float, float] | None = None
    counts: Sequence[int] = ()
    facts: Sequence[tuple[str, str]] = ()
    maps: Maps | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a report says.

    Attributes:
        kind: What it is of.
        title: What that is called.
        level: How good or bad it is on the whole.
        verdict: The same as a sentence.
        findings: What stands out, the worst first.
        facts: Where it is from: titles and texts.
        figures: The numbers that layers have.
        flags: By flag what its layers are called in the filter.
        sort: The key of the figure that the table is sorted by at first, the largest first; None
            for the order of computing.
        layers: The layers, in the order of computing; weights last.
        tree: Their places in groups, which can be folded.
        linked: Whether all of `Layer.upstream` is what the model says; else some of it is the order
            of computing alone.
        samples: The names of the samples that there are pictures of.
        images: What each of these was made from, as a `data:` URI; empty where nobody gave it.
    """

    kind: Literal["dump", "statistics", "comparison"]
    title: str
    level: Level
    verdict: str
    findings: Sequence[Finding]
    facts: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    flags: Mapping[str, str]
    sort: str | None
    layers: Sequence[Layer]
    tree: Tree
    linked: bool
    samples: Sequence[str] = ()
    images: Sequence[str] = ()
