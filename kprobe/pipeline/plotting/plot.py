"""What Python draws: of a file, or of a model, by what the source is."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from kprobe.errors import InputError
from kprobe.pipeline.plotting.of_file import open_pictured
from kprobe.pipeline.statistics.gather import is_given
from kprobe.pipeline.statistics.stored import is_readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kprobe.pipeline.plotting.pictured import Pictured
    from kprobe.pipeline.plotting.spec import PlotSpec


@contextlib.contextmanager
def picture(
    source: Any, layers: Any, inputs: Any, spec: PlotSpec, settings: Mapping[str, Any]
) -> Iterator[Pictured]:
    """Give what is drawn: see `kprobe.plot`.

    Raises:
        KprobeError: Whatever is wrong with the file, the model, the addresses, the inputs, or what
            is asked for.
    """
    is_text = isinstance(source, str | os.PathLike)
    if is_text and is_readable(os.fspath(source), else_model=is_given(inputs)):
        others = [*settings, *["inputs"] * is_given(inputs)]
        if others:
            raise InputError(
                f"{', '.join(others)}: expected a model, received {source}, in which all is "
                "computed"
            )
        texts = [layers] if isinstance(layers, str) else layers or ()
        with open_pictured(source, texts, spec) as pictured:
            yield pictured
        return
    if fault := spec.find_model_fault():
        raise fault
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    with plan_job(make_job(**settings, model=source, layers=layers, inputs=inputs)) as plan:
        from kprobe.pipeline.plotting.of_model import picture_model

        yield picture_model(plan, spec)
