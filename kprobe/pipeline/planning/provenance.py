"""What was asked for, kept in the dump, so that the same can be asked for again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kprobe.pipeline.planning.job import Job

# Each with the part of the job that has it. Not where a dump goes, or what becomes of an unfinished
# one: that isn't what it holds.
_KEPT = {
    "model": "model",
    "layers": "selection",
    "inputs": "samples",
    "feeds": "selection",
    "training": "compute",
    "stateful": "compute",
    "eager": "compute",
    "ragged": "selection",
    "gradients_of": "selection",
    "unit": "selection",
    "cam": "selection",
    "reduce": "selection",
    "random": "samples",
    "random_shape": "samples",
    "seed": "samples",
    "limit": "samples",
    "preprocessing": "samples",
    "images": "samples",
    "labels_from_folders": "samples",
    "on_error": "samples",
    "follow_links": "samples",
    "fail_on": "compute",
    "batch_size": "compute",
    "streams": "compute",
    "threads": "compute",
    "dtype": "output",
    "precision": "compute",
    "exact": "compute",
    "audit": "compute",
    "keras": "model",
    "signature": "model",
    "custom_objects": "model",
    "allow": "model",
    "unsafe": "model",
    "weights": "model",
    "random_weights": "model",
    "arguments": "model",
    "device": "compute",
}
_ALWAYS = ("model", "layers", "inputs")


def record_job(job: Job) -> str:
    """Write down a job as it was given: sources, addresses and patterns unresolved.

    Args:
        job: The job.

    Returns:
        A JSON object of the settings that aren't as they are by default; `model`, `layers` and
        `inputs` are always there. What is in memory is null.
    """
    kept: dict[str, Any] = {}
    for name, part_name in _KEPT.items():
        part = getattr(job, part_name)
        if part is None:
            continue
        value = getattr(part, name)
        if name in _ALWAYS or _is_chosen(part, name, value):
            kept[name] = value
    kept["inputs"] = job.samples.texts
    if job.model.in_memory:
        kept["model"] = None
    if "custom_objects" in kept:
        kept["custom_objects"] = job.model.custom.sources
    if "arguments" in kept:
        kept["arguments"] = {name: repr(value) for name, value in kept["arguments"].items()}
    return json.dumps({name: _make_plain(value) for name, value in kept.items()})


def _is_chosen(part: Any, name: str, value: Any) -> bool:
    default = next(field.default for field in fields(part) if field.name == name)
    empty = isinstance(value, Sequence | Mapping) and not value
    return not empty and (default is MISSING or (value is not default and value != default))


def _make_plain(value: Any) -> Any:
    """Give what JSON can hold; None for anything that only memory can."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: part for name, part in asdict(value).items() if part is not None}
    if isinstance(value, Mapping):
        parts = {str(name): _make_plain(part) for name, part in value.items()}
        return None if None in parts.values() else parts
    if isinstance(value, list | tuple):
        plain = [_make_plain(part) for part in value]
        return None if None in plain else plain
    return value if isinstance(value, str | int | float | bool) else None
