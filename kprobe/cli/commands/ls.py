"""`kprobe ls`: what a model file holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.options.values import loading_options, model_argument, sample_option
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.printing import (
    format_shape,
    format_shapes,
    print_json,
    print_table,
    shorten,
)
from kprobe.cli.stdio import hold_back_noise
from kprobe.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.models.listing import LayerEntry
    from kprobe.models.saved_model import SignatureTensor
    from kprobe.trace.search import Match


@click.command()
@model_argument
@click.argument("pattern", required=False)
@click.option("--type", "class_name", metavar="CLASS", help="Only layers of this class.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option(
    "--ops", is_flag=True, help="The operations inside the layers instead. Loads the model."
)
@sample_option
@loading_options
@verbose_option
def ls(
    model: str,
    pattern: str | None,
    class_name: str | None,
    as_json: bool,
    ops: bool,
    verbose: bool,
    **loading: Any,
) -> None:
    """List the layers of a model, each call with its address.

    Of a SavedModel without a Keras model it lists the signatures.

    PATTERN narrows the list: a name, a path, or globs such as 'block*_conv?' and '**/bn'.
    Of a model file nothing is loaded, neither TensorFlow nor the weights, unless --ops asks for
    the operations: then PATTERN is the address of layers, or of operations such as
    'ROI//*Suppression*'. A model given as code, FILE.py:CALLABLE, is always loaded.
    """
    from kprobe.models.file import choose_signature, read_model_file
    from kprobe.models.listing import list_layers
    from kprobe.models.spec import ModelSpec

    spec = ModelSpec(
        model=model, **{name: value for name, value in loading.items() if name != "inputs"}
    )
    if ops or spec.code:
        hold_back_noise(verbose)
    if ops:
        _show_operations(_find_operations(model, pattern, class_name, loading), as_json)
        return
    if spec.code:
        calls = _list_code(model, loading)
    else:
        file = read_model_file(spec.model)
        signatures = file.saved.signatures if file.saved and not file.saved.is_keras else {}
        if signatures and not (pattern or class_name or spec.signature):
            _show_signatures(signatures, as_json)
            return
        calls = list_layers(choose_signature(file, spec.signature))
    _show_layers(_select(calls, model, pattern, class_name), as_json)


def _list_code(model: str, loading: dict[str, Any]) -> list[LayerEntry]:
    from kprobe.pipeline.inspect import list_model_layers

    return list_model_layers(model, **loading)


def _select(
    everything: Sequence[LayerEntry], model: str, pattern: str | None, class_name: str | None
) -> Sequence[LayerEntry]:
    """Choose the calls that a pattern and a class name."""
    from kprobe.addresses.resolve import find_nearest_classes, match_pattern

    calls = everything
    if pattern is not None:
        if "//" in pattern:
            raise AddressError(f"{pattern!r} names operations", hint="--ops lists them")
        calls = match_pattern(pattern, calls)
    if class_name is None:
        return calls
    calls = [call for call in calls if call.class_name == class_name]
    if not calls:
        named = f" {pattern!r}" if pattern is not None else ""
        near = [name for name in find_nearest_classes(class_name, everything) if name != class_name]
        raise AddressError(
            f"{model} has no layer{named} of class {class_name}",
            hint=f"nearest: {', '.join(near)}" if near else None,
        )
    return calls


def _show_layers(calls: Sequence[LayerEntry], as_json: bool) -> None:
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


def _find_operations(
    model: str, address: str | None, type_name: str | None, loading: dict[str, Any]
) -> list[Match]:
    from kprobe.pipeline.inspect import list_model_operations

    operations = list_model_operations(model, address, **loading)
    return [each for each in operations if type_name in (None, each.type)]


def _show_operations(operations: list[Match], as_json: bool) -> None:
    if as_json:
        print_json([{k: v for k, v in asdict(o).items() if k != "hops"} for o in operations])
        return
    rows = [(o.address, o.type, shorten(o.dtypes), format_shapes(o.shapes)) for o in operations]
    print_table(("address", "type", "dtype", "shape"), rows, numbers=set())


def _show_signatures(signatures: dict[str, list[SignatureTensor]], as_json: bool) -> None:
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
