"""The records of a comparison: what is described, matched, measured and said."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Sequence


MatchedBy = Literal["given", "address", "path", "order"]
Kind = Literal["born", "spread", "none", "withheld", "parts"]


@dataclass(frozen=True)
class Described:
    """A tensor of one side, as far as it must be known to be matched.

    Attributes:
        address: What it is called.
        shape: The shape of a sample's values, or of a weight; None for an axis that isn't known or
            where samples differ, or None as a whole, as of texts.
        dtype: What it is computed in, such as "float32" or "bfloat16", whatever it is stored as.
        order: Its place in the order of computing, from 0.
        class_name: The layer's class; None where it isn't known.
        also: Other addresses of the same tensor.
        axes: What the axes of `shape` are called, such as "height" and "channel"; None for one that
            isn't known, or None as a whole.
        inputs: The addresses of the tensors that it is computed from directly; None where that
            isn't known.
        weight: Whether it is a weight, which has no samples.
        skipped: The addresses of layers between it and its `inputs` whose tensors weren't taken, in
            the order of computing.
    """

    address: str
    shape: tuple[int | None, ...] | None
    dtype: str
    order: int
    class_name: str | None = None
    also: tuple[str, ...] = ()
    axes: tuple[str | None, ...] | None = None
    inputs: tuple[str, ...] | None = None
    weight: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it holds texts."""
        return self.dtype == "string"


@dataclass(frozen=True)
class Pair:
    """Two tensors that are compared.

    Attributes:
        a: A's.
        b: B's.
        matched_by: What they were matched by: "given", "address", "path" (the same path but for
            Keras's numbering) or "order" (order and shape, no name).
        transpose: How the axes of A's rows become those of B's, as `numpy.transpose` takes it,
            without the axis of samples: (2, 0, 1) where A is NHWC and B NCHW. None where they are
            the same.
        layout: The same in words, such as "NHWC/NCHW", or None.
        between: The addresses of layers of B that lie between this one and the matched ones before
            it, and have no matched tensor: an error that shows here may be born in any of them.
        after: The addresses of B's matched tensors before those.
        removed: The addresses of unmatched tensors of A that A's is computed from, as far as that
            is known: what B leaves out before this one.
    """

    a: Described
    b: Described
    matched_by: MatchedBy
    transpose: tuple[int, ...] | None = None
    layout: str | None = None
    between: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def channel_axis(self) -> int:
        """Which axis of B's rows is that of channels, without the axis of samples."""
        shape = self.b.shape or ()
        if self.b.axes and "channel" in self.b.axes:
            return self.b.axes.index("channel")
        return 0 if self.layout == "NHWC/NCHW" else len(shape) - 1


@dataclass(frozen=True)
class Suggestion:
    """Two unmatched tensors that look alike, and don't count in a comparison.

    Attributes:
        a: The address of A's.
        b: That of B's.
        correlation: Pearson's correlation of their values on the first samples.
    """

    a: str
    b: str
    correlation: float

    @property
    def match(self) -> str:
        """What to set `match` to, so that it counts."""
        return f"{self.a}={self.b}"


@dataclass(frozen=True)
class Matching:
    """Which tensors of two sides are the same.

    Attributes:
        pairs: In the order in which A computes them.
        unmatched_a: The addresses that only A has, in its order.
        unmatched_b: The addresses that only B has, in its order.
        notes: What should be said of it, a line each.
        candidates: What isn't matched of A and of B, and could be by its order and shape; and pairs
            that something unmatched of either side could be the better partner of.
    """

    pairs: tuple[Pair, ...]
    unmatched_a: tuple[str, ...] = ()
    unmatched_b: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    candidates: tuple[tuple[Described, Described], ...] = ()


@dataclass(frozen=True)
class Deviation:
    """How far B's values of a tensor are from A's.

    Values that aren't finite on both sides don't count but in `only_a`, `only_b` and `unlike`, and
    samples of other shapes, or other texts, but in `unequal`.

    Attributes:
        count: The number of values that were compared; of samples of text.
        max_abs: The largest absolute difference; 0 for no values.
        row: The row of the sample where it is; None where there is no difference.
        index: Where in that sample it is, in B's axes; None as `row`.
        relative: The root mean square of the difference, relative to A's standard deviation. Where
            A is constant, to its magnitude; infinity where that is 0 and B's isn't.
        worst_channel: The channel whose root mean square difference is largest; None where there is
            no difference, or no axis of channels.
        worst_channel_relative: That, relative to the same as `relative`.
        snr_db: The mean square of A's values over that of the difference, in decibels; None where
            either is 0.
        only_a: How many values aren't finite in A alone.
        only_b: How many values aren't finite in B alone.
        unlike: How many aren't finite in both, but aren't the same: NaN and infinity, or
            infinities of two signs.
        first_unlike: The first row with one of these three; None without any.
        unequal: How many samples have another shape in B than in A, or another text.
        first_unequal: The first row of these; None without any.
        scale: What `relative` is relative to.
        cosine: The cosine of the angle between the values of both; None where it wasn't asked for.
        max_ulps: The largest difference in units in the last place; None as `cosine`.
    """

    count: int
    max_abs: float
    row: int | None
    index: tuple[int, ...] | None
    relative: float
    worst_channel: int | None
    worst_channel_relative: float | None
    snr_db: float | None
    only_a: int = 0
    only_b: int = 0
    unlike: int = 0
    first_unlike: int | None = None
    unequal: int = 0
    first_unequal: int | None = None
    scale: float = 0.0
    cosine: float | None = None
    max_ulps: int | None = None

    @property
    def all_finite_alike(self) -> bool:
        """Whether NaN and infinity are where they are on the other side, too."""
        return not (self.only_a or self.only_b or self.unlike)

    @property
    def all_alike(self) -> bool:
        """Whether shapes and texts are the same, too."""
        return self.all_finite_alike and not self.unequal


@dataclass(frozen=True)
class TensorDifference:
    """What was found of a matched pair.

    Attributes:
        pair: The two tensors.
        running: How far B's values are from A's, all differences before it included.
        tolerance: How large `relative` may be, of the local error or else of the running one.
        atol: How large `max_abs` may be, whatever `relative` is.
        local: How far B's layer is from A's on the same inputs; None where there is no such thing.
        local_reason: Why there is none, or None.
        noise: How far A's own values are from themselves, computed in another way, as `relative`;
            None where it wasn't measured.
        sample: The name of the sample where `running.max_abs` is.
        odd_sample: The name of the first sample with NaN or infinity on one side alone, of another
            shape or with another text; None without any.
    """

    pair: Pair
    running: Deviation
    tolerance: float
    atol: float = 0.0
    local: Deviation | None = None
    local_reason: str | None = None
    noise: float | None = None
    sample: str | None = None
    odd_sample: str | None = None

    @property
    def deciding(self) -> Deviation:
        """The deviation that tolerance is held against: the local one where there is one."""
        return self.running if self.local is None else self.local

    @property
    def same(self) -> bool:
        """Whether it is within tolerance."""
        return _is_within(self.deciding, self.tolerance, self.atol)

    @property
    def running_same(self) -> bool:
        """Whether the running difference is within tolerance."""
        return _is_within(self.running, self.tolerance, self.atol)

    @property
    def excess(self) -> float:
        """How many times its tolerance the deciding deviation is; infinity for an odd NaN."""
        deviation = self.deciding
        if not deviation.all_alike:
            return math.inf
        if deviation.max_abs <= self.atol or not deviation.relative:
            return 0.0
        return deviation.relative / self.tolerance if self.tolerance else math.inf

    @property
    def gain(self) -> float | None:
        """The running difference over the local one; None without local error."""
        if self.local is None or not self.local.relative:
            return None
        return self.running.relative / self.local.relative

    @property
    def place(self) -> str:
        """The address; or the region, where layers before it have no matched tensor."""
        if not self.pair.between:
            return self.pair.b.address
        before = " and ".join(self.pair.after) or "the inputs"
        return f"between {before} and {self.pair.b.address}: {list_names(self.pair.between, 4)}"

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values; null for what isn't a finite number."""
        found = self.running
        plain = {
            "a": self.pair.a.address,
            "b": self.pair.b.address,
            "matched_by": self.pair.matched_by,
            "layout": self.pair.layout,
            "order": self.pair.a.order,
            "between": list(self.pair.between),
            "after": list(self.pair.after),
            "place": self.place,
            "layer_class": self.pair.b.class_name or self.pair.a.class_name,
            "shape": None if self.pair.b.shape is None else list(self.pair.b.shape),
            "dtype": self.pair.b.dtype,
            "weight": self.pair.b.weight,
            "same": self.same,
            "count": found.count,
            "max_abs": found.max_abs,
            "row": found.row,
            "sample": self.sample,
            "index": None if found.index is None else list(found.index),
            "relative": found.relative,
            "worst_channel": found.worst_channel,
            "worst_channel_relative": found.worst_channel_relative,
            "snr_db": found.snr_db,
            "only_a": found.only_a,
            "only_b": found.only_b,
            "unlike": found.unlike,
            "unequal": found.unequal,
            "odd_sample": self.odd_sample,
            "cosine": found.cosine,
            "max_ulps": found.max_ulps,
            "tolerance": self.tolerance,
            "atol": self.atol,
            "noise": self.noise,
            "local_relative": self.local and self.local.relative,
            "local_max_abs": self.local and self.local.max_abs,
            "local_worst_channel": self.local and self.local.worst_channel,
            "local_reason": self.local_reason,
            "gain": self.gain,
        }
        return {key: without_infinity(value) for key, value in plain.items()}


@dataclass(frozen=True)
class Verdict:
    """What is claimed of a comparison.

    Attributes:
        kind: "born": at one place; "spread": at no single place; "none": nothing above tolerance;
            "withheld": local errors can't be trusted; "parts": there are no local errors, so the
            first that parts ways is all that can be named.
        text: The same as a sentence.
        born: The address in B, or the region, where the error is born; None of other kinds.
        first: The address in B of the first whose running difference is above tolerance, in the
            order of computing; None without one.
        would_pass: The least tolerance, as `relative`, with which all tensors would pass; 0 where
            all are equal, None where none would do, as with NaN on one side.
    """

    kind: Kind
    text: str
    born: str | None = None
    first: str | None = None
    would_pass: float | None = None


@dataclass(frozen=True)
class Comparison:
    """How two sides differ.

    Attributes:
        a: What A is called.
        b: What B is called.
        samples: How many samples were compared.
        tensors: Every matched pair, in the order of computing.
        verdict: What is claimed of it.
        unmatched_a: The addresses that only A has.
        unmatched_b: The addresses that only B has.
        notes: What should be said beside it, a line each.
        suggestions: What isn't matched and looks alike; none of it counts.
    """

    a: str
    b: str
    samples: int
    tensors: tuple[TensorDifference, ...] = field(repr=False)
    verdict: Verdict
    unmatched_a: tuple[str, ...] = ()
    unmatched_b: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all matched tensors are within tolerance."""
        return all(tensor.same for tensor in self.tensors)

    @property
    def ranked(self) -> Sequence[TensorDifference]:
        """The tensors, the largest error over tolerance first.

        Of equal ones those that part ways come first, else they are in the order of computing.
        """
        return sorted(self.tensors, key=lambda t: (-t.excess, t.running_same))


def _is_within(deviation: Deviation, tolerance: float, atol: float) -> bool:
    small = deviation.relative <= tolerance or deviation.max_abs <= atol
    return small and deviation.all_alike


def without_infinity(value: Any) -> Any:
    """Give what JSON has for a value: null for what isn't a finite number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
