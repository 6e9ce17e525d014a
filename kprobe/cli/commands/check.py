"""`kprobe check`: what the gate says of model files, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.command_class import Command
from kprobe.cli.options.as_json import json_option
from kprobe.cli.options.model import model_options
from kprobe.cli.options.progress import quiet_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import saying_all
from kprobe.cli.rendering.checked import show_checked
from kprobe.cli.rendering.printing import print_json, say, showing_status
from kprobe.cli.rendering.sarif import write_sarif
from kprobe.errors import UnsafeModelError
from kprobe.gate.rules import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def _check(_ctx: click.Context, options: dict[str, Any]) -> Iterator[click.UsageError]:
    ways = {"as_json": "--json", "as_sarif": "--sarif", "quiet": "--quiet"}
    given = [flag for name, flag in ways.items() if options.get(name)]
    if len(given) > 1:
        received = "both" if len(given) == 2 else "all of them"
        yield click.UsageError(f"Expected one of {' and '.join(given)}, received {received}.")


@click.command(
    cls=Command,
    check=_check,
    epilog="For example: kprobe check model.keras && kprobe ls model.keras",
)
@click.argument("models", type=File(), metavar="MODEL...", nargs=-1, required=True)
@model_options.only("custom_objects", "allow", "max_model_bytes").saying(
    custom_objects="Python code that defines the model's own classes and functions, or one of them "
    "by NAME: these are no faults. It is read, and not run. Repeatable.",
    allow=f"What isn't a fault: {', '.join(KINDS)}. Repeatable.",
)
@json_option("Print a JSON array, an object for each file.")
@click.option("--sarif", "as_sarif", is_flag=True, help="Print SARIF 2.1.0, for code scanning.")
@quiet_option("Print nothing; the exit code tells.")
@saying_all("Tell of each file all reasons, in full, and what is inside.")
@click.pass_context
def check(
    ctx: click.Context,
    /,
    models: Sequence[str],
    as_json: bool,
    as_sarif: bool,
    quiet: bool,
    verbose: bool,
    **settings: Any,
) -> None:
    """Check model files by all rules of the gate; nothing is loaded, and TensorFlow isn't imported.

    Of one file it prints the verdict, the reasons, and what is inside; of several a table. MODEL is
    a file of any kind that kprobe opens, a SavedModel directory, a .tflite or an .onnx file;
    weights alone, such as .weights.h5 or a checkpoint; or a folder, for all of these in it. Links
    in it aren't followed. The exit code is 0 where all are accepted, else 4. `kprobe help safety`
    lists the rules.
    """
    from kprobe.pipeline.checking_folders import check_files

    with showing_status("checking", quiet):
        checked = check_files(models, **settings)
    results = checked.results
    if as_json:
        print_json([result.to_json() for result in results])
    elif as_sarif:
        print_json(write_sarif(results))
    elif not quiet:
        show_checked(results, verbose)
    if not quiet:
        for line in checked.left_alone:
            say(line)
    if not all(results):
        ctx.exit(UnsafeModelError.exit_code)
