"""Statistics of tensors: a table with small histograms, CSV, JSON, or files for TensorBoard."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, count_samples, format_shape
from kprobe.cli.rendering.printing import print_json, print_line, print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.analysis.statistics.summary import Histogram, Summary
    from kprobe.pipeline.statistics.conditions import Failure
    from kprobe.pipeline.statistics.gathered import Gathered
    from kprobe.pipeline.statistics.report import NonFinite, Report

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 16  # bars of a histogram
_FAILURES_SHOWN = 20


def show_statistics(
    gathered: Gathered, options: Mapping[str, Any], *, stopped: bool = False
) -> list[Failure]:
    """Print statistics as the options of the command ask for.

    Args:
        gathered: The statistics.
        options: The values of the command's options, by name.
        stopped: Whether it is said elsewhere that they aren't those of all samples.

    Returns:
        The tensors, channels or samples that meet a condition of these.

    Raises:
        KprobeError: It can't be printed or written.
    """
    from kprobe.pipeline.statistics.report import make_report

    report = make_report(gathered)
    by = options["by"]
    if options["as_json"]:
        print_json(report.to_json(by))
    elif options["as_csv"]:
        _print_csv(report.list_records(by))
    elif not options["quiet"]:
        _print_tables(report, by)
    if not options["quiet"]:
        _say_what_is_missing(report, "" if stopped else options["model"])
    if options["tensorboard"] is not None:
        from kprobe.pipeline.statistics.events import write_events

        path = write_events(options["tensorboard"], report.tensors, options["step"])
        if not options["quiet"]:
            say(f"{path}: {count(len(report.tensors), 'tensor')} at step {options['step']}")
    conditions = options["conditions"]
    return [] if conditions is None else report.find_failures(conditions, by)


def say_failures(failures: Sequence[Failure]) -> None:
    """Say what meets conditions, the first of it."""
    for failure in failures[:_FAILURES_SHOWN]:
        number = failure.value
        value = f"{number:,}" if isinstance(number, int) else write_number(number)
        part = "" if failure.channel is None else f", channel {failure.channel}"
        part += "" if failure.row is None else f", sample {failure.row}"
        say(f"{failure.address}{part}: {failure.condition}, and {failure.field} is {value}")
    if len(failures) > _FAILURES_SHOWN:
        say(f"and {len(failures) - _FAILURES_SHOWN:,} more")


def _say_what_is_missing(report: Report, name: str) -> None:
    if name and not report.complete:
        of = "nobody knows how many" if report.total is None else f"{report.total:,}"
        say(
            f"{name} isn't complete: these are the statistics of {report.samples:,} of {of} samples"
        )
    if report.left_out:
        say(f"{count_samples(report.samples, report.left_out)}: those don't count")
    for line in report.uncounted:
        say(f"left out: {line}")


def _print_csv(records: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    titles = dict.fromkeys(name for record in records for name in record)
    writer = csv.DictWriter(text, titles, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    print_line(text.getvalue().removesuffix("\n"))


def _print_tables(report: Report, by: str) -> None:
    if by == "tensor":
        _print_tensors(report)
    else:
        _print_parts(report, by)
    for found in (report.first_nan, report.first_inf):
        if found is not None:
            print_line(_tell_first(found))


def _tell_first(found: NonFinite) -> str:
    where = "" if found.row is None else f", in sample {found.row} ({found.sample})"
    return f"{found.kind} is in {found.address} first{where}"


def _print_tensors(report: Report) -> None:
    tensors = report.tensors
    rare = [
        (title, name)
        for title, name in (("dead", "dead"), ("saturated", "saturated"))
        if any(getattr(tensor, name) for tensor in tensors)
    ]
    odd = [name for name in ("nan", "inf") if any(getattr(tensor, name) for tensor in tensors)]
    numbers = ("mean", "std", "min", "median", "max", "zeros")
    header = ("address", "shape", *numbers, *(title for title, _ in rare), *odd, "histogram")
    rows = [
        (
            tensor.address,
            format_shape([None if size < 0 else size for size in tensor.shape]),
            *_list_moments(tensor),
            write_number(tensor.quantiles.get("0.5")),
            write_number(tensor.max),
            write_part(tensor.zeros),
            *(write_part(getattr(tensor, name)) for _, name in rare),
            *(f"{getattr(tensor, name):,}" for name in odd),
            draw(tensor.histogram),
        )
        for tensor in tensors
    ]
    print_table(header, rows, numbers=set(header[2:-1]))


def _list_moments(summary: Summary) -> list[str]:
    return [write_number(summary.mean), write_number(summary.std), write_number(summary.min)]


def _print_parts(report: Report, by: str) -> None:
    """Print a line for each channel or sample."""
    records = report.list_records(by)  # type: ignore[arg-type]
    numbers = ["mean", "std", "min", "max", "zeros", "nan", "inf"]
    leading = ["address", "channel"] if by == "channel" else ["address", "row", "sample"]
    header = (*leading, *numbers, *(["dead"] if by == "channel" else []))
    rows = [
        (
            *(str(record[name]) for name in leading),
            *(write_number(record[name]) for name in numbers[:4]),
            write_part(record["zeros"]),
            *(f"{record[name]:,}" for name in ("nan", "inf")),
            *((["dead"] if record["dead"] else [""]) if by == "channel" else []),
        )
        for record in records
    ]
    print_table(header, rows, numbers={"channel", "row", *numbers})


def write_number(number: float | None) -> str:
    """Write a number in a few digits."""
    if number is None:
        return "-"
    return f"{number:.4g}"


def write_part(part: float | None) -> str:
    """Write a fraction of all; only what is nothing or all is written so."""
    if part is None:
        return "-"
    if part in (0, 1):
        return "0 %" if part == 0 else "100 %"
    return f"{min(max(part, 0.001), 0.999):.1%}".replace("%", " %")


def draw(histogram: Histogram | None) -> str:
    """Draw a histogram in a line; the highest bar is the fullest, and only nothing is blank."""
    if histogram is None:
        return ""
    each = max(1, len(histogram.counts) // _WIDTH)
    counts = histogram.counts
    sums = [sum(counts[place : place + each]) for place in range(0, len(counts), each)]
    most = max(sums, default=0)
    return "".join(
        " " if not number else _BARS[-(-number * len(_BARS) // most) - 1] for number in sums
    )
