"""What the gate says of model files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kprobe.cli.rendering.formatting import count, format_bytes
from kprobe.cli.rendering.printing import print_line, print_table
from kprobe.escaping import show_short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.pipeline.checking import CheckResult

# Of what is nobody's but a library's, by the format.
_OWN_CODE = {
    **dict.fromkeys(
        ("keras", "h5", "json", "saved_model", "graph"), "Keras's and TensorFlow's own code alone"
    ),
    "tflite": "TensorFlow Lite's own operations alone",
    "onnx": "ONNX's own operations alone",
}
_VERDICTS = ("accepted", "refused", "unreadable")
# The rule that files break whose own classes aren't given.
_CUSTOM = "names-custom"
# Lines of one kind that are shown of a file, and characters of a line, and of a path in a table.
_INDENT = 12
_SHOWN, _LONGEST, _LONGEST_PATH = 12, 280, 120
_ALONE = "weights alone, no model"
# What a format is called where its name doesn't tell.
_CALLED = {"weights": _ALONE, "checkpoint": f"checkpoint: {_ALONE}"}


def show_checked(results: Sequence[CheckResult], whole: bool) -> None:
    """Print the verdict on one file and what is inside, or on several in a table.

    Args:
        results: What the gate says of each.
        whole: Whether all reasons are shown, in full, of each file.
    """
    if whole or len(results) == 1:
        for result in results:
            for line in _tell(result, whole):
                print_line(line)
        return
    rows = [
        (
            result.verdict,
            show_short(result.path, _LONGEST_PATH),
            result.format or "",
            result.keras_version or "",
            "" if result.layers is None else f"{result.layers:,}",
            "" if result.size is None else format_bytes(result.size),
            _tell_first(result),
        )
        for result in results
    ]
    header = ("verdict", "file", "format", "keras", "layers", "size", "reason")
    print_table(header, rows, numbers={"layers", "size"})
    print_line(_sum_up(results))


def _sum_up(results: Sequence[CheckResult]) -> str:
    """Count the verdicts: of hundreds of files, nobody sees one in the middle."""
    counts: Counter[str] = Counter(result.verdict for result in results)
    told = ", ".join(f"{counts[each]:,} {each}" for each in _VERDICTS if counts[each])
    return f"{count(len(results), 'file')}: {told}"


def _tell_first(result: CheckResult) -> str:
    if not result.reasons:
        return ""
    lines = result.lines
    more = f", and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    return f"{show_short(lines[0], _LONGEST)}{more}"


def _tell(result: CheckResult, whole: bool) -> Iterator[str]:
    path = result.path if whole else show_short(result.path, _LONGEST)
    yield f"{path}: {result.verdict}"
    yield from _list("", result.lines, whole)
    yield from _hint(result)
    inside = {
        "format": _tell_format(result),
        "layers": "" if result.layers is None else f"{result.layers:,}",
        "operations": "" if result.operations is None else f"{result.operations:,}",
        "weights": _tell_weights(result),
        "size": "" if result.size is None else format_bytes(result.size),
    }
    for name, text in inside.items():
        if text:
            yield f"{name + ':':<{_INDENT}}{text}"
    # Of a file that is refused, not all was read that could run.
    own = _OWN_CODE.get(result.format or "")
    runs = result.would_run or ([own] if own and result.accepted else [])
    yield from _list("runs:", runs, whole)


def _hint(result: CheckResult) -> Iterator[str]:
    """Say what opens a file, where that is narrow."""
    needed = dict.fromkeys(
        "--custom-objects FILE.py"
        if reason.rule == _CUSTOM
        else f"--allow {reason.allow}"
        if reason.allow is not None
        else None
        for reason in result.reasons
    )
    if needed and None not in needed:
        yield f"  `{' '.join(map(str, needed))}` opens it: only with code and files that you trust"


def _tell_format(result: CheckResult) -> str:
    by = "" if result.keras_version is None else f", Keras {result.keras_version}"
    return f"{_CALLED.get(result.format or '', result.format or '')}{by}"


def _tell_weights(result: CheckResult) -> str:
    if result.weights is None:
        return ""
    size = "" if result.weight_bytes is None else f", {format_bytes(result.weight_bytes)}"
    return f"{count(result.weights, 'array')}{size}"


def _list(title: str, lines: Sequence[str], whole: bool) -> Iterator[str]:
    """List lines under a title, which stands beside the first of them."""
    indent = _INDENT if title else 2
    most = len(lines) if whole else _SHOWN
    for number, line in enumerate(lines[:most]):
        shown = line if whole else show_short(line, _LONGEST)
        yield f"{'' if number else title:<{indent}}{shown}"
    if len(lines) > most:
        yield f"{'':<{indent}}and {len(lines) - most:,} more; -v lists them"
