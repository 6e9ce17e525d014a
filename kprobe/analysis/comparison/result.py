"""What a comparison gives: its records, as a table for people and as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kprobe.analysis.comparison.records import Comparison, without_infinity
from kprobe.analysis.comparison.table import list_rows, write_summary, write_table
from kprobe.errors import KprobeError
from kprobe.tables import write_html

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class DiffResult(Comparison):
    """How two sides differ; `print` shows the table."""

    def __str__(self) -> str:
        """Write the table, and what is claimed."""
        return "\n".join(write_table(self))

    def __repr__(self) -> str:
        """Say in a line what was compared, and what is claimed."""
        of = f"{len(self.tensors):,} tensors over {self.samples:,} samples"
        return f"<DiffResult of {self.a} and {self.b}: {of}; {self.verdict.text}>"

    def _repr_html_(self) -> str:
        """Show what is claimed, and the table, in a notebook."""
        header, rows, rest = list_rows(self)
        lines = [*write_summary(self), *self.notes, *rest]
        return write_html(f"{self.a} and {self.b}", lines, header, rows)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values, as JSON has them."""
        return {
            "same": self.same,
            "first": self.verdict.first,
            "born": self.verdict.born,
            "verdict": self.verdict.text,
            "kind": self.verdict.kind,
            "would_pass": without_infinity(self.verdict.would_pass),
            "a": self.a,
            "b": self.b,
            "samples": self.samples,
            "unmatched_a": list(self.unmatched_a),
            "unmatched_b": list(self.unmatched_b),
            "notes": list(self.notes),
            "suggestions": [asdict(suggestion) for suggestion in self.suggestions],
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }

    def to_pandas(self) -> pandas.DataFrame:
        """Give the tensors as a table, with a row for each and the columns of `to_json`.

        Raises:
            KprobeError: pandas isn't installed.
        """
        try:
            import pandas
        except ImportError:
            raise KprobeError(
                "to_pandas needs pandas", hint="pip install 'kprobe[pandas]'"
            ) from None
        return pandas.DataFrame([tensor.to_json() for tensor in self.tensors])
