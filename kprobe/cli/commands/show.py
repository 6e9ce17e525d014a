"""`kprobe show`: what a dump is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.commands.dump import dump as dump_command
from kprobe.cli.config_file import name_options, write_config
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import (
    count,
    format_bytes,
    format_shape,
    print_json,
    print_line,
    print_table,
)
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from kprobe.dumps.reader import Dump


@click.command()
@click.argument("dump", type=File())
@click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON.")
@click.option(
    "--as-config",
    is_flag=True,
    help="Print the command that made it, as a file for `kprobe dump --config`.",
)
@verbose_option
def show(dump: str, as_json: bool, as_config: bool, **_verbose: bool) -> None:
    """Show what a dump is: what it holds, what it was made from, how and when.

    DUMP may also be one that isn't complete, NAME.partial. Nothing is loaded but the file.
    """
    from kprobe.dumps.reader import open_dump

    if as_json and as_config:
        raise click.UsageError("Expected either --json or --as-config.")
    with open_dump(dump) as opened:
        if as_config:
            print_line(write_config(dump_command, _recall_job(opened)))
        elif as_json:
            print_json(_describe(opened))
        else:
            _print(_describe(opened))


def _recall_job(dump: Dump) -> dict[str, Any]:
    """Give the command's options that make a dump with the same datasets.

    Raises:
        DumpError: It was made in Python, from what no command line can name, or long ago.
    """
    if "job" not in dump.attrs:
        raise DumpError(f"{dump.path}: doesn't say by what command it was made")
    job: dict[str, Any] = json.loads(dump.attrs["job"])
    for name in ("model", "inputs"):
        if job[name] is None:
            raise DumpError(
                f"{dump.path}: its {name} came from the memory of a Python program, "
                "which no command can name"
            )
    if job["layers"] is None:
        del job["layers"]
        job["every"] = True
    if not job["inputs"]:
        del job["inputs"]
    # What was chosen is part of what the numbers are: other batches, other last bits.
    return job | {"batch_size": dump.attrs["batch_size"]}


def _describe(dump: Dump) -> dict[str, Any]:
    from kprobe.dumps.ragged_rows import RaggedRows
    from kprobe.dumps.writing.resuming import open_json

    inputs = open_json(dump.attrs.get("inputs", "[]"))
    nobody_knows = bool(inputs) and all(entry["rows"] is None for entry in inputs)
    # Before it is complete, such a dump has as many rows as a file has room for.
    rows = None if nobody_knows and not dump.complete else dump.rows
    datasets: list[dict[str, Any]] = []
    for name in dump.columns:
        dataset = dump[name]
        # Of rows that differ in shape, how many axes they have is known.
        ragged = isinstance(dataset, RaggedRows)
        shape = [rows, *[None] * dataset.shapes.shape[1]] if ragged else list(dataset.shape)
        if not ragged and dataset.attrs.get("layout") != "weight":
            shape[0] = rows
        datasets.append(
            {
                "addresses": list(dataset.attrs["addresses"]),
                "dataset": name,
                "dtype": dataset.dtype.name,
                "shape": shape,
                **{key: dataset.attrs[key] for key in _OF_DATASETS if key in dataset.attrs},
            }
        )
    return {
        "path": str(dump.path),
        "bytes": _count_bytes(dump),
        "complete": dump.complete,
        "samples": rows,
        "committed": dump.committed,
        "left_out": dump.count_left_out(),
        "started": _format_time(dump.started),
        "finished": _format_time(dump.finished) if dump.complete else None,
        "datasets": datasets,
        **{name: open_json(value) for name, value in dump.attrs.items()},
    }


def _count_bytes(dump: Dump) -> int:
    """Give the size of the file; of an unfinished one what it takes on the disk, without holes."""
    status = dump.path.stat()
    # Blocks of 512 bytes, whatever the filesystem's are (stat(2)).
    return status.st_size if dump.complete else min(status.st_size, 512 * status.st_blocks)


_OF_DATASETS = ("layer", "layer_class", "tensor", "layout")


def _print(found: dict[str, Any]) -> None:
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


def _find_options(found: dict[str, Any]) -> dict[str, Any]:
    """Give what was chosen, by whoever asked for the dump or in its plan."""
    asked = {
        name: value
        for name, value in name_options(found.get("job", {})).items()
        if name not in ("model", "layers", "inputs")
    }
    chosen = {name: found[name] for name in ("batch_size", "seed", "frozen") if name in found}
    return asked | chosen


def _known(found: dict[str, Any], *names: str) -> list[str]:
    return [str(found[name]) for name in names if found.get(name) is not None]


def _format_option(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_format_option, value))
    return value if isinstance(value, str) else json.dumps(value)


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
