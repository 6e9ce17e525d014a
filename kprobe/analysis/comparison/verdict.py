"""What is claimed of a comparison, and what isn't."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kprobe.analysis.comparison.names import strip_calls
from kprobe.analysis.comparison.records import Verdict
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kprobe.analysis.comparison.records import TensorDifference

# Of what stands out, the error is at least so many times that of the median of the rest, and so
# many times the largest of it. Measured in float16 and bfloat16 (tests/benchmarks/
# bench_tolerance.py): where nothing is planted, the largest is up to 2.2 times the median and 1.1
# times the next; a planted fault that is above tolerance, from 21 times and 9.6 times on. Of two
# that are planted, the smaller must stand out, too.
_ABOVE_USUAL = 10.0
_ABOVE_NEXT = 3.0
# Of so many tensors one may stand out beside the first. Where more do, all those that compute
# something may be alike, and the others only hand values on.
_PER_PLACE = 8


def judge(tensors: Sequence[TensorDifference], *, unequal: Collection[str] = ()) -> Verdict:
    """Say where the error is born, as far as that can be said.

    Local errors decide where there are any. An error is born in the few tensors that are above
    their tolerance and stand out from the rest. Where local errors are flat, as those of another
    precision are, none is named; nor where there are none, since the largest running difference
    lies wherever the model amplifies it.

    Args:
        tensors: The matched pairs, in the order of computing.
        unequal: The addresses for which B, fed with its own values, doesn't give equal bits. Local
            errors can't be trusted then.
    """
    first = next((t.pair.b.address for t in tensors if not t.running_same), None)
    would_pass = _find_passing(tensors)
    if unequal:
        text = (
            "withheld: fed with its own values, B doesn't give equal bits for "
            f"{list_names(unequal, 4)}, so local errors can't be trusted"
        )
        return Verdict("withheld", text, None, first, would_pass)
    local = [t for t in tensors if t.local is not None]
    if not local:
        return _judge_running(tensors, first, would_pass)
    above = [t for t in local if not t.same]
    standing = _find_standing(local, above)
    if standing:
        return Verdict("born", _tell_born(standing), standing[0].place, first, would_pass)
    if above:
        text = f"spread: no single place, {len(above)} of {len(local)} tensors above tolerance"
        return Verdict("spread", text + _tell_growth(tensors), None, first, would_pass)
    unseen = [t.pair.b.address for t in tensors if t.local is None and not t.same]
    if unseen:
        text = f"no single place: no local error is above tolerance, but {list_names(unseen, 4)}"
        text += ", of which there is none, " + ("differs" if len(unseen) == 1 else "differ")
        return Verdict("spread", text, None, first, would_pass)
    if lonely := _find_lonely(local):
        text = f"{_tell_born(lonely)}, within tolerance; elsewhere there is no local error at all"
        return Verdict("born", text, lonely[0].place, first, would_pass)
    return Verdict("none", _tell_none(tensors), None, first, would_pass)


def _find_lonely(local: Sequence[TensorDifference]) -> list[TensorDifference]:
    """Give the few tensors with a local error where all others have none, the largest first."""
    some = [t for t in local if t.local is not None and t.local.max_abs]
    if len({strip_calls(t.pair.b.address) for t in some}) > 1 + len(local) // _PER_PLACE:
        return []
    return sorted(some, key=lambda tensor: -tensor.excess) if len(some) < len(local) else []


def _judge_running(
    tensors: Sequence[TensorDifference], first: str | None, would_pass: float | None
) -> Verdict:
    if first is None:
        return Verdict("none", _tell_none(tensors), None, None, would_pass)
    text = (
        f"{first} is the first that parts ways; where the error is born can't be told from "
        "values alone: that needs local errors, of two models"
    )
    return Verdict("parts", text, None, first, would_pass)


def _find_standing(
    local: Sequence[TensorDifference], above: Sequence[TensorDifference]
) -> list[TensorDifference]:
    """Give the tensors above tolerance that stand out, the largest error first.

    The calls of a shared layer are one place.
    """
    if len(local) == 1:
        return [*above]
    ranked = sorted(local, key=lambda t: -t.excess)
    for number in range(len(above), 0, -1):
        some, rest = ranked[:number], [t.excess for t in ranked[number:]]
        places = {strip_calls(t.pair.b.address) for t in some}
        if not rest or len(places) > max(1, len(local) // _PER_PLACE):
            continue
        least = max(_ABOVE_USUAL * rest[len(rest) // 2], _ABOVE_NEXT * rest[0])
        if some[-1].excess > least:
            return some
    return []


def _find_passing(tensors: Sequence[TensorDifference]) -> float | None:
    """Give the least tolerance with which all would pass; None where none would do."""
    if not all(t.deciding.all_alike for t in tensors):
        return None
    needed = max((t.deciding.relative for t in tensors if t.excess), default=0.0)
    return needed if math.isfinite(needed) else None


def _tell_born(standing: Sequence[TensorDifference]) -> str:
    worst, *others = standing
    text = f"born {'' if worst.pair.between else 'at '}{worst.place}"
    if worst.pair.removed:
        text += f", before which B lacks {list_names(worst.pair.removed, 4)}"
    if others:
        text += f"; and, less, at {list_names((t.place for t in others), 4)}"
    return text


def _tell_growth(tensors: Sequence[TensorDifference]) -> str:
    """Say how many times larger the running difference becomes than any local one."""
    largest = max((t.local.relative for t in tensors if t.local is not None), default=0.0)
    running = max((t.running.relative for t in tensors), default=0.0)
    if not largest or not math.isfinite(running / largest) or running <= largest:
        return ""
    return f", grown {running / largest:.1f} times on the way"


def _tell_none(tensors: Sequence[TensorDifference]) -> str:
    if not any(t.deciding.max_abs or not t.deciding.all_alike for t in tensors):
        if not any(t.running.max_abs or not t.running.all_alike for t in tensors):
            return "none: all values are equal"
        return "none: no layer differs, only what goes in"
    local = any(t.local is not None for t in tensors)
    return "none above noise" + (_tell_growth(tensors) if local else "")
