"""List a model file's weights from HDF5 metadata alone, without reading a value."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from kprobe.architecture.network import Network, read_network
from kprobe.architecture.network_names import name_by_class, name_by_group, name_by_list
from kprobe.architecture.shapes import LEAF_CLASSES
from kprobe.architecture.weight_groups import (
    OLD_CONTAINER,
    find_around,
    is_training,
    name_from_outside,
    number_groups,
    read_names,
)
from kprobe.errors import ModelError
from kprobe.gate.names.allowed import LAYER_CLASSES
from kprobe.hdf5 import OpenForWritingError, open_for_reading
from kprobe.models.checked import SAVE_AGAIN, check_unchanged
from kprobe.models.weights.archive import open_weights_member
from kprobe.naming import can_be_layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.models.file import ModelFile
    from kprobe.models.saved_model import SavedModel


@dataclass(frozen=True)
class ListedWeight:
    """One array that a model file holds.

    Attributes:
        layer: The names of the enclosing models and the layer that owns it, from the top.
        name: Its name inside that layer, e.g. "kernel:0", or "0" where the file only counts.
        shape: Its shape.
        dtype: NumPy's name of its type.
    """

    layer: tuple[str, ...]
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """How many numbers it has."""
        size = 1
        for length in self.shape:
            size *= length
        return size


@dataclass(frozen=True)
class WeightList:
    """The weights of a model file.

    Attributes:
        weights: All of them, those of a shared layer once.
        layers: The paths of the layers whose weights, or lack of weights, the file tells.
        network: The network that was given, with the names that the weights have for the layers
            that its config has none for.
        inside: The paths of the layers that no config lists, as far as the weights tell: those
            inside a layer that isn't a model, and all of a subclassed model.
        untold: The layers, or "" for the model, that have layers inside of which the file has
            neither name nor order.
    """

    weights: list[ListedWeight]
    layers: frozenset[tuple[str, ...]]
    network: Network | None = None
    inside: Sequence[tuple[str, ...]] = ()
    untold: Sequence[str] = ()


_Arrays = dict[str, tuple[tuple[int, ...], str]]


def list_weights(model_file: ModelFile, network: Network | None = None) -> WeightList:
    """List every layer's weights.

    Args:
        model_file: The file.
        network: What `read_network` gives for its config, where that was read already.

    Returns:
        The weights with their layers, shapes and dtypes, in the order of the file.

    Raises:
        UnsafeModelError: The file was changed since it was checked.
        ModelError: If the weights are missing or damaged.
    """
    if model_file.saved is not None:
        return _list_saved(model_file.saved, network)
    if model_file.format == "json":
        return WeightList([], frozenset())
    network = network or read_network(model_file.config)
    try:
        with _open_weights(model_file) as root:
            if model_file.format == "h5":
                return _list_by_name(root, network)
            return _list_by_group(root, network, model_file.keras_major)
    except (ModelError, OpenForWritingError):
        raise
    except Exception as error:  # HDF5 and zip report damage in many types
        check_unchanged(model_file.opened)
        raise ModelError(
            f"{model_file.path}: its weights are truncated or damaged: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}",
            hint=SAVE_AGAIN,
        ) from None


def _list_saved(saved: SavedModel, network: Network | None) -> WeightList:
    layers = saved.find_layers()
    weights = [
        ListedWeight(layer.path, name, shape, dtype)
        for layer in layers
        for name, (shape, dtype) in layer.weights.items()
    ]
    paths = [layer.path for layer in layers]
    network = network and name_by_class(network, [(la.path, la.class_name) for la in layers])
    return WeightList(weights, frozenset(paths), network, paths)


@contextmanager
def _open_weights(model_file: ModelFile) -> Iterator[Any]:
    import h5py

    if model_file.format == "h5":
        with open_for_reading(model_file.name, shown=model_file.path) as file:
            # Without the group the file has a config and no weights.
            yield file.get("model_weights")
        return
    with open_weights_member(model_file.opened) as stream, h5py.File(stream, "r") as file:
        yield file


def _collect(group: Any) -> tuple[_Arrays, list[str]]:
    """Collect what is below a group, in one go, since that is most of a listing's time.

    Links to other places or files are not followed: a model file has none.

    Returns:
        Shape and dtype of every dataset by its path; and the paths of the groups that have a
        `vars`, as those of layers do.
    """
    import h5py

    arrays: _Arrays = {}
    groups: list[str] = []
    spell = cache(str)  # numpy takes 10 µs each time

    def note(path: bytes, info: Any) -> None:
        if info.type == h5py.h5o.TYPE_DATASET:
            dataset = h5py.h5d.open(group.id, path)
            arrays[path.decode("utf-8", "replace")] = (dataset.shape, spell(dataset.dtype))
        elif path.endswith(b"/vars"):
            groups.append(path.decode("utf-8", "replace").removesuffix("/vars"))

    h5py.h5o.visit(group.id, note, info=True)
    return arrays, groups


class _Groups:
    """The groups of layers in a `.keras` file.

    Args:
        root: The file.
        paths: The groups that have a `vars`.
    """

    def __init__(self, root: Any, paths: list[str]) -> None:
        self._root = root
        self._below: dict[str, set[str]] = {}
        for path in paths:
            self._below.setdefault(path.rpartition("/")[0], set()).add(path)
        self._paths = paths
        self._inside: dict[str, dict[str, tuple[str, ...]]] = {}

    def list_in(self, container: str) -> set[str]:
        """List those directly below a group."""
        return self._below.get(container, set())

    @cached_property
    def names(self) -> dict[str, str]:
        """The layer names that Keras 3.7 and later note, by group; 0.1 s for 770 of them."""
        found = {path: self._root[f"{path}/vars"].attrs.get("name") for path in self._paths}
        return {path: name for path, name in found.items() if can_be_layer(name)}

    def list_below(self, group: str) -> dict[str, tuple[str, ...]]:
        """List the layers inside one by their groups: each by the names on the way to it."""
        if group not in self._inside:
            below = {
                path: name
                for path, name in self.names.items()
                if path.startswith(f"{group}/") and not is_training(path)
            }
            self._inside[group] = {path: name_from_outside(path, below) for path in below}
        return self._inside[group]

    def find_innermost(self, group: str, array: str) -> str:
        """Find the group of the innermost layer inside one that an array lies in; "" for itself."""
        return find_around(array, self.list_below(group)) or ""


def _list_by_name(group: Any, network: Network | None) -> WeightList:
    """List the weights of an HDF5 model file, where groups and arrays bear the layers' names."""
    if group is None:
        return WeightList([], frozenset(), network)
    arrays, _ = _collect(group)
    names = read_names(group, "layer_names")
    stored = {name: read_names(group[name], "weight_names") for name in names}
    network = network and name_by_list(network, names, stored)
    layers = {layer.name: layer for layer in network.layers} if network else {}
    weights: list[ListedWeight] = []
    told: set[tuple[str, ...]] = set()
    inside: dict[tuple[str, ...], None] = {}
    for name in names:
        told.add((name,))
        if network is None:
            inside[(name,)] = None
        layer = layers.get(name)
        inner = layer.network if layer else None
        own = []
        for text in stored[name]:
            shape, dtype = arrays[f"{name}/{text}"]
            *scopes, last = text.split("/")
            path = _find_owner(scopes, (name,), inner)
            if inner is None and not (layer and layer.class_name in LEAF_CLASSES):
                # Of a subclassed model, Keras 3 puts its own name in front.
                path = (name, *scopes[scopes.index(name) + 1 :]) if name in scopes else path
                inside |= {path[: k + 2]: None for k in range(len(path) - 1)}
            own.append(ListedWeight(path, last, shape, dtype))
        weights.extend(own)
        # A weight that no inner layer's name fits leaves the inner layers' counts unknown.
        if inner is not None and not any(weight.layer == (name,) for weight in own):
            told.update(_list_paths(inner, (name,)))
    return WeightList(weights, frozenset(told | {*inside}), network, [*inside])


def _find_owner(
    scopes: list[str], path: tuple[str, ...], network: Network | None
) -> tuple[str, ...]:
    """Descend from a layer to the nested layer that a weight's scopes name."""
    if network is None:
        return path
    inner = {layer.name: layer.network for layer in network.layers}
    for position, scope in enumerate(scopes):
        if scope in inner:
            return _find_owner(scopes[position + 1 :], (*path, scope), inner[scope])
    return path


def _list_paths(network: Network, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for layer in network.layers:
        yield (*path, layer.name)
        if layer.network is not None:
            yield from _list_paths(layer.network, (*path, layer.name))


def _list_by_group(root: Any, network: Network | None, keras_major: int) -> WeightList:
    """List the weights of a `.keras` file, where groups are numbered by class."""
    arrays, paths = _collect(root)
    groups = _Groups(root, paths if keras_major >= 3 else [])
    paths = [path for path in paths if path]
    weights: list[ListedWeight] = []
    told: set[tuple[str, ...]] = set()
    if network is None:
        inside = _assign_named_groups(arrays, groups.names, weights)
        untold = [] if groups.names or all(is_training(path) for path in paths) else [""]
        return WeightList(weights, frozenset(inside), None, inside, untold)
    container = "layers" if "layers" in root else OLD_CONTAINER
    if not network.is_certain:
        network = name_by_group(network, groups.names, container)
    found: dict[tuple[str, ...], None] = {}
    _assign_groups(network, container, (), arrays, groups, weights, told, found)
    untold = [] if groups.names else _find_untold(network, container, paths)
    return WeightList(weights, frozenset(told | {*found}), network, [*found], untold)


def _find_untold(network: Network, container: str, paths: list[str]) -> list[str]:
    """Find the custom layers that have layers inside, in a file that has no names."""
    layers = [layer for layer in network.layers if layer.in_layers]
    numbered = number_groups(layer.class_name for layer in layers)
    found = []
    for layer, number in zip(layers, numbered, strict=True):
        group = f"{container}/{number}"
        if layer.network is not None:
            found += _find_untold(layer.network, f"{group}/layers", paths)
        elif layer.class_name not in LAYER_CLASSES and any(
            path.startswith(f"{group}/") and not is_training(path) for path in paths
        ):
            found.append(layer.name)
    return found


def _assign_groups(
    network: Network,
    container: str,
    path: tuple[str, ...],
    arrays: _Arrays,
    groups: _Groups,
    weights: list[ListedWeight],
    told: set[tuple[str, ...]],
    inside: dict[tuple[str, ...], None],
) -> None:
    """Find each layer's group: by class and order, else by the noted name.

    The order is that of `_save_container_state` in keras/src/saving/saving_lib.py.
    """
    prefix = container + "/"
    layers = [layer for layer in network.layers if layer.in_layers]
    numbered = number_groups(layer.class_name for layer in layers)
    group_of = {layer.name: prefix + group for layer, group in zip(layers, numbered, strict=True)}
    there = groups.list_in(container)
    # Fewer are there where a layer is shared with another model, which holds its weights.
    if there != set(group_of.values()) and groups.names:
        group_of = {groups.names[group]: group for group in there if group in groups.names}
    in_group: dict[str, list[str]] = {}
    for name in arrays:
        if name.startswith(prefix):
            in_group.setdefault(prefix + name[len(prefix) :].split("/")[0], []).append(name)
    for layer in layers:
        group = group_of.get(layer.name)
        if group is None:
            continue
        here = (*path, layer.name)
        told.add(here)
        nested = f"{group}/layers"
        if layer.network is None:
            inside |= dict.fromkeys((*here, *inner) for inner in groups.list_below(group).values())
        for name in in_group.get(group, []):
            if layer.network is not None and name.startswith(nested + "/"):
                continue
            owner = "" if layer.network else groups.find_innermost(group, name)
            inner = groups.list_below(group)[owner] if owner else ()
            weights.append(
                ListedWeight((*here, *inner), _label(name, owner or group), *arrays[name])
            )
        if layer.network is not None:
            own = {name: arrays[name] for name in in_group.get(group, [])}
            _assign_groups(layer.network, nested, here, own, groups, weights, told, inside)


def _label(name: str, group: str) -> str:
    """Give what a weight is called in its layer's group."""
    return "/".join(part for part in name[len(group) + 1 :].split("/") if part != "vars")


def _assign_named_groups(
    arrays: _Arrays, names: dict[str, str], weights: list[ListedWeight]
) -> list[tuple[str, ...]]:
    """Assign a subclassed model's weights to the layers that the file names.

    Returns:
        The paths of all these layers.
    """
    groups = {group: name for group, name in names.items() if not is_training(group)}
    paths = {group: name_from_outside(group, groups) for group in groups}
    for name in arrays:
        owner = find_around(name, paths)
        if owner is not None and paths[owner]:
            weights.append(ListedWeight(paths[owner], _label(name, owner), *arrays[name]))
    return sorted(path for path in paths.values() if path)
