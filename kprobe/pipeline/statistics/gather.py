"""Statistics as Python asks for them: of a file, or of a model, by what the source is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.analysis.statistics.summary import BY
from kprobe.checks import check_choice
from kprobe.dumps.output import OutputSpec
from kprobe.errors import KprobeError
from kprobe.pipeline.statistics.of_file import gather_file, take_output
from kprobe.pipeline.statistics.stored import is_readable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.analysis.statistics.summary import By
    from kprobe.pipeline.statistics.gathered import Gathered

_OF_OUTPUT = ("overwrite", "resume", "stop_after")


def gather(
    source: Any,
    layers: Any,
    inputs: Any,
    by: By,
    output: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
) -> Gathered:
    """Gather statistics: see `kprobe.stats`.

    Raises:
        KprobeError: Whatever is wrong with the file, the model, the addresses or the inputs.
    """
    if faults := [*check_choice("by", by, BY)]:
        raise KprobeError(*faults)
    by_sample = by == "sample"
    is_text = isinstance(source, str | os.PathLike)
    if not (is_text and is_readable(os.fspath(source), else_model=is_given(inputs))):
        return _gather_model(source, layers, inputs, by_sample, output, settings)
    others = [name for name in settings if name != "overwrite"] + ["inputs"] * is_given(inputs)
    if others:
        raise KprobeError(
            f"{', '.join(others)}: expected a model, received {source}, in which all is computed"
        )
    texts = [layers] if isinstance(layers, str) else layers or ()
    spec = take_output(output, overwrite=settings.get("overwrite", False))
    return gather_file(source, texts, by_sample=by_sample, output=spec)


def _gather_model(
    source: Any,
    layers: Any,
    inputs: Any,
    by_sample: bool,
    output: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
) -> Gathered:
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    own = {name: settings[name] for name in _OF_OUTPUT if name in settings}
    if output is None and own.get("resume"):
        raise KprobeError("resume continues what output keeps: expected an output, too")
    # Also where nothing is kept they are checked.
    OutputSpec(path=Path(output or "statistics.h5"), **own)
    spec = take_output(output, **own)
    others = {name: value for name, value in settings.items() if name not in _OF_OUTPUT}
    job = make_job(**others, model=source, layers=layers, inputs=inputs)
    with plan_job(job) as plan:
        from kprobe.pipeline.statistics.of_model import gather_model

        stop_after = settings.get("stop_after")
        return gather_model(plan, spec, by_sample=by_sample, stop_after=stop_after)


def is_given(inputs: Any) -> bool:
    """Tell whether samples were given, in whichever form."""
    return not (isinstance(inputs, tuple | list | dict) and not inputs)
