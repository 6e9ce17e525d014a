"""Where a dump, or statistics, are from: what the attributes say, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kprobe.dumps.attributes import open_json, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TITLES = {
    "model": "Model",
    "model_sha256": "SHA-256 of the model",
    "weights": "Weights",
    "weights_sha256": "SHA-256 of the weights",
    "kprobe_version": "kprobe",
    "keras": "Keras",
    "tensorflow_version": "TensorFlow",
    "seed": "Seed",
    "batch_size": "Batch size",
    "frozen": "Variables as constants",
    "reproducible": "Reproducible",
    "bfloat16_error": "Error of bfloat16",
    "audit_ulps": "Audited, in units in the last place",
}
# What the page shows otherwise, or is of no use to people.
_APART = {
    "format",
    "format_version",
    "addresses",
    "computed",
    "graph",
    "inputs",
    "options",
    "job",
    "random",
    "streams",
    "by_sample",
    "intra_op_threads",
    "inter_op_threads",
}
_AS_USUAL: tuple[Any, ...] = (None, "", False, [], {}, "as-is", "float32")
_LONGEST = 2000  # characters of a text


def describe_origin(attrs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give titles and texts of what is known of a model, the samples and the computing.

    Args:
        attrs: The attributes of a dump, or of statistics.
    """
    found = [(_TITLES[name], attrs[name]) for name in _TITLES if name in attrs]
    found += [("Input", text) for text in _list_inputs(attrs)]
    options = read_json(attrs, "options", dict)
    chosen = {name: value for name, value in options.items() if value not in _AS_USUAL}
    found += [(_write_title(name), value) for name, value in chosen.items()]
    others = sorted(attrs.keys() - _TITLES.keys() - _APART)
    found += [(_write_title(name), open_json(attrs[name])) for name in others]
    return [(title, _write(value)) for title, value in found if value not in ("", None)]


def _write_title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _list_inputs(attrs: Mapping[str, Any]) -> Iterator[str]:
    for each in read_json(attrs, "inputs", list):
        if isinstance(each, dict):
            yield f"{each.get('input', '')}: {each.get('source', '')}"


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
