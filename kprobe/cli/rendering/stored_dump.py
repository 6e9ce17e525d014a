"""What a dump is: what it holds, what it was made from, how and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kprobe.cli.config_file import name_options
from kprobe.cli.rendering.formatting import count, format_bytes, format_shape
from kprobe.cli.rendering.printing import print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    state = "complete"
    if not found["complete"]:
        state = f"not complete, the first {found['committed']:,} are right"
    if found["left_out"]:
        state += f", {found['left_out']:,} of them couldn't be read"
    samples = found["samples"]
    facts = {
        "samples": f"{'nobody knows how many' if samples is None else count(samples, 'sample')}, "
        f"{state}",
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
            )
            if key in found
        ),
        "size": format_bytes(found["bytes"]),
    }
    for name, text in facts.items():
        if text:
            print_line(f"{name + ':':<10}{text}")


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
