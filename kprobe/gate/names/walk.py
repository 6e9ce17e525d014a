"""Go through the objects that a model's config names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# The keys under which configs keep layers.
_LAYER_KEYS = frozenset({"layers", "layer", "forward_layer", "backward_layer", "cell", "cells"})

# What the owner of an object begins with, where it is a layer.
LAYER = "layer "
THE_MODEL = "the model"


class Checked(Protocol):
    """What is looked at of a model file."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def objects(self) -> dict[str, Any]:
        """The configs of all objects that a loader builds."""

    @property
    def unsafe_operations(self) -> Sequence[str] | None:
        """What the graphs of a SavedModel do besides computing; None for other files."""


class Item(NamedTuple):
    """A dict of a config.

    Attributes:
        value: The dict.
        owner: The layer it belongs to, such as "layer 'dense'", or "the model".
        is_layer: Whether it is a layer itself.
    """

    value: dict[str, Any]
    owner: str
    is_layer: bool


def walk_objects(config: dict[str, Any]) -> Iterator[Item]:
    """Yield every dict of a config, each before those in it."""
    # Loaded with compile=False, the model's own compile_config is never looked at; those of
    # nested models are.
    root = {key: value for key, value in config.items() if key != "compile_config"}
    pending: list[tuple[Any, str, bool]] = [(root, THE_MODEL, True)]
    while pending:
        value, owner, is_layer = pending.pop()
        if isinstance(value, list):
            pending.extend((item, owner, is_layer) for item in reversed(value))
        elif isinstance(value, dict):
            is_layer = is_layer and "class_name" in value
            if is_layer and value is not root:
                owner = _name_layer(value) or owner
            yield Item(value, owner, is_layer)
            # A Sequential before Keras 2.2 has a list of layers for its config.
            for key, item in reversed(value.items()):
                holds_layers = key in _LAYER_KEYS or (
                    is_layer and key == "config" and isinstance(item, list)
                )
                pending.append((item, owner, holds_layers))


def list_registered_names(model_file: Checked) -> set[str]:
    """List the names by which a loader looks up the custom objects of a model.

    Args:
        model_file: The file.

    Returns:
        Such as "Custom>ROI" or "ROI". A loader that doesn't find one imports the module that
        the file names, so that each should be given to it as a custom object.
    """
    return {
        name
        for item in walk_objects(model_file.objects)
        if isinstance(name := find_lookup_name(item.value), str)
    }


def list_owners(model_file: Checked, name: str) -> list[str]:
    """List the layers whose configs have a name among their values, as "layer 'dense'"."""
    owners: dict[str, None] = {}
    for item in walk_objects(model_file.objects):
        if any(
            name == value or (isinstance(value, list) and name in value)
            for value in item.value.values()
        ):
            owners[item.owner] = None
    return [*owners]


def find_lookup_name(value: dict[str, Any]) -> object:
    """Give the name that the loaders look up among custom objects."""
    if value.get("class_name") == "function":
        return value.get("config")
    return value.get("registered_name") or value.get("class_name")


def strip_package(name: object) -> str | None:
    """Take the package off a registered name: "Custom>ROI" gives "ROI"; None of no text."""
    return name.rpartition(">")[2] if isinstance(name, str) else None


def is_operation(value: dict[str, Any]) -> bool:
    """Tell an operation, which HDF5 files of Keras 3 list among the layers, from a layer."""
    config = value.get("config")
    return isinstance(config, dict) and "trainable" not in config and "inbound_nodes" in value


def _name_layer(value: dict[str, Any]) -> str | None:
    config = value.get("config")
    name = value.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return f"{LAYER}{name!r}" if isinstance(name, str) else None
