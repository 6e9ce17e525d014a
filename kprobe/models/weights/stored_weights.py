"""Read the arrays of a weights file, whichever of Keras's layouts it has, without TensorFlow."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from kprobe.architecture.network import read_network
from kprobe.architecture.weight_groups import (
    OLD_CONTAINER,
    Tree,
    is_training,
    name_from_outside,
    name_places,
    read_names,
)
from kprobe.errors import Hint, ModelError, Setting
from kprobe.gate.opened import OpenedFile
from kprobe.hdf5 import OpenForWritingError, open_for_reading
from kprobe.models.file import DUMP_FORMAT, ModelFile, read_opened
from kprobe.models.weights.archive import open_weights_member
from kprobe.models.weights.weights_file import START_BYTES, WeightsFile, open_weights_file
from kprobe.naming import can_be_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kprobe.architecture.network import Network
    from kprobe.models.spec import ModelSpec

Shape: TypeAlias = tuple[int, ...]

_ZIP = b"PK\x03\x04"


_Given = ParamSpec("_Given")
_Read = TypeVar("_Read")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell what goes wrong while a file is read. Only that: no other code may run inside."""
    try:
        yield
    except (ModelError, OpenForWritingError):
        raise
    except Exception as error:  # HDF5 and zip report damage in many types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path}: its weights are truncated or damaged: {reason}",
            hint="copy or save the file again",
        ) from None


def _reads(
    method: Callable[Concatenate[StoredWeights, _Given], _Read],
) -> Callable[Concatenate[StoredWeights, _Given], _Read]:
    """Let a method that reads from the file report its damage."""

    @wraps(method)
    def read(self: StoredWeights, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Read:
        with _reading(self.path):
            return method(self, *args, **kwargs)

    return read


@dataclass(frozen=True)
class StoredWeights:
    """An open weights file.

    Attributes:
        opened: The file, open.
        root: The group that holds the weights.
        shards: The groups that hold the rest of them, where they are in several files.
        by_layer: Whether its groups bear the layers' names, as Keras's old HDF5 has it; else
            they lie where the layers lie in the model, as in `.keras` and `.weights.h5`.
    """

    opened: OpenedFile
    root: Any
    by_layer: bool
    shards: Sequence[Any] = ()

    @property
    def path(self) -> Path:
        """The file, as the user named it."""
        return self.opened.path

    @property
    def version(self) -> str:
        """The Keras that wrote the old layout, "1" where it doesn't say."""
        return _text(self.root.attrs.get("keras_version", "1"))

    @property
    def backend(self) -> str | None:
        """What that Keras computed with, where it says."""
        value = self.root.attrs.get("backend")
        return None if value is None else _text(value)

    @_reads
    def list_layers(self) -> dict[str, list[str]]:
        """List the arrays of each layer that has any, in their order; of the old layout."""
        layers = {}
        for layer in read_names(self.root, "layer_names"):
            names = read_names(self.root[layer], "weight_names")
            if names:
                layers[layer] = [f"{layer}/{name}" for name in names]
        return layers

    @_reads
    def list_top_level(self) -> list[str]:
        """List the arrays that belong to no layer, but to the model; of the old layout."""
        group = "top_level_model_weights"
        if group not in self.root:
            return []
        return [f"{group}/{name}" for name in read_names(self.root[group], "weight_names")]

    @cached_property
    @_reads
    def groups(self) -> dict[str, dict[str, Shape]]:
        """The shape of each array by its key, by the place in the model; of the new layout."""
        import h5py

        found: dict[str, dict[str, Shape]] = {}

        def note(root: Any, name: bytes, info: Any) -> None:
            place, vars_, key = f"/{name.decode()}".rpartition("/vars/")
            place = self._as_new(place.removeprefix("/"))
            if info.type == h5py.h5o.TYPE_DATASET and vars_ and not is_training(place):
                found.setdefault(place, {})[key] = h5py.h5d.open(root.id, name).shape

        for root in (self.root, *self.shards):
            # Links to other places or files aren't followed: Keras makes none.
            h5py.h5o.visit(root.id, partial(note, root), info=True)
        return found

    @_reads
    def find_names(self) -> dict[str, tuple[str, ...]]:
        """Give the layers' names, from the outermost inwards, by place in the model.

        Keras 3.7 and later note them; of an older `.keras` file the config tells them.
        """
        noted: dict[str, str] = {}

        def note(name: str, item: Any) -> None:
            if name.endswith("/vars") and can_be_layer(item.attrs.get("name")):
                noted[self._as_new(name.removesuffix("/vars"))] = item.attrs["name"]

        for root in (self.root, *self.shards):
            root.visititems(note)
        if noted:
            return {place: name_from_outside(place, noted) for place in noted}
        try:
            start = self.opened.read(START_BYTES)
            network = read_network(read_opened(self.opened, start).config)
        except ModelError:  # it holds weights only
            return {}
        return name_places(_list_tree(network)) if network else {}

    @_reads
    def read(self, name: str) -> npt.NDArray[Any]:
        """Read one array.

        Raises:
            ModelError: It is damaged, or isn't in the file itself.
        """
        import numpy as np

        root = next((r for r in (self.root, *self.shards) if name in r), self.root)
        dataset = root[name]
        if dataset.external is not None or dataset.is_virtual or dataset.file != root.file:
            raise ModelError(f"{self.path}: {name} lies in another file, which Keras doesn't do")
        if dataset.attrs.get("dtype") == "bfloat16":
            import ml_dtypes

            return np.array(dataset, dtype=ml_dtypes.bfloat16)
        return np.asarray(dataset)

    @_reads
    def outline(self, name: str) -> npt.NDArray[Any]:
        """Give an array of zeros of the shape and dtype of a stored one, without its memory."""
        import numpy as np

        dataset = self.root[name]
        return np.broadcast_to(np.zeros((), dataset.dtype), dataset.shape)

    def read_place(self, place: str) -> dict[str, npt.NDArray[Any]]:
        """Read the arrays of a place by their keys; of the new layout."""
        if place not in self.groups:
            return {}
        own = place.replace("layers", OLD_CONTAINER) if self._is_old else place
        prefix = f"{own}/vars" if own else "vars"
        return {key: self.read(f"{prefix}/{key}") for key in self.groups[place]}

    @cached_property
    def _is_old(self) -> bool:
        return any(OLD_CONTAINER in root for root in (self.root, *self.shards))

    def _as_new(self, place: str) -> str:
        return place.replace(OLD_CONTAINER, "layers")


@contextmanager
def open_weights(file: WeightsFile) -> Iterator[StoredWeights]:
    """Open the weights in a `.keras`, `.weights.h5` or old HDF5 file; the content decides which.

    Args:
        file: A weights file, or the file of a whole model, but no checkpoint; it was checked.

    Raises:
        ModelError: It is damaged, or holds no weights.
    """
    opened = file.opened
    if not isinstance(opened, OpenedFile):
        raise TypeError("a checkpoint isn't read by h5py")
    with ExitStack() as stack:
        with _reading(opened.path):
            start = opened.read(START_BYTES)
            if file.shards:
                roots = [stack.enter_context(_open_group(part)) for part in file.shards]
                weights = StoredWeights(opened, roots[0], by_layer=False, shards=roots[1:])
            else:
                root = stack.enter_context(_open_hdf5(opened, start))
                weights = _find_weights(opened, start, root)
        # What the block raises is its own.
        yield weights


@contextmanager
def _open_hdf5(opened: OpenedFile, start: bytes) -> Iterator[Any]:
    import h5py

    if start.startswith(_ZIP):
        with open_weights_member(opened) as stream, h5py.File(stream, "r") as file:
            yield file
    elif h5py.is_hdf5(opened.name):
        with _open_group(opened) as file:
            yield file
    else:
        raise ModelError(
            f"{opened.path} holds no weights: neither HDF5 nor a .keras archive",
            hint="give what `save_weights('w.weights.h5')` or `save('model.keras')` wrote, or a "
            "checkpoint of TensorFlow",
        )


def _open_group(opened: OpenedFile) -> Any:
    return open_for_reading(opened.name, shown=opened.path)


def _find_weights(opened: OpenedFile, start: bytes, root: Any) -> StoredWeights:
    if root.attrs.get("format") == DUMP_FORMAT:
        raise ModelError(
            f"{opened.path} is a dump of activations that kprobe wrote: it holds no weights"
        )
    named = {"layer_names", "layer_names0"}
    if named & set(root.attrs):
        return StoredWeights(opened, root, by_layer=True)
    if "model_weights" in root:
        return StoredWeights(opened, root["model_weights"], by_layer=True)
    weights = StoredWeights(opened, root, by_layer=False)
    # A model may well have been saved before it had any.
    if not weights.groups and not start.startswith(_ZIP):
        raise ModelError(f"{opened.path} holds no weights")
    return weights


def check_weights(source: object, spec: ModelSpec) -> WeightsFile | None:
    """Check that there are weights for a model, as far as files tell.

    Args:
        source: Where the model comes from.
        spec: Which model was asked for, and which weights.

    Returns:
        The weights that are given by themselves, open; None where none are.

    Raises:
        UnsafeModelError: The file of the weights breaks a rule of the gate.
        ModelError: It can't be read; or there is none, the model's file has an architecture
            alone, and random weights weren't asked for.
    """
    if spec.weights is not None:
        allow = None if spec.unsafe else spec.allowed
        file = open_weights_file(spec.weights, allow=allow, max_model_bytes=spec.max_model_bytes)
        if isinstance(file.opened, OpenedFile):
            with open_weights(file):
                pass
        return file
    if isinstance(source, ModelFile) and not spec.random_weights and not holds_weights(source):
        raise ModelError(
            f"{source.path} holds an architecture without weights",
            hint=Hint(
                "give them with ",
                Setting("weights", "FILE"),
                "; ",
                Setting("random_weights", True),
                " takes random ones",
            ),
        )
    return None


def holds_weights(model_file: ModelFile) -> bool:
    """Tell whether a model file has weights beside its architecture."""
    if model_file.format == "json":
        return False
    if model_file.format != "h5":
        return True

    with open_for_reading(model_file.name, shown=model_file.path) as file:
        return "model_weights" in file


def _list_tree(network: Network) -> Tree:
    return [
        (layer.name, layer.class_name, _list_tree(layer.network) if layer.network else None)
        for layer in network.layers
        if layer.in_layers
    ]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
