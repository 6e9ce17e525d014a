"""Parts of a model that its own call doesn't run: complete models, with inputs of their own.

Such are the discriminator of a GAN whose call generates, or the encoder and the decoder of a VAE
that has a training step and no call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.errors import ModelError
from kprobe.saved_signature import SavedSignature
from kprobe.trace.recording.dropped import UNCALLED
from kprobe.trace.recording.learn import is_built
from kprobe.trace.recording.model_inputs import (
    WithParts,
    arrange_inputs,
    library_of,
    read_signature,
)
from kprobe.trace.recording.run_symbolically import trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import tensorflow as tf


@dataclass(frozen=True, eq=False)
class Part:
    """A part that is called by itself.

    Attributes:
        name: Its address.
        model: The part.
        inputs: The name of each of its inputs among those of the whole model, and its own: the
            part's address, with `/` and its own name where it has several.
    """

    name: str
    model: Any
    inputs: Mapping[str, str]


def has_call(model: Any) -> bool:
    """Tell whether a model runs anything when it is called."""
    library = library_of(model)
    empty = (library.Model.call, library.layers.Layer.call)
    return bool(getattr(model, "inputs", None)) or type(model).call not in empty


def list_candidates(model: Any) -> list[Part]:
    """List the complete models inside a subclassed one, whether or not its call runs them."""
    if isinstance(model, SavedSignature) or getattr(model, "inputs", None):
        return []
    library = library_of(model)
    if isinstance(model, library.Sequential):
        return []
    found = [*_walk(model, library.Model)]
    totals, counts = Counter(part.name for part in found), Counter[str]()
    parts = []
    for part in found:
        # As calls of one name are counted.
        name = f"{part.name}@{counts[part.name]}" if totals[part.name] > 1 else part.name
        counts[part.name] += 1
        own = list(read_signature(part))
        names = [name] if len(own) == 1 else [f"{name}/{each}" for each in own]
        parts.append(Part(name, part, dict(zip(names, own, strict=True))))
    return parts


def find_parts(model: Any) -> list[Part]:
    """Find the parts that a built model's own call doesn't run, and that can be run by themselves.

    A model that holds complete models is traced once to find out which of them its call runs.
    """
    candidates = list_candidates(model)
    if not candidates:
        return []
    run: set[int] = set()
    if has_call(model):
        try:
            traced = _trace_alone(model)
        except ModelError:  # that is reported where the model itself is traced
            return []
        run = {id(call.layer) for call in traced.calls}
        run |= {id(call.layer) for call in traced.dropped if call.reason != UNCALLED}
    parts = []
    for part in candidates:
        if id(part.model) in run:
            continue
        try:
            traced = _trace_alone(part.model)
        except ModelError:
            continue
        run |= {id(call.layer) for call in traced.calls}
        parts.append(part)
    return parts


def arrange_parts(
    model: Any, parts: Sequence[Part], tensors: Mapping[str, tf.Tensor]
) -> WithParts | Any:
    """Put tensors into what a model, and its parts, are called with.

    Args:
        model: The model.
        parts: The parts.
        tensors: A tensor for each input of the model and of its parts, by name.
    """
    if not parts:
        return arrange_inputs(model, tensors)
    calls = []
    own = dict(tensors)
    for part in parts:
        given = {inner: own.pop(name) for name, inner in part.inputs.items()}
        calls.append((part.model, arrange_inputs(part.model, given)))
    return WithParts(arrange_inputs(model, own) if own else None, calls)


def _walk(layer: Any, kind: type) -> Iterator[Any]:
    for inner in FLATTEN_LAYERS.find(layer)(recursive=False, include_self=False):
        if isinstance(inner, kind) and is_built(inner) and _says_inputs(inner):
            yield inner
        # A model that is put together from layers calls them itself.
        if not getattr(inner, "inputs", None):
            yield from _walk(inner, kind)


def _says_inputs(model: Any) -> bool:
    try:
        return bool(read_signature(model)) and has_call(model)
    except ModelError:
        return False


def _trace_alone(model: Any) -> Any:
    return trace(model, read_signature(model), lambda given: arrange_inputs(model, given))
