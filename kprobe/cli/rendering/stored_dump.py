"""What a dump is: what it holds, what it was made from, how and when."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from kprobe.cli.config_file import name_options
from kprobe.cli.rendering.formatting import count, count_samples, format_bytes
from kprobe.cli.rendering.printing import print_json, print_line, print_table, print_text
from kprobe.escaping import escape_hidden
from kprobe.tables import format_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LABELS_SHOWN = 8


def show_dump(known: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known of a dump, as `describe_dump` gives it."""
    if as_json:
        print_json(known)
    else:
        _print(known)


def _print(found: Mapping[str, Any]) -> None:
    print_table(
        ("address", "dtype", "shape", "layout"),
        [
            (
                ", ".join(dataset["addresses"]),
                dataset["dtype"],
                format_shape(dataset["shape"]),
                dataset.get("layout", ""),
            )
            for dataset in found["datasets"]
        ],
        numbers=set(),
    )
    names = found["first_samples"]
    more = found["committed"] > len(names)
    stored = format_bytes(sum(dataset["bytes"] for dataset in found["datasets"]))
    facts = {
        "samples": _tell_state(found),
        "names": ", ".join(names) + (", …" if more else ""),
        "labels": _list_labels(found["labels"] or {}),
        "datasets": f"{count(len(found['datasets']), 'dataset')}, {stored}",
        "model": " ".join(_known(found, "model", "model_sha256")),
        "inputs": ", ".join(
            f"{entry['input']}: {entry['source']}" for entry in found.get("inputs", [])
        ),
        "options": ", ".join(
            f"{name.replace('_', '-')} {_format_option(value)}"
            for name, value in _find_options(found).items()
        ),
        "written": " to ".join(_known(found, "started", "finished")),
        "versions": ", ".join(
            f"{name}{found[key]}"
            for key, name in (
                ("kprobe_version", "kprobe "),
                ("keras", ""),
                ("tensorflow_version", "tensorflow "),
                ("format_version", "format "),
            )
            if key in found
        ),
        "size": format_bytes(found["bytes"]),
    }
    for name, text in facts.items():
        if text:
            print_line(f"{name + ':':<10}{text}")


def show_samples(records: Iterable[Mapping[str, Any]], as_json: bool) -> None:
    """Print what is known of each sample, a line each, as `describe_samples` gives it."""
    if as_json:
        print_json(list(records))
        return
    for record in records:
        print_text("\t".join(escape_hidden(str(value)) for value in record.values()))


def _tell_state(found: Mapping[str, Any]) -> str:
    """Say how many samples there are, and how many of them are right."""
    samples, left_out = found["samples"], found["left_out"]
    if found["complete"]:
        return f"{count_samples(samples, left_out)}, complete"
    of = "nobody knows how many" if samples is None else count(samples, "sample")
    return f"{of}, not complete: {count_samples(found['committed'], left_out)} committed"


def _list_labels(labels: Mapping[str, int]) -> str:
    """List the classes of labels, each with the number of its samples."""
    shown = [f"{number:,} {label}" for label, number in islice(labels.items(), _LABELS_SHOWN)]
    return ", ".join([*shown, "…"] if len(labels) > len(shown) else shown)


def _find_options(found: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was chosen, by the user or in the plan."""
    asked = {
        name: value
        for name, value in name_options(found.get("job", {})).items()
        if name not in ("model", "layers", "inputs")
    }
    chosen = {name: found[name] for name in ("batch_size", "seed", "frozen") if name in found}
    return asked | chosen


def _known(found: Mapping[str, Any], *names: str) -> list[str]:
    return [str(found[name]) for name in names if found.get(name) is not None]


def _format_option(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_format_option, value))
    return value if isinstance(value, str) else json.dumps(value)
