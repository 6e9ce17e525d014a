"""Look inside a model: load it, trace it, and list what is there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kprobe.addresses.resolve import resolve
from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.engines.compute import Compute
from kprobe.errors import AddressError
from kprobe.inputs.spec import SampleSpec
from kprobe.models.listing import LayerEntry
from kprobe.models.spec import ModelSpec
from kprobe.session.loading import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.trace.search import Match
    from kprobe.trace.trace import Trace


def list_model_layers(model: str, **settings: Any) -> list[LayerEntry]:
    """List every call of every layer of a model by loading and tracing it.

    Args:
        model: A model file, or code.
        **settings: As for `open_trace`.

    Returns:
        The calls in the order in which they begin.
    """
    traced = open_trace(model, **settings)
    inside: dict[int, dict[str, Any]] = {}
    entries = []
    for call in traced.calls:
        shapes = [tuple(tensor.shape) for _, tensor in call.outputs]
        single = len(shapes) == 1 and call.outputs[0][0] is None
        layer = _find_layer(traced.model, [name for name, _ in call.steps], inside)
        entries.append(
            LayerEntry(
                steps=call.steps,
                class_name=call.class_name,
                position=call.position,
                is_input=call.is_input,
                output_shape=shapes[0] if single else shapes,
                parameters=layer.count_params() if layer is not None else None,
                depth=len(call.steps) - 1,
            )
        )
    return entries


def _find_layer(model: Any, names: Sequence[str], inside: dict[int, dict[str, Any]]) -> Any:
    """Go down from a model to a layer; `inside` keeps what is in each layer on the way."""
    layer = model
    for name in names:
        if id(layer) not in inside:
            found = FLATTEN_LAYERS.find(layer)(recursive=False, include_self=False)
            # Of several with one name the first is meant.
            inside[id(layer)] = {inner.name: inner for inner in reversed([*found])}
        layer = inside[id(layer)].get(name)
        if layer is None:
            return None
    return layer


def list_model_operations(model: str, address: str | None, **settings: Any) -> list[Match]:
    """List the operations inside layers, constants and the values of variables left out.

    Args:
        model: A model file, or code.
        address: The layers, or the operations, with globs in both; None for all operations,
            under their names in the graph.
        **settings: As for `open_trace`.

    Returns:
        The operations, in the order they were made.
    """
    traced = open_trace(model, **settings)
    from kprobe.trace.operations import is_passive, list_operations, match_operations
    from kprobe.trace.search import describe

    matches = []
    for target in resolve([address or "//*"], traced.calls, traced.dropped):
        place = f"{target.call.address if target.call else ''}//"
        listed = [e for e in list_operations(traced, target.call) if not is_passive(e.operation)]
        wanted = target.address.operation or "*"
        matches += [
            describe(entry.operation, place + entry.name)
            for entry in match_operations(listed, wanted)
        ]
    if not matches:
        raise AddressError(f"{address} names no operation")
    return matches


def search_model(
    model: str, pattern: str, start: str | None, depth: int | None, **settings: Any
) -> list[Match]:
    """Search a model upstream, as `search_upstream` does a trace."""
    traced = open_trace(model, **settings)
    from kprobe.trace.search import search_upstream

    return search_upstream(traced, pattern, start, depth)


def open_trace(model: str, *, inputs: Any = (), **settings: Any) -> Trace:
    """Load a model and trace it; what it computes doesn't matter, and it needs no weights.

    Args:
        model: A model file, or code.
        inputs: Samples for a model that has to be called before it is built.
        **settings: The other attributes of `ModelSpec`, but for `random_weights`.
    """
    samples = SampleSpec(inputs=inputs)
    without = settings.get("weights") is None
    loaded = load(ModelSpec(model=model, **settings, random_weights=without))
    # Not earlier: code, or a file, chooses its Keras before TensorFlow is imported.
    from kprobe.session.session import open_session

    with contextlib.ExitStack() as opened:
        session, _ = open_session(loaded, Compute(), samples, opened, wait=True)
    return session.traced
