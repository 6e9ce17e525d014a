"""Look inside a model: load it, trace it, and list what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.graph.operations import list_operations
from kprobe.graph.resolve import resolve
from kprobe.graph.search import Match, describe, search_upstream
from kprobe.graph.signature import arrange_inputs, read_signature
from kprobe.graph.trace import Trace, trace
from kprobe.models.load import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence


def list_model_operations(
    model: str,
    address: str | None,
    *,
    keras: int | None = None,
    custom_objects: Sequence[str] = (),
    unsafe: bool = False,
) -> list[Match]:
    """List the operations inside layers.

    Args:
        model: A model file.
        address: The layers; None for all operations, under their names in the graph.
        keras: As for `load_model`.
        custom_objects: As for `load_model`.
        unsafe: As for `load_model`.

    Returns:
        The operations, in the order they were made.
    """
    traced = _open(model, keras=keras, custom_objects=custom_objects, unsafe=unsafe)
    calls = [None] if address is None else [t.call for t in resolve([address], traced.calls)]
    return [
        describe(entry.operation, f"{call.address if call else ''}//{entry.name}")
        for call in calls
        for entry in list_operations(traced, call)
    ]


def search_model(
    model: str,
    pattern: str,
    start: str | None,
    depth: int | None,
    *,
    keras: int | None = None,
    custom_objects: Sequence[str] = (),
    unsafe: bool = False,
) -> list[Match]:
    """Search a model file upstream, as `search_upstream` does a trace."""
    traced = _open(model, keras=keras, custom_objects=custom_objects, unsafe=unsafe)
    return search_upstream(traced, pattern, start, depth)


def _open(path: str, *, keras: int | None, custom_objects: Sequence[str], unsafe: bool) -> Trace:
    model = load_model(path, keras=keras, custom_objects=custom_objects, unsafe=unsafe)
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))
