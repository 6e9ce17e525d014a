"""The groups that Keras writes weights into, and how it names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The layers of a model: each with its name, its class and, if it is a model, those inside.
Tree: TypeAlias = "list[tuple[str, str, Tree | None]]"

# What tf_keras up to 2.13 called the container of the layers.
OLD_CONTAINER = "_layer_checkpoint_dependencies"
# Groups that hold the state of training rather than layers.
_TRAINING = frozenset({"optimizer", "metrics", "loss_tracker", "compile_metrics", "vars"})


def is_training(place: str) -> bool:
    """Tell whether a place holds the state of training, or of a seed, rather than weights."""
    return place.split("/")[0] in _TRAINING or "seed_generator" in place


def number_groups(class_names: Iterable[str]) -> list[str]:
    """Give the group of each layer of a container, which Keras numbers by class.

    Args:
        class_names: The classes of all its layers, in their order.
    """
    used: dict[str, int] = {}
    groups = []
    for class_name in class_names:
        stem = to_snake_case(class_name)
        number = used[stem] = used.get(stem, -1) + 1
        groups.append(f"{stem}_{number}" if number else stem)
    return groups


def to_snake_case(name: str) -> str:
    """Turn a class's name into what Keras numbers the class's layers under."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
    return f"private{name}" if name.startswith("_") else name


def name_places(
    tree: Tree, prefix: str = "layers/", outer: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Give the names of a model's layers by their places, which are counted by class."""
    places: dict[str, tuple[str, ...]] = {}
    groups = number_groups(class_name for _, class_name, _ in tree)
    for (name, _, inside), group in zip(tree, groups, strict=True):
        place = prefix + group
        places[place] = (*outer, name)
        if inside is not None:
            places |= name_places(inside, f"{place}/layers/", places[place])
    return places


def name_from_outside(place: str, noted: Mapping[str, str]) -> tuple[str, ...]:
    """Give the names of the layers around a place, from the outermost inwards, its own last.

    Args:
        place: The place.
        noted: The layers' names by their places.
    """
    parts = place.split("/")
    around = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return tuple(noted[outer] for outer in around if outer in noted)


def find_around(place: str, places: Iterable[str]) -> str | None:
    """Find the innermost of some places that a place lies in, or is."""
    fitting = [other for other in places if f"{place}/".startswith(f"{other}/")]
    return max(fitting, key=len, default=None)


def read_names(group: Any, attribute: str) -> list[str]:
    """Read a list of names, which Keras splits into numbered attributes when it is long."""
    attributes = group.attrs
    if attribute in attributes:
        values = list(attributes[attribute])
    else:
        values, part = [], 0
        while f"{attribute}{part}" in attributes:
            values.extend(attributes[f"{attribute}{part}"])
            part += 1
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
