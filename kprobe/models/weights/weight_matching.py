"""Match the layers of a weights file with those of a model: by name, or else in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from kprobe.errors import Hint, ModelError, Setting
from kprobe.models.weights.stored_weights import Shape
from kprobe.naming import list_names

# How many layers an error or a report names.
_SHOWN = 8
Shapes: TypeAlias = Sequence[Shape]


@dataclass(frozen=True)
class Assignment:
    """What became of the weights of a file.

    Attributes:
        path: The file.
        how: "by name", "in order", "by attribute" of a subclassed model, or "by object" of a
            checkpoint.
        pairs: What of the file each layer of the model was given.
        missing: The model's layers that the file has no weights for.
        misfits: The layers whose weights have other shapes: those of the model, of the file.
        unused: What the file holds beyond that.
        renamed: The layers that were given, in order, what has another name in the file, with it.
    """

    path: str
    how: str
    pairs: Mapping[str, str]
    missing: Sequence[str] = ()
    misfits: Mapping[str, tuple[Shapes, Shapes]] = field(default_factory=dict)
    unused: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every layer of the model is given its weights."""
        return not self.missing and not self.misfits

    def __str__(self) -> str:
        """One line that says what matched."""
        count = len(self.pairs)
        line = f"{self.path}: weights of {count} layer{'' if count == 1 else 's'}, {self.how}"
        if self.renamed:
            taken = (f"{layer} from {name}" for layer, name in self.renamed.items())
            line += f": {list_names(taken, _SHOWN)}"
        left = [*self.missing, *self.misfits]
        if left:
            line += f"; left as they were: {list_names(left, _SHOWN)}"
        if self.unused:
            line += f"; not the model's: {list_names(self.unused, _SHOWN)}"
        return line

    def explain(self) -> ModelError:
        """Say what doesn't fit."""
        faults = [
            f"{self.path}: {layer} expects weights of shape {_join(expected)}, "
            f"received {_join(found)}"
            for layer, (expected, found) in [*self.misfits.items()][:_SHOWN]
        ]
        if len(self.misfits) > _SHOWN:
            faults.append(f"{self.path}: {len(self.misfits) - _SHOWN} more layers don't fit")
        if self.missing:
            faults.append(f"{self.path} has no weights for {list_names(self.missing, _SHOWN)}")
            if self.unused:
                faults[-1] += f"; it has some for {list_names(self.unused, _SHOWN)}"
        leaves = Hint(
            "`", Setting("random_weights", True), "` leaves these layers with the weights they have"
        )
        return ModelError(*faults, hint=leaves)


def match_layers(
    path: str,
    layers: Sequence[str],
    held: Sequence[str],
    by_name: Mapping[str, str],
    in_order: Mapping[str, str] | None,
    shapes: Callable[[str, str], tuple[Shapes, Shapes]],
    *,
    names: Mapping[str, str],
    ordered_how: str = "in order",
) -> Assignment:
    """Choose between two ways to match layers.

    Args:
        path: The weights file.
        layers: The model's layers.
        held: Those of the file.
        by_name: What the file has under the names of the model's layers.
        in_order: What it has for each of them, if it is the order that counts.
        shapes: Gives those of a layer's weights, and of what the file has.
        names: What the file calls those of its layers that it has names for.
        ordered_how: What the second way is called.
    """

    def check(how: str, pairs: Mapping[str, str]) -> Assignment:
        compared = {layer: shapes(layer, source) for layer, source in pairs.items()}
        misfits = {layer: both for layer, both in compared.items() if both[0] != both[1]}
        return Assignment(
            path,
            how,
            {layer: source for layer, source in pairs.items() if layer not in misfits},
            [layer for layer in layers if layer not in pairs],
            misfits,
            [names.get(source, source) for source in held if source not in pairs.values()],
            {layer: names[s] for layer, s in pairs.items() if names.get(s, layer) != layer}
            if how == "in order"
            else {},
        )

    named = check("by name", by_name)
    if named.complete or in_order is None:
        return named
    ordered = check(ordered_how, in_order)
    return ordered if ordered.complete or not by_name else named


def _join(shapes: Shapes) -> str:
    return " ".join(str(shape) for shape in shapes) or "none"
