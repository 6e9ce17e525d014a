"""A use of a layer, as every room names it: by its path of enclosing calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# The name of a step, which of its calls, and the place of its layer.
Part: TypeAlias = "tuple[str, int | None, int | None]"
_PLACE = re.compile("at:[0-9]+")


@dataclass(frozen=True, kw_only=True)
class LayerCall:
    """One use of a layer or operation inside a model.

    Attributes:
        steps: The enclosing calls from the top of the model inwards, this call last. A step is
            a layer's name and which of its calls within the enclosing call is meant, counted
            from 0; None where that layer is called once there.
        class_name: The layer's class, e.g. "Conv2D".
        position: The layer's position in `model.layers`; None for nested layers and for
            operations that aren't layers.
        is_input: Whether this is an input layer: it isn't called, it names what goes in.
        places: For each step the place of its layer among those around it, which "at:1" means where
            a file has no name for it; None for what isn't among them. Empty where it isn't known.
    """

    steps: tuple[tuple[str, int | None], ...]
    class_name: str
    position: int | None = None
    is_input: bool = False
    places: tuple[int | None, ...] = ()

    @property
    def path(self) -> tuple[Part, ...]:
        """The steps, each with the place of its layer."""
        places = self.places or (None,) * len(self.steps)
        return tuple((*step, place) for step, place in zip(self.steps, places, strict=True))

    @property
    def address(self) -> str:
        """The text that names this call and no other, e.g. "encoder@1/conv1"."""
        return "/".join(name if call is None else f"{name}@{call}" for name, call in self.steps)

    @property
    def is_placed(self) -> bool:
        """Whether its layer has no name, and the last step says its place: "at:1"."""
        return bool(self.steps) and _PLACE.fullmatch(self.steps[-1][0]) is not None


@dataclass(frozen=True, kw_only=True)
class DroppedCall(LayerCall):
    """A use of a layer that has no tensor to fetch.

    Its last step has no number, since it isn't counted among the calls that have.

    Attributes:
        reason: Why, to be put behind its address.
        hint: What there is instead, or None.
        layer: The layer, which may have weights all the same.
    """

    reason: str
    hint: str | None = None
    layer: Any = field(default=None, compare=False)
