"""How two sides differ, as lines of text: the table, what is claimed, what would have passed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kprobe.errors import Setting
from kprobe.naming import list_names
from kprobe.tables import align

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kprobe.analysis.comparison.records import Comparison, Deviation, TensorDifference

# Of those within tolerance so many are shown, to see what is usual.
_USUAL = 5
# Nobody reads more; the records have them all.
_MOST = 60
_SUGGESTED = 8
_LEFT = {"tensor", "sample"}


def write_table(result: Comparison, spell: Callable[[Setting], str] = str) -> list[str]:
    """Write what was found.

    Args:
        result: What was found.
        spell: Spells the settings that are named.

    Returns:
        The tensors, the largest error over its tolerance first; what is claimed of them; and which
        tolerance would have passed.
    """
    return [*_write_rows(result), *write_summary(result, spell)]


def _write_rows(result: Comparison) -> Iterator[str]:
    header, rows, rest = list_rows(result)
    if rows:
        yield from align(header, rows, {name for name in header if name not in _LEFT})
    yield from rest


def list_rows(result: Comparison) -> tuple[list[str], list[list[str]], list[str]]:
    """List the rows of the table: those above tolerance, and a few more.

    Returns:
        The titles of the columns, the cells, and a line for what isn't shown, or none.
    """
    ranked = result.ranked
    different = sum(not tensor.same for tensor in ranked)
    shown = ranked[: min(different + _USUAL, _MOST)]
    columns = {name: [cell(t) for t in shown] for name, cell in _CELLS.items()}
    kept = {name: cells for name, cells in columns.items() if any(cells) or name == "tensor"}
    rows = [list(row) for row in zip(*kept.values(), strict=True)]
    rest = ranked[len(shown) :]
    more = [f"… and {len(rest):,} more, {_tell_hidden(rest)}"] if rest else []
    return list(kept), rows, more


def _tell_hidden(tensors: Sequence[TensorDifference]) -> str:
    """Say how many of the tensors that aren't shown aren't within tolerance."""
    different = sum(not tensor.same for tensor in tensors)
    running = sum(tensor.same and not tensor.running_same for tensor in tensors)
    told = [f"{different:,} of them above tolerance"] if different else []
    if running:
        told.append(
            f"{running:,} of them with a running difference above it"
            if different
            else f"within tolerance, but {running:,} of them with a running difference above it"
        )
    return " and ".join(told) or "all within tolerance"


def write_summary(result: Comparison, spell: Callable[[Setting], str] = str) -> Iterator[str]:
    """Write what is claimed, a line each; see `write_table`."""
    for side, names in ((result.a, result.unmatched_a), (result.b, result.unmatched_b)):
        if names:
            yield f"only in {side}: {list_names(names)}"
    for tensor in result.tensors:
        if tensor.running.unequal:
            yield _write_unequal(tensor)
    if empty := [_name(t) for t in result.tensors if not t.running.count]:
        yield f"nothing to compare, as no value is finite on both sides: {list_names(empty)}"
    verdict = result.verdict
    yield verdict.text
    # Where there are no local errors, the verdict has told it.
    if verdict.first not in (None, verdict.born, "") and verdict.kind != "parts":
        yield f"the first that parts ways: {verdict.first}"
    if not result.same:
        yield _tell_passing(result, spell)
    yield from _write_suggestions(result, spell)


def _tell_passing(result: Comparison, spell: Callable[[Setting], str]) -> str:
    verdict = result.verdict
    if verdict.would_pass is None:
        return f"no tolerance would pass: {_tell_why(result)}"
    return f"it would pass with {spell(Setting('rtol', _round_up(verdict.would_pass)))}"


def _write_suggestions(result: Comparison, spell: Callable[[Setting], str]) -> Iterator[str]:
    for found in result.suggestions[:_SUGGESTED]:
        yield (
            f"suggested: {found.b} looks like {found.a} (correlation {found.correlation:.4f}) and "
            f"doesn't count; to compare them, give {spell(Setting('match', found.match))}"
        )
    rest = len(result.suggestions) - _SUGGESTED
    if rest > 0:
        yield f"suggested: {rest} more that look alike"


def _write_unequal(tensor: TensorDifference) -> str:
    number = tensor.running.unequal
    are = f"{number:,} samples have" if number > 1 else "1 sample has"
    what = "text" if tensor.pair.a.is_text else "shape"
    first = f", {tensor.odd_sample} first" if tensor.odd_sample and number > 1 else ""
    only = f": {tensor.odd_sample}" if tensor.odd_sample and number == 1 else ""
    return f"{_name(tensor)}: {are} another {what} in B{first}{only}"


def _tell_why(result: Comparison) -> str:
    deciding = [tensor.deciding for tensor in result.tensors]
    reasons = {
        "one side alone holds NaN or infinity": any(not d.all_finite_alike for d in deciding),
        "shapes or texts differ": any(d.unequal for d in deciding),
        "A is 0 where B isn't": any(math.isinf(d.relative) for d in deciding),
    }
    return ", and ".join(reason for reason, is_one in reasons.items() if is_one)


def _round_up(number: float) -> float:
    """Give two digits of a number that are no less than it."""
    if not number:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{math.ceil(number / unit) * unit:.1e}")


def _name(tensor: TensorDifference) -> str:
    a, place = tensor.pair.a.address, tensor.place
    name = place if a == tensor.pair.b.address else f"{a} = {place}"
    by = {"path": "", "order": " (by order)"}.get(tensor.pair.matched_by, "")
    return f"{name}{by}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if not value:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else "inf"


def _write_local(tensor: TensorDifference) -> str:
    return "" if tensor.local is None else _mark(tensor.local)


def _mark(found: Deviation) -> str:
    if not found.all_finite_alike:
        return "NaN/inf"
    if found.unequal:
        return "unequal"
    return _number(found.relative)


def _write_channel(tensor: TensorDifference) -> str:
    channel = tensor.deciding.worst_channel
    return "" if channel is None else str(channel)


def _write_gain(tensor: TensorDifference) -> str:
    return "" if tensor.gain is None else f"{tensor.gain:.1f}"


def _write_place(tensor: TensorDifference) -> str:
    found = tensor.running
    if found.index is None:
        return tensor.odd_sample or ""
    row = "" if found.row is None else str(found.row)
    return f"{row if tensor.sample is None else tensor.sample}{list(found.index)}"


def _write_snr(tensor: TensorDifference) -> str:
    return "" if tensor.running.snr_db is None else f"{tensor.running.snr_db:.0f}"


def _write_cosine(tensor: TensorDifference) -> str:
    return "" if tensor.running.cosine is None else f"{tensor.running.cosine:.9f}"


def _write_ulps(tensor: TensorDifference) -> str:
    return "" if tensor.running.max_ulps is None else f"{tensor.running.max_ulps:,}"


_CELLS: dict[str, Callable[[TensorDifference], str]] = {
    "tensor": _name,
    "local": _write_local,
    "channel": _write_channel,
    "running": lambda tensor: _mark(tensor.running),
    "gain": _write_gain,
    "dB": _write_snr,
    "tolerance": lambda tensor: _number(tensor.tolerance),
    "noise": lambda tensor: _number(tensor.noise),
    "largest": lambda tensor: _number(tensor.running.max_abs),
    "sample": _write_place,
    "cosine": _write_cosine,
    "ULP": _write_ulps,
}
