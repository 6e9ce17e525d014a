"""Make a report: what the source is, what is said of it, and the page."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.analysis.comparison.result import DiffResult
from kprobe.dumps.create import FORMAT
from kprobe.dumps.partial import write_whole
from kprobe.dumps.reader import Dump
from kprobe.elsewhere import check_here
from kprobe.errors import DumpError, InputError
from kprobe.pipeline.statistics.of_file import gather_file
from kprobe.pipeline.statistics.report import StatsResult
from kprobe.pipeline.statistics.stored import STATISTICS, read_kind
from kprobe.reports.both_sides import add_both_sides
from kprobe.reports.of_comparison import describe_comparison
from kprobe.reports.of_dump import describe_dump
from kprobe.reports.of_statistics import describe_statistics
from kprobe.reports.page import write_page
from kprobe.reports.place import check_place
from kprobe.reports.read_comparison import check_comparison, read_comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kprobe.pipeline.running.progress import Progress
    from kprobe.reports.contents import Contents


@dataclass(frozen=True)
class Made:
    """A report that was made.

    Attributes:
        path: The page.
        verdict: What it says first.
        bytes: Its size.
    """

    path: Path
    verdict: str
    bytes: int


_WHAT = "a dump, statistics, or a comparison as JSON"


def make_report(
    source: Any,
    output: str | os.PathLike[str],
    *,
    samples: Sequence[str | int] = (),
    dumps: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    images: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Made:
    """Make a report: see `kprobe.report`.

    Args:
        source: What it is of.
        output: The page.
        samples: Which samples there are pictures of.
        dumps: Of a comparison, the dumps of both sides, for pictures; None for none.
        images: The images that the samples were made from; None for none.
        progress: Called with how far it is in reading a dump.

    Raises:
        KprobeError: Whatever is wrong with the source, the samples or the output.
    """
    read = (source, *(dumps or ()), images)
    path = check_place(output, [each for each in read if isinstance(each, str | os.PathLike)])
    if dumps is not None:
        contents = add_both_sides(_describe_comparison(source), dumps, samples, images)
    else:
        contents = _describe(source, samples, images, progress)
    write_whole(path, page := write_page(contents).encode())
    return Made(path, contents.verdict, len(page))


def _describe(
    source: Any,
    samples: Sequence[str | int],
    images: str | os.PathLike[str] | None,
    progress: Callable[[Progress], None] | None,
) -> Contents:
    asked = {"samples": bool(samples), "images": images is not None}
    if isinstance(source, DiffResult):
        _refuse_pictures(asked, "a comparison without the dumps of both sides")
        return _describe_comparison(source)
    if isinstance(source, StatsResult):
        _refuse_pictures(asked, f"statistics of {source.source}")
        return describe_statistics(source.gathered)
    path = source.path if isinstance(source, Dump) else _take_path(source)
    kind = read_kind(path)
    if kind == FORMAT:
        return describe_dump(path, samples, progress, images)
    if kind == STATISTICS.format:
        _refuse_pictures(asked, f"{path}, which holds statistics")
        return describe_statistics(gather_file(path))
    if kind is None and _begins_as_json(path):
        _refuse_pictures(asked, f"{path}, a comparison without the dumps of both sides")
        return _describe_comparison(path)
    received = "another file" if kind is None else f"a file of {kind}"
    raise DumpError(
        f"{path}: expected {_WHAT}, received {received}",
        hint="`kprobe dump` makes a dump of a model, and `kprobe diff` compares two",
    )


def _describe_comparison(source: Any) -> Contents:
    if isinstance(source, DiffResult):
        # Through JSON, so that numpy's numbers are plain ones.
        told = json.loads(json.dumps(source.to_json(), default=float))
        check_comparison(told)
        return describe_comparison(told)
    return describe_comparison(read_comparison(_take_path(source)))


def _take_path(source: Any) -> Path:
    try:
        check_here(os.fspath(source), DumpError)
        path = Path(source)
    except TypeError:
        raise DumpError(f"expected {_WHAT}, received {source!r}") from None
    if not path.is_file():
        raise DumpError(
            f"{path}: expected {_WHAT}, received a path where there is no file",
            hint="check the path",
        )
    return path


def _begins_as_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError as error:
        raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error


def _refuse_pictures(asked: Mapping[str, bool], what: str) -> None:
    given = [name for name, there in asked.items() if there]
    if given:
        raise InputError(*(f"{name}: expected a dump, received {what}" for name in given))
