"""What a model consists of: layers, operations, or a SavedModel's signatures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kprobe.cli.rendering.formatting import count, format_shapes, shorten
from kprobe.cli.rendering.printing import print_json, print_table, say
from kprobe.naming import list_names
from kprobe.tables import format_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.models.listing import LayerEntry
    from kprobe.models.saved_model import SignatureTensor
    from kprobe.trace.search import Match

_WITH_CODE = "with --custom-objects FILE.py it is loaded, and they are listed"


def show_model(
    listed: Sequence[LayerEntry] | Mapping[str, Sequence[SignatureTensor]],
    as_json: bool,
    model: Sequence[str] | None,
) -> None:
    """Print the calls of layers, or where there are none the signatures.

    Args:
        listed: The calls, or the tensors of each signature by its name.
        as_json: Whether to print them as JSON.
        model: The model's file, and the options to load it, as the user gave them; None for a model
            that was loaded.
    """
    if isinstance(listed, Mapping):
        _show_signatures(listed, as_json)
    else:
        _show_layers(listed, as_json, model)


def _show_layers(calls: Sequence[LayerEntry], as_json: bool, model: Sequence[str] | None) -> None:
    if as_json:
        print_json([_record(call) for call in calls])
        return
    rows = [
        (
            "  " * call.depth + call.address,
            call.class_name,
            format_shapes(call.output_shape),
            "" if call.parameters is None else f"{call.parameters:,}",
        )
        for call in calls
    ]
    print_table(("address", "class", "output", "parameters"), rows, numbers={"parameters"})
    placed = list(dict.fromkeys(call.address for call in calls if call.is_placed))
    if placed:
        say(f"the file has no name for {list_names(placed, 4)}: `at:` gives the place of each")
    untold = sum(call.output_shape is None for call in calls)
    if untold and model is not None:
        command = shlex.join(["kprobe", "dump", *model, "--all", "--dry-run"])
        trusted = {"--allow", "--unsafe"} & {word.partition("=")[0] for word in model}
        caution = ": only for files you trust" if trusted else ""
        said = f"`{command}` runs the model to tell them{caution}"
        say(f"{count(untold, 'output')} without a shape: {said}")


def say_untold(without: Sequence[str], partly: Sequence[str]) -> None:
    """Say which layers have layers inside that a file doesn't tell of, or may have such."""
    if without:
        owners = list_names([name or "the model" for name in without], 4)
        say(f"the file doesn't name the layers inside {owners}: {_WITH_CODE}")
    if partly:
        say(
            f"layers without weights inside {list_names(partly, 4)}, if any, aren't in the file: "
            f"{_WITH_CODE}"
        )


def show_operations(operations: Sequence[Match], as_json: bool) -> None:
    """Print operations by their addresses."""
    if as_json:
        print_json([{k: v for k, v in asdict(o).items() if k != "hops"} for o in operations])
        return
    rows = [(o.address, o.type, shorten(o.dtypes), format_shapes(o.shapes)) for o in operations]
    print_table(("address", "type", "dtype", "shape"), rows, numbers=set())


def show_matches(matches: Sequence[Match], as_json: bool) -> None:
    """Print operations by how far they are from where the search began."""
    if as_json:
        print_json([asdict(match) for match in matches])
        return
    rows = [
        (str(m.hops), m.address, m.type, shorten(m.dtypes), format_shapes(m.shapes))
        for m in matches
    ]
    print_table(("hops", "address", "type", "dtype", "shape"), rows, numbers={"hops"})


def _show_signatures(signatures: Mapping[str, Sequence[SignatureTensor]], as_json: bool) -> None:
    listed = [(name, tensor) for name, tensors in signatures.items() for tensor in tensors]
    if as_json:
        print_json(
            [
                {
                    "signature": name,
                    "address": tensor.name,
                    "class": tensor.class_name,
                    "dtype": tensor.dtype,
                    "shape": tensor.shape,
                }
                for name, tensor in listed
            ]
        )
        return
    rows = [
        (name, tensor.name, tensor.class_name, tensor.dtype or "", format_shape(tensor.shape))
        for name, tensor in listed
    ]
    print_table(("signature", "address", "class", "dtype", "shape"), rows, numbers=set())


def _record(call: Any) -> dict[str, Any]:
    return {
        "address": call.address,
        "class": call.class_name,
        "output_shape": call.output_shape,
        "parameters": call.parameters,
        "depth": call.depth,
    }
