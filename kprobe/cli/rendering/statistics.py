"""Statistics of tensors: a table with small histograms, CSV, JSON, or files for TensorBoard."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, count_samples
from kprobe.cli.rendering.printing import (
    print_json,
    print_line,
    print_table,
    print_text,
    say,
)
from kprobe.pipeline.statistics.table import tabulate, write_number, write_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.pipeline.statistics.conditions import Failure
    from kprobe.pipeline.statistics.gathered import Gathered
    from kprobe.pipeline.statistics.report import StatsResult

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


def _say_what_is_missing(report: StatsResult, name: str) -> None:
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
    print_text(text.getvalue().removesuffix("\n"))


def _print_tables(report: StatsResult, by: str) -> None:
    if by == "tensor":
        print_table(*tabulate(report.tensors))
    else:
        _print_parts(report, by)
    for found in (report.first_nan, report.first_inf):
        if found is not None:
            print_line(str(found))


def _print_parts(report: StatsResult, by: str) -> None:
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
