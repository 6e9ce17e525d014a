"""Compare two sides: match their tensors, run them in step, and say where they part ways."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kprobe.analysis.comparison.matching import UnmatchedError, match_tensors
from kprobe.analysis.comparison.result import DiffResult
from kprobe.analysis.comparison.verdict import judge
from kprobe.errors import Hint, Setting
from kprobe.pipeline.comparing.open_sides import open_sides
from kprobe.pipeline.comparing.sides import DumpSide
from kprobe.pipeline.comparing.suggesting import suggest_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kprobe.analysis.comparison.records import Matching, Suggestion
    from kprobe.pipeline.comparing.measuring import Measured
    from kprobe.pipeline.comparing.sides import Side
    from kprobe.pipeline.comparing.spec import DiffSpec
    from kprobe.pipeline.running.progress import Progress


def compare(
    a: Any,
    b: Any,
    spec: DiffSpec,
    settings: Mapping[str, Any],
    progress: Callable[[Progress], None] | None = None,
) -> DiffResult:
    """Compare two sides.

    Args:
        a: A dump, its file, or a model as `make_job` takes it.
        b: The same; None where `spec` says how A is computed otherwise.
        spec: How they are compared.
        settings: The settings of a job but for the model and the output.
        progress: Called with how far it is.

    Raises:
        KprobeError: Whatever is wrong with a side, the samples or what is asked for.
    """
    with contextlib.ExitStack() as opened:
        one, other = open_sides(a, b, spec, settings, opened)
        named = settings.get("layers") is not None
        matching, suggestions = _match(one, other, spec, named=named)
        if isinstance(one, DumpSide) and isinstance(other, DumpSide):
            from kprobe.pipeline.comparing.compare_dumps import compare_dumps

            measured = compare_dumps(one, other, matching.pairs, spec, progress=progress)
        else:
            # It imports TensorFlow, which was set up for the models by now.
            from kprobe.pipeline.comparing.compare_models import compare_models

            measured = compare_models(one, other, matching.pairs, spec, progress)
        return replace(_sum_up(one, other, matching, measured), suggestions=suggestions)


def _match(
    a: Side, b: Side, spec: DiffSpec, *, named: bool
) -> tuple[Matching, tuple[Suggestion, ...]]:
    """Match the tensors of both sides, and tell what else looks alike.

    Raises:
        KprobeError: Nothing matches, or a tolerance is for what isn't compared.
    """
    try:
        matching = match_tensors(
            [tensor.described for tensor in a.tensors],
            [tensor.described for tensor in b.tensors],
            spec.matches,
        )
    except UnmatchedError as error:
        found = suggest_matches(a, b, error.candidates)
        if found:
            texts = tuple(suggestion.match for suggestion in found)
            error.remedy = Hint("these look alike: ", Setting("match", texts))
        raise
    spec.check_tolerances(
        [
            address
            for pair in matching.pairs
            for side in (pair.a, pair.b)
            for address in (side.address, *side.also)
        ]
    )
    # Of layers that are named, B has more than was asked for, to look for those of other names.
    if named:
        matching = replace(matching, unmatched_b=())
    return matching, suggest_matches(a, b, matching.candidates, matching.pairs)


def _sum_up(a: Side, b: Side, matching: Matching, measured: Measured) -> DiffResult:
    tensors = tuple(sorted(measured.tensors, key=lambda tensor: tensor.pair.a.order))
    return DiffResult(
        a=a.name,
        b=b.name,
        samples=measured.samples,
        tensors=tensors,
        verdict=judge(tensors, unequal=measured.unequal),
        unmatched_a=matching.unmatched_a,
        unmatched_b=matching.unmatched_b,
        notes=tuple(
            dict.fromkeys(
                [*a.notes, *b.notes, *matching.notes, *measured.notes, *_list_left_out(a, b)]
            )
        ),
    )


def _list_left_out(*sides: Side) -> list[str]:
    return [f"left out: {reason}" for side in sides for reason in side.left_out]
