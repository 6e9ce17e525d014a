"""Which tensors have a local error, how both sides are computed for it, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.naming import list_names

if TYPE_CHECKING:
    import tensorflow as tf

    from kprobe.engines.engine import FetchSpec
    from kprobe.session.session import Session

_EAGER = "runs eagerly, where nothing can be fed"
_STATEFUL = "follows from the state that earlier batches left"
_INSIDE = "lies in a loop, a branch or a function, where nothing can be fed"
_REPLACED = "is replaced by a value that is made from its own"


def find_reason(*sides: tuple[Session, FetchSpec]) -> str:
    """Tell why there is no local error of a matched pair.

    Args:
        *sides: Of each side the model, and its tensor.

    Returns:
        The reason, to be put behind an address; "" where there is none.
    """
    for session, fetch in sides:
        tensor = fetch.tensor
        if session.compute.eager:
            return _EAGER
        if session.compute.stateful:
            return _STATEFUL
        if tensor.graph is not session.traced.graph or session.traced.is_framed(tensor):
            return _INSIDE
        if any(tensor is replaced for replaced, _ in session.replaced.values()):
            return _REPLACED
    one, other = (fetch.tensor.dtype for _, fetch in sides)
    if _find_kind(one) != _find_kind(other):
        return f"holds {one.name} on one side and {other.name} on the other"
    return ""


def compare_shapes(one: tf.Tensor, other: tf.Tensor) -> str:
    """Tell why a tensor can't be fed for another, as `find_reason` does, by their shapes."""
    if one.shape.is_compatible_with(other.shape):
        return ""
    return f"has shape {tuple(one.shape)} on one side and {tuple(other.shape)} on the other"


def _find_kind(dtype: tf.DType) -> str:
    """Give what kind of values a dtype has; positions, sizes and conditions are fed, too."""
    if dtype.is_floating:
        return "floating"
    return "integer" if dtype.is_integer else str(dtype.name)


def make_alike(a: Session, b: Session) -> tuple[tuple[Session, Session], bool]:
    """Leave the graph compiler out on both sides, where they are computed alike.

    Returns:
        The sessions, and whether it is left out: what isn't different is 0 then.
    """
    one, other = a.compute, b.compute
    alike = (one.exact, one.precision) == (other.exact, other.precision)
    if not alike or one.precision != "float32" or one.eager or other.eager:
        return (a, b), False
    return (a.recompute(exact=True), b.recompute(exact=True)), True


def note_masks(session: Session) -> list[str]:
    """Say which masks a model makes itself, since masks aren't fed."""
    if session.compute.eager:
        return []
    makers: dict[int, str] = {}
    for call in session.traced.calls:
        for _, mask in call.masks:
            makers.setdefault(id(mask), call.address)
    if not makers:
        return []
    names = list_names(dict.fromkeys(makers.values()))
    return [
        f"the masks of {names} are made by the second model, and not fed: where one differs, so do "
        "the layers that take it"
    ]
