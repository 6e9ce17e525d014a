"""What statistics tell: plain records of tensors, of their channels, and of samples."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kprobe.analysis.statistics.summary import BY
from kprobe.errors import DumpError, Hint, KprobeError, Setting
from kprobe.naming import name_nearest
from kprobe.pipeline.statistics.table import tabulate
from kprobe.tables import align, write_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas

    from kprobe.analysis.statistics.summary import (
        By,
        ChannelSummary,
        SampleSummary,
        TensorSummary,
    )
    from kprobe.pipeline.statistics.conditions import Failure
    from kprobe.pipeline.statistics.gathered import Gathered


def check_by(by: str) -> None:
    """Check what records are to be of.

    Raises:
        KprobeError: Of nothing else than tensors, channels or samples.
    """
    if by not in BY:
        raise KprobeError(
            f"by: expected tensor, channel or sample, received {by!r}",
            hint=name_nearest(str(by), BY),
        )


@dataclass(frozen=True, kw_only=True)
class NonFinite:
    """Where NaN or infinity begins: the first tensor in the order of computing that has any.

    Attributes:
        kind: "NaN" or "infinity".
        address: The tensor.
        row: Its first sample with any; None of a weight.
        sample: The name of this sample; None of a weight.
    """

    kind: str
    address: str
    row: int | None
    sample: str | None

    def __str__(self) -> str:
        """Say it in a line."""
        where = "" if self.row is None else f", in sample {self.row} ({self.sample})"
        return f"{self.kind} is in {self.address} first{where}"


@dataclass(frozen=True, kw_only=True, eq=False)
class StatsResult:
    """What the values of tensors tell.

    Attributes:
        source: What the tensors are of: the name of a dump, or of a model.
        samples: How many samples were gone through.
        total: How many there are; None where nobody knows.
        complete: Whether all samples were gone through.
        left_out: How many of those gone through couldn't be read, and don't count.
        uncounted: What has no statistics, such as text, each with the reason.
        first_nan: Where NaN begins, or None.
        first_inf: Where infinity begins, or None.
        tensors: What is known of each tensor, in the order in which the model computes them as far
            as that is known; weights come last.
        by_channel: By address what is known of each channel; of all values as of one, where there
            is no axis of channels.
        by_sample: By address what is known of each sample; empty where that wasn't gathered, and
            weights aren't there.
        names: By row the names of samples: of all of `by_sample`, and of the first with NaN or
            infinity.
        gathered: What it tells of, for a page of it.
    """

    source: str
    samples: int
    total: int | None
    complete: bool
    left_out: int
    uncounted: Sequence[str]
    first_nan: NonFinite | None
    first_inf: NonFinite | None
    tensors: Sequence[TensorSummary] = field(repr=False)
    by_channel: Mapping[str, Sequence[ChannelSummary]] = field(repr=False)
    by_sample: Mapping[str, Sequence[SampleSummary]] = field(repr=False)
    names: Mapping[int, str] = field(repr=False)
    gathered: Gathered = field(repr=False)

    def __str__(self) -> str:
        """Write the table of tensors, and where NaN and infinity begin."""
        return "\n".join([*align(*tabulate(self.tensors)), *self._tell_first()])

    def __repr__(self) -> str:
        """Say in a line what it is of."""
        tensors = f"{len(self.tensors):,} tensors"
        return f"<StatsResult of {self.source}: {tensors} over {self.samples:,} samples>"

    def _repr_html_(self) -> str:
        """Show the table of tensors, and where NaN and infinity begin, in a notebook."""
        of = "" if self.total in (None, self.samples) else f" of {self.total:,}"
        header, rows, _ = tabulate(self.tensors)
        lines = [f"{self.samples:,}{of} samples", *self._tell_first()]
        return write_html(self.source, lines, header, rows)

    def _tell_first(self) -> list[str]:
        return [str(found) for found in (self.first_nan, self.first_inf) if found is not None]

    def find_failures(self, conditions: str, by: By = "tensor") -> list[Failure]:
        """Find the tensors, channels or samples that meet any of some conditions.

        Args:
            conditions: Such as "nan,dead>0.5,conv*:max>100", with commas.
            by: What is to meet them.

        Raises:
            KprobeError: There is no such condition, or no tensor that it is about; or samples
                weren't told of one by one when it was gathered.
        """
        from kprobe.pipeline.statistics.conditions import (
            check_addresses,
            find_failures,
            parse_conditions,
        )

        check_by(by)
        parsed = parse_conditions(conditions, by)
        check_addresses(parsed, [tensor.address for tensor in self.tensors])
        if by == "channel":
            return find_failures(parsed, self.by_channel)
        if by == "sample":
            self._check_by_sample()
            return find_failures(parsed, self.by_sample)
        return find_failures(parsed, {tensor.address: [tensor] for tensor in self.tensors})

    def _check_by_sample(self) -> None:
        if not self.by_sample and self.samples:
            raise _not_by_sample(self.source)

    def list_records(self, by: By = "tensor") -> list[dict[str, Any]]:
        """Give plain numbers and texts, a flat record for each tensor, channel or sample.

        Args:
            by: What a record is of.

        Raises:
            KprobeError: Samples weren't told of one by one when it was gathered, or records are of
                nothing else than tensors, channels or samples.
        """
        check_by(by)
        if by == "channel":
            pairs = self.by_channel.items()
            return [{"address": a, **_flatten(each)} for a, told in pairs for each in told]
        if by == "sample":
            self._check_by_sample()
            return [
                {"address": address, "sample": self.names[each.row], **_flatten(each)}
                for address, told in self.by_sample.items()
                for each in told
            ]
        return [_flatten(tensor) for tensor in self.tensors]

    def to_json(self, by: By = "tensor") -> dict[str, Any]:
        """Give all that is told as what JSON can hold.

        Args:
            by: With "channel" or "sample" each tensor has a list of these, too.

        Raises:
            KprobeError: Samples weren't told of one by one when it was gathered.
        """
        tensors = [{"address": tensor.address, **asdict(tensor)} for tensor in self.tensors]
        if by != "tensor":
            parts: dict[str, list[dict[str, Any]]] = {each["address"]: [] for each in tensors}
            for record in self.list_records(by):
                parts[record.pop("address")].append(record)
            for each in tensors:
                each[f"by_{by}"] = parts[each["address"]]
        told = {
            "source": self.source,
            "samples": self.samples,
            "total": self.total,
            "complete": self.complete,
            "left_out": self.left_out,
            "uncounted": list(self.uncounted),
            "first_nan": self.first_nan and asdict(self.first_nan),
            "first_inf": self.first_inf and asdict(self.first_inf),
            "tensors": tensors,
        }
        plain: dict[str, Any] = _keep_finite(told)
        return plain

    def to_pandas(self, by: By = "tensor") -> pandas.DataFrame:
        """Give it as a table, with a row for each tensor, channel or sample.

        Args:
            by: What a row is of.

        Raises:
            KprobeError: Samples weren't told of one by one when it was gathered.
            DumpError: pandas isn't installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise DumpError(
                "to_pandas needs pandas", hint="pip install 'kprobe[pandas]'"
            ) from error
        index = {"tensor": ["address"], "channel": ["address", "channel"]}
        return pandas.DataFrame(self.list_records(by)).set_index(
            index.get(by, ["address", "sample"])
        )


def make_report(gathered: Gathered) -> StatsResult:
    """Tell what was gathered."""
    weights = set(gathered.weights)
    tensors, by_channel = [], {}
    for address, each in gathered.statistics.items():
        tensor, channels = each.summarize(address), each.summarize_channels()
        if address in weights:  # there are no samples that a channel could be dead for
            tensor = replace(tensor, dead=None, dead_channels=None)
            channels = [replace(channel, dead=None) for channel in channels]
        tensors.append(tensor)
        by_channel[address] = channels
    first_nan, first_inf = find_first(gathered, tensors)
    return StatsResult(
        source=gathered.source,
        samples=gathered.rows,
        total=gathered.total,
        complete=gathered.complete,
        left_out=gathered.left_out,
        uncounted=gathered.uncounted,
        first_nan=first_nan,
        first_inf=first_inf,
        tensors=tensors,
        by_channel=by_channel,
        by_sample={
            address: each.summarize_samples()
            for address, each in gathered.statistics.items()
            if each.by_sample and address not in weights
        },
        names=gathered.names,
        gathered=gathered,
    )


def find_first(
    gathered: Gathered, tensors: Sequence[TensorSummary]
) -> tuple[NonFinite | None, NonFinite | None]:
    """Find where NaN and infinity begin.

    Args:
        gathered: What was gathered.
        tensors: What it tells of each tensor.

    Returns:
        The first tensor with NaN, and the first with infinity.
    """
    found: list[NonFinite | None] = []
    weights = set(gathered.weights)
    for name, kind in (("first_nan", "NaN"), ("first_inf", "infinity")):
        first = next((t for t in tensors if getattr(t, name) is not None), None)
        if first is None:
            found.append(None)
            continue
        row = None if first.address in weights else getattr(first, name)
        sample = None if row is None else gathered.names.get(row)
        found.append(NonFinite(kind=kind, address=first.address, row=row, sample=sample))
    return found[0], found[1]


def _flatten(summary: Any) -> dict[str, Any]:
    """Give what a summary has as plain numbers and texts, one level deep."""
    fields = asdict(summary)
    fields.pop("histogram", None)
    quantiles = fields.pop("quantiles", {})
    if "shape" in fields:
        fields["shape"] = "x".join("?" if size < 0 else str(size) for size in fields["shape"])
    leading = [name for name in ("address", "channel", "row") if name in fields]
    ordered = {name: fields[name] for name in [*leading, *fields]}
    return ordered | {f"q{part}": value for part, value in quantiles.items()}


def _keep_finite(value: Any) -> Any:
    """Put null where JSON has no number, such as for a norm that float64 can't hold."""
    if isinstance(value, dict):
        return {name: _keep_finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_keep_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _not_by_sample(source: str) -> KprobeError:
    return DumpError(
        f"{source}: samples weren't told of one by one when the statistics were gathered",
        hint=Hint("gather them again with ", Setting("by", "sample")),
    )
