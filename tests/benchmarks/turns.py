"""Time candidates in turn, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import functools
import statistics
import time
from typing import TYPE_CHECKING, Any

from kprobe.cli.freed_memory import keep_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# As the command line does; what is compared with it has the good of it, too.
keep_memory()

Times = dict[str, list[float]]


def take_turns(
    rounds: int, candidates: dict[str, Callable[..., object]], prepare: Callable[[], Any] = tuple
) -> Times:
    """Time the candidates in turn, after one round that doesn't count.

    Args:
        rounds: How many count. Every other one goes through the candidates backwards.
        candidates: What is timed, by name.
        prepare: Gives the arguments of each, anew; it isn't timed.

    Returns:
        By name the seconds, round by round.
    """
    times: Times = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name in list(candidates)[:: -1 if number % 2 else 1]:
            arguments = prepare()
            began = time.perf_counter()
            candidates[name](*arguments)
            if number:
                times[name].append(time.perf_counter() - began)
    return times


def take_turns_of_processor(
    rounds: int, candidates: dict[str, Callable[..., object]]
) -> tuple[Times, Times]:
    """Time the candidates in turn, as `take_turns`, by the wall clock and by the processor's.

    Returns:
        By name the seconds, round by round; and the same of all cores together, of this process.
    """
    spent: Times = {name: [] for name in candidates}

    def run(name: str) -> None:
        began = time.process_time()
        candidates[name]()
        spent[name].append(time.process_time() - began)

    times = take_turns(rounds, {name: functools.partial(run, name) for name in candidates})
    return times, {name: seconds[1:] for name, seconds in spent.items()}


def ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def slowest(times: Times, *names: str) -> list[float]:
    """Round by round the time of the slowest of some candidates."""
    return [max(each) for each in zip(*(times[name] for name in names), strict=True)]
