"""Which tensors have a local error, how both sides are computed for it, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kprobe.engines.lower import lower
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


def prepare(session: Session, fetches: list[FetchSpec]) -> tuple[Session, list[FetchSpec]]:
    """Make a side ready to be taken apart: each layer must compute alone what it does among others.

    So the graph compiler is left out, and what isn't different on two sides is 0. Which layers are
    in bfloat16 is settled before, for the model as a whole.

    Returns:
        The side, and its tensors in there.

    Raises:
        ModelError: The side can't be taken apart so.
    """
    compute = session.compute
    if compute.eager:
        return session, fetches
    exact = session.recompute(exact=True, precision="float32")
    if compute.precision == "float32":
        return exact, fetches
    tensors = [fetch.tensor for fetch in fetches]
    tensors += session.feeds.values()
    tensors += [tensor for tensor, _ in session.replaced.values()]
    traced, find = lower(session.traced, tensors)
    lowered = replace(
        exact,
        traced=traced,
        feeds={name: find(tensor) for name, tensor in session.feeds.items()},
        replaced={n: (find(tensor), made) for n, (tensor, made) in session.replaced.items()},
    )
    return lowered, [replace(fetch, tensor=find(fetch.tensor)) for fetch in fetches]


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
