"""What was asked for, kept in the dump, so that the same can be asked for again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from kprobe.inputs.spec import SampleSpec

if TYPE_CHECKING:
    from kprobe.pipeline.job import Job

# Where a dump goes, and what becomes of an unfinished one: not what it holds.
_NOT_KEPT = ("output", "overwrite", "resume", "stop_after", "max_bytes")


def record_job(job: Job) -> str:
    """Write down a job as it was given: sources, addresses and patterns unresolved.

    Args:
        job: The job.

    Returns:
        A JSON object of the job's attributes that aren't as they are by default; `model`, `layers`
        and `inputs` are always there. A model or inputs in memory are null.
    """
    kept = {
        field.name: getattr(job, field.name)
        for field in fields(job)
        if field.name not in _NOT_KEPT
        and (field.name in ("model", "layers", "inputs") or _is_chosen(job, field))
    }
    if not isinstance(job.model, str | os.PathLike):
        kept["model"] = None
    kept["inputs"] = SampleSpec(inputs=job.inputs).texts
    if job.arguments:
        kept["arguments"] = {name: repr(value) for name, value in job.arguments.items()}
    return json.dumps({name: _make_plain(value) for name, value in kept.items()})


def _is_chosen(job: Job, field: Any) -> bool:
    value = getattr(job, field.name)
    empty = isinstance(value, Sequence | Mapping) and not value
    return value != field.default and not empty


def _make_plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: part for name, part in asdict(value).items() if part is not None}
    if isinstance(value, Mapping):
        return {name: _make_plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_make_plain(part) for part in value]
    return value
