"""What a dump is limited by, as `kprobe bench` measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, format_bytes
from kprobe.cli.rendering.printing import print_json, print_line, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pipeline.bench import Measured

# Below that, what a dump costs whatever its samples is seen in its rate.
_SHORT_SECONDS = 1.0
_STAGES = ("reading", "computing", "writing", "dumping")


def show_measured(measured: Sequence[Measured], rows: int, as_json: bool) -> None:
    """Print what was measured with each batch size, and which is best.

    Args:
        measured: What was measured.
        rows: How many samples there are.
        as_json: Whether to print JSON.
    """
    best = max(measured, key=lambda each: each.dumping.samples_per_s)
    if as_json:
        print_json(_record(measured, best))
    else:
        _print(measured, best)
        _warn_of_few(rows, best)


def _record(measured: Sequence[Measured], best: Measured) -> dict[str, Any]:
    return {
        "batch_sizes": [
            {
                "batch_size": each.batch_size,
                **{stage: _record_rate(getattr(each, stage)) for stage in _STAGES},
                "dumps": each.dumps,
                "limit": each.limit,
                "ratio": each.ratio,
            }
            for each in measured
        ],
        "best_batch_size": best.batch_size,
    }


def _record_rate(rate: Any) -> dict[str, Any]:
    names = ("samples", "bytes", "seconds", "samples_per_s", "bytes_per_s")
    return {name: getattr(rate, name) for name in names}


def _print(measured: Sequence[Measured], best: Measured) -> None:
    rows = [
        (
            str(each.batch_size),
            {"dumping": "all together"}.get(stage, f"{stage} alone"),
            _format_rate(getattr(each, stage).samples_per_s),
            f"{format_bytes(getattr(each, stage).bytes_per_s)}/s",
            {each.limit: "the limit", "dumping": f"{each.ratio:.2f} of the limit"}.get(stage, ""),
        )
        for each in measured
        for stage in _STAGES
    ]
    header = ("batch size", "what", "samples/s", "bytes", "")
    print_table(header, rows, numbers={"batch size", "samples/s", "bytes"})
    alone = getattr(best, best.limit)
    print_line(
        f"--batch-size {best.batch_size} is best here: a dump makes "
        f"{_format_rate(best.dumping.samples_per_s)} samples/s, {best.ratio:.2f} of the "
        f"{_format_rate(alone.samples_per_s)} that {best.limit} alone would allow"
    )


def _warn_of_few(rows: int, best: Measured) -> None:
    """Say so where the file as such is seen in the rate of a dump."""
    seconds = best.dumping.seconds / best.dumps
    if best.dumping.samples == best.dumps * rows and seconds < _SHORT_SECONDS:
        say(
            f"all {count(rows, 'sample')} are dumped in {1000 * seconds:,.0f} ms, and making the "
            "file is a good part of that: with more samples a dump comes nearer to the limit"
        )


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.2f}"
