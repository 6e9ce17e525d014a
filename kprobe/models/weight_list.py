"""List a model file's weights from HDF5 metadata alone, without reading a value."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from kprobe.errors import ModelError
from kprobe.hdf5 import OpenForWritingError, open_for_reading
from kprobe.models.archive import open_weights_member
from kprobe.models.file import SAVE_AGAIN
from kprobe.models.network import Network, read_network
from kprobe.models.weight_groups import OLD_CONTAINER, is_training, number_groups, read_names

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """

    weights: list[ListedWeight]
    layers: frozenset[tuple[str, ...]]


_Arrays = dict[str, tuple[tuple[int, ...], str]]


def list_weights(model_file: ModelFile, network: Network | None = None) -> WeightList:
    """List every layer's weights.

    Args:
        model_file: The file.
        network: What `read_network` gives for its config, where that was read already.

    Returns:
        The weights with their layers, shapes and dtypes, in the order of the file.

    Raises:
        ModelError: If the weights are missing or damaged.
    """
    if model_file.saved is not None:
        return _list_saved(model_file.saved)
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
        raise ModelError(
            f"{model_file.path}: its weights are truncated or damaged: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}",
            hint=SAVE_AGAIN,
        ) from None


def _list_saved(saved: SavedModel) -> WeightList:
    layers = saved.find_layers()
    weights = [
        ListedWeight(layer.path, name, shape, dtype)
        for layer in layers
        for name, (shape, dtype) in layer.weights.items()
    ]
    return WeightList(weights, frozenset(layer.path for layer in layers))


@contextmanager
def _open_weights(model_file: ModelFile) -> Iterator[Any]:
    import h5py

    if model_file.format == "h5":
        with open_for_reading(model_file.path) as file:
            # Without the group the file has a config and no weights.
            yield file.get("model_weights")
        return
    with open_weights_member(model_file.path) as stream, h5py.File(stream, "r") as file:
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

    def list_in(self, container: str) -> set[str]:
        """List those directly below a group."""
        return self._below.get(container, set())

    @cached_property
    def names(self) -> dict[str, str]:
        """The layer names that Keras 3.7 and later note, by group; 0.1 s for 770 of them."""
        found = {path: self._root[f"{path}/vars"].attrs.get("name") for path in self._paths}
        return {path: name for path, name in found.items() if isinstance(name, str)}


def _list_by_name(group: Any, network: Network | None) -> WeightList:
    """List the weights of an HDF5 model file, where groups and arrays bear the layers' names."""
    if group is None:
        return WeightList([], frozenset())
    arrays, _ = _collect(group)
    nested = {layer.name: layer.network for layer in network.layers} if network else {}
    weights: list[ListedWeight] = []
    told: set[tuple[str, ...]] = set()
    for layer in read_names(group, "layer_names"):
        told.add((layer,))
        own = []
        for name in read_names(group[layer], "weight_names"):
            shape, dtype = arrays[f"{layer}/{name}"]
            path = _find_owner(name.split("/")[:-1], (layer,), nested.get(layer))
            own.append(ListedWeight(path, name.rpartition("/")[2], shape, dtype))
        weights.extend(own)
        inner = nested.get(layer)
        # A weight that no inner layer's name fits leaves the inner layers' counts unknown.
        if inner is not None and not any(weight.layer == (layer,) for weight in own):
            told.update(_list_paths(inner, (layer,)))
    return WeightList(weights, frozenset(told))


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
    weights: list[ListedWeight] = []
    told: set[tuple[str, ...]] = set()
    if network is None:
        _assign_named_groups(arrays, groups.names, weights, told)
        return WeightList(weights, frozenset(told))
    container = "layers" if "layers" in root else OLD_CONTAINER
    _assign_groups(network, container, (), arrays, groups, weights, told)
    return WeightList(weights, frozenset(told))


def _assign_groups(
    network: Network,
    container: str,
    path: tuple[str, ...],
    arrays: _Arrays,
    groups: _Groups,
    weights: list[ListedWeight],
    told: set[tuple[str, ...]],
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
    inside: dict[str, list[str]] = {}
    for name in arrays:
        if name.startswith(prefix):
            inside.setdefault(prefix + name[len(prefix) :].split("/")[0], []).append(name)
    for layer in layers:
        group = group_of.get(layer.name)
        if group is None:
            continue
        here = (*path, layer.name)
        told.add(here)
        nested = f"{group}/layers"
        for name in inside.get(group, []):
            if layer.network is not None and name.startswith(nested + "/"):
                continue
            label = "/".join(part for part in name[len(group) + 1 :].split("/") if part != "vars")
            weights.append(ListedWeight(here, label, *arrays[name]))
        if layer.network is not None:
            own = {name: arrays[name] for name in inside.get(group, [])}
            _assign_groups(layer.network, nested, here, own, groups, weights, told)


def _assign_named_groups(
    arrays: _Arrays, names: dict[str, str], weights: list[ListedWeight], told: set[tuple[str, ...]]
) -> None:
    """Assign a subclassed model's weights to its outermost layers that the file names."""
    outermost: list[str] = []
    for group in sorted(names):
        if is_training(group) or group.startswith("_"):
            continue
        if not any(group.startswith(other + "/") for other in outermost):
            outermost.append(group)
    for group in outermost:
        told.add((names[group],))
        for name in arrays:
            if name.startswith(group + "/"):
                label = "/".join(p for p in name[len(group) + 1 :].split("/") if p != "vars")
                weights.append(ListedWeight((names[group],), label, *arrays[name]))
