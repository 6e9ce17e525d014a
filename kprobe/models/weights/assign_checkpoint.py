"""Put the weights of a TensorFlow checkpoint into a model: by name, or else by object."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import tensorflow as tf

from kprobe.errors import ModelError
from kprobe.models.weights.weight_matching import Assignment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.models.weights.checkpoint import CheckpointReader

# The key of each variable's array, by the variable's `id`.
_Keys: TypeAlias = dict[int, str]
_Value = TypeVar("_Value")
_NUMBER = re.compile(r"_[0-9]+(?=/|$)")


def match_checkpoint(
    model: Any, layers: Mapping[str, Sequence[Any]], stored: CheckpointReader
) -> tuple[Assignment, _Keys]:
    """Choose what of a checkpoint each variable of a model is given.

    A variable is given what the checkpoint holds under its name. Where that isn't so for every
    one, it is what lies where the variable lies in the model, by the names of layers' attributes
    and by the numbers of layers, as TensorFlow itself has it.

    Args:
        model: A built model of keras or tf_keras.
        layers: The variables of each layer, by its name.
        stored: The checkpoint.

    Returns:
        What matched, and the key of each variable's array, by its `id`.

    Raises:
        ModelError: Several objects in the checkpoint fit the model.
    """
    by_name = _find_by_name(layers, stored)
    named = _describe("by name", layers, by_name, stored)
    if named.complete:
        return named, by_name
    found: dict[tuple[str, ...], tuple[Assignment, _Keys]] = {}
    for root in _list_roots(stored):
        by_object = _walk(model, root, stored)
        result = _describe("by object", layers, by_object, stored)
        found.setdefault(tuple(sorted(result.pairs.values())), (result, by_object))
    complete = [both for both in found.values() if both[0].complete]
    if len(complete) > 1:
        raise ModelError(
            f"{stored.opened.path} holds {len(complete)} objects that fit the model, and the "
            "names of its variables don't tell which is meant",
            hint="save the weights of one model: `tf.train.Checkpoint(model=model)`",
        )
    best = max(found.values(), key=lambda both: len(both[1]), default=(named, by_name))
    if complete:
        return complete[0]
    return best if len(best[1]) > len(by_name) else (named, by_name)


def _find_by_name(layers: Mapping[str, Sequence[Any]], stored: CheckpointReader) -> _Keys:
    variables = [variable for some in layers.values() for variable in some]
    names = stored.name_keys()
    claims: dict[str, list[int]] = {}
    for variable in variables:
        # Keras 3 puts the models around a layer in front, tf_keras doesn't.
        parts = _name(variable).split("/")
        ends = ("/".join(parts[start:]) for start in range(max(1, len(parts) - 1)))
        if end := next((end for end in ends if end in names), None):
            claims.setdefault(names[end], []).append(id(variable))
    keys = {same[0]: key for key, same in claims.items() if len(same) == 1}
    # Where a layer itself numbers what is inside, the numbers go on from model to model.
    own = _sort_without_numbers({_name(v): id(v) for v in variables if id(v) not in keys})
    left = {name: key for name, key in names.items() if key not in keys.values()}
    theirs = _sort_without_numbers(left)
    for name, same in own.items():
        if len(same) == 1 and len(theirs.get(name, ())) == 1:
            keys[same[0]] = theirs[name][0]
    return keys


def _sort_without_numbers(named: Mapping[str, _Value]) -> dict[str, list[_Value]]:
    """Sort what is named "rnn/lstm_cell_3/kernel" under "rnn/lstm_cell/kernel"."""
    found: dict[str, list[_Value]] = {}
    for name, value in named.items():
        layer, _, inside = name.partition("/")
        found.setdefault(f"{layer}/{_NUMBER.sub('', inside)}", []).append(value)
    return found


def _name(variable: Any) -> str:
    """Give the name that a checkpoint notes of a variable."""
    path = getattr(variable, "path", None)  # of Keras 3
    return str(path or variable.name).removesuffix(":0")


def _list_roots(stored: CheckpointReader) -> list[int]:
    """List the objects that may be the model: what was saved, or a part of it, each once."""
    if not stored.objects:
        return []
    return [*dict.fromkeys([0, *stored.list_parts(0).values()])]


def _walk(model: Any, root: int, stored: CheckpointReader) -> _Keys:
    """Go through a model's parts and those of a stored object side by side, as TensorFlow does."""
    view = tf.train.TrackableView(model)
    keys: _Keys = {}
    seen: set[int] = set()
    pending = [(model, root)]
    while pending:
        part, number = pending.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        key = stored.find_key(number)
        if key is not None:
            keys[id(part)] = key
        parts = view.children(part)
        pending += [
            (parts[name], inside)
            for name, inside in stored.list_parts(number).items()
            if name in parts
        ]
    return keys


def _describe(
    how: str, layers: Mapping[str, Sequence[Any]], keys: _Keys, stored: CheckpointReader
) -> Assignment:
    pairs, missing, misfits = {}, [], {}
    for layer, variables in layers.items():
        given = [keys.get(id(variable)) for variable in variables]
        expected = [tuple(variable.shape) for variable in variables]
        found = [stored.shapes[key] for key in given if key is not None]
        if len(found) < len(given):
            missing.append(layer)
        elif expected != found:
            misfits[layer] = (expected, found)
        else:
            pairs[layer] = ", ".join(str(key) for key in given)
    used = set(keys.values())
    unused = [key.partition("/.ATTRIBUTES/")[0] for key in stored.shapes if key not in used]
    return Assignment(str(stored.opened.path), how, pairs, missing, misfits, sorted(unused))
