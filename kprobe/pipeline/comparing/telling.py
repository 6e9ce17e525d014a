"""How far a comparison is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kprobe.pipeline.running.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


def make_teller(
    total: int | None, progress: Callable[[Progress], None] | None
) -> Callable[[int], None]:
    """Make what tells how far a comparison is, given the samples that are done."""
    began = time.monotonic()

    def tell(done: int) -> None:
        if progress is None:
            return
        progress(
            Progress(
                rows=done,
                total=total,
                resumed=0,
                bytes=0,
                began=began,
                read_ahead=0,
                to_write=0,
                bottleneck="computing",
            )
        )

    return tell
