"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, at the end of a batch.

    Attributes:
        rows: Samples done, those of an earlier run included.
        total: Samples in all; None where nobody knows.
        resumed: How many of them an earlier run had done.
        bytes: What this run has given to be written.
        began: When it began, in seconds of `time.monotonic`.
        read_ahead: Batches that are read and wait to be computed.
        to_write: Batches that are computed and wait to be written.
        bottleneck: What it has waited for most until now: "reading", "computing" or "writing".
    """

    rows: int
    total: int | None
    resumed: int
    bytes: int
    began: float
    read_ahead: int
    to_write: int
    bottleneck: str

    def count_per_second(self, now: float) -> float:
        """Give the samples a second of this run.

        Args:
            now: In seconds of `time.monotonic`.
        """
        return (self.rows - self.resumed) / max(now - self.began, 1e-9)

    def find_seconds_left(self, now: float) -> float | None:
        """Give how long it still takes at that rate; None where that can't be told."""
        rate = self.count_per_second(now)
        return (self.total - self.rows) / rate if rate and self.total is not None else None
