"""Look inside a model: load it, trace it, and list what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.errors import AddressError
from kprobe.graph.operations import is_passive, list_operations, match_operations
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
    signature: str | None = None,
) -> list[Match]:
    """List the operations inside layers, constants and the values of variables left out.

    Args:
        model: A model file.
        address: The layers, or the operations, with globs in both; None for all operations,
            under their names in the graph.
        keras: As for `load_model`.
        custom_objects: As for `load_model`.
        unsafe: As for `load_model`.
        signature: As for `load_model`.

    Returns:
        The operations, in the order they were made.
    """
    traced = _open(
        model, keras=keras, custom_objects=custom_objects, unsafe=unsafe, signature=signature
    )
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
    model: str,
    pattern: str,
    start: str | None,
    depth: int | None,
    *,
    keras: int | None = None,
    custom_objects: Sequence[str] = (),
    unsafe: bool = False,
    signature: str | None = None,
) -> list[Match]:
    """Search a model file upstream, as `search_upstream` does a trace."""
    traced = _open(
        model, keras=keras, custom_objects=custom_objects, unsafe=unsafe, signature=signature
    )
    return search_upstream(traced, pattern, start, depth)


def _open(path: str, **loading: Any) -> Trace:
    model = load_model(path, **loading)
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))
