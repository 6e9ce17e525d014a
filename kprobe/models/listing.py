"""List the layers of a model file, one entry for each call, without TensorFlow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kprobe.addresses.calls import LayerCall
from kprobe.architecture.network import read_network
from kprobe.architecture.network_names import is_numbered
from kprobe.architecture.network_shapes import infer_shapes
from kprobe.architecture.shapes import LEAF_CLASSES
from kprobe.errors import ModelError
from kprobe.gate.names.allowed import LAYER_CLASSES
from kprobe.models.file import choose_signature
from kprobe.models.weights.weight_list import list_weights

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from kprobe.architecture.network import Layer, Network
    from kprobe.architecture.network_shapes import NetworkShapes
    from kprobe.architecture.shapes import Shapes
    from kprobe.models.file import ModelFile
    from kprobe.models.saved_model import SignatureTensor
    from kprobe.models.weights.weight_list import WeightList

# Models in models, each called twice, double with every level: 40 lines of config could ask for
# a listing of 10^12 lines. Real models stay under 10^4.
MAX_ENTRIES = 200_000

_NOT_BY_KERAS = "this isn't a model file that Keras wrote"

_Steps = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, kw_only=True)
class LayerEntry(LayerCall):
    """A call of a layer, as the model file describes it.

    Attributes:
        output_shape: The output's shape with the batch axis, None for a length that varies; a
            list of shapes for several outputs; None where the file doesn't tell.
        parameters: How many numbers the layer's weights have, for a nested model all those
            inside; None where the file doesn't tell. Each call of a shared layer has them.
        depth: How many models enclose it, 0 at the top.
        dtype: What an input layer takes, e.g. "float32"; None elsewhere.
        optional: Whether it is an input that the model can be called without.
        tells_inside: Whether the listing holds every layer that this one may call: it does for
            nested models and for classes known to call none.
    """

    output_shape: Shapes | None = None
    parameters: int | None = None
    depth: int = 0
    dtype: str | None = None
    optional: bool = False
    tells_inside: bool = False


def list_layers(model_file: ModelFile, *, parameters: bool = True) -> list[LayerEntry]:
    """List every call of every layer, nested models expanded below each of their calls.

    Of a subclassed model the file only tells the names of the layers that it keeps as
    attributes, at best; their `class_name` is empty but in a SavedModel.

    A signature has no layers; its inputs and outputs are listed instead.

    Args:
        model_file: The file.
        parameters: Whether to count them. That takes most of the time, and without it the
            weights aren't looked at, unless nothing else tells the layers' names.

    Returns:
        The calls in the order of the config, a layer's calls together.

    Raises:
        ModelError: If the file's weights are damaged, or the listing would have no end.
    """
    try:
        return _list_model(model_file, parameters)
    except RecursionError:
        raise ModelError(
            f"{model_file.path}: its models are nested too deeply",
            hint=_NOT_BY_KERAS,
        ) from None


def find_untold(model_file: ModelFile) -> list[str]:
    """Find what has layers inside of which a file tells neither the names nor the order.

    Returns:
        The names of such layers; "" for a subclassed model as a whole. They are known when the
        model is loaded.

    Raises:
        ModelError: The file's weights are damaged.
    """
    untold = list_weights(model_file).untold if model_file.format == "keras" else ()
    network = read_network(model_file.config)
    return list(dict.fromkeys([*untold, *(_find_fetched(network) if network else ())]))


def find_partly_told(model_file: ModelFile) -> list[str]:
    """Find what may have layers inside that a file leaves out.

    HDF5 has the weights of a layer of one's own, and no more: layers inside without any are lost.

    Returns:
        The paths of such layers. What they have inside is known when the model is loaded.
    """
    network = read_network(model_file.config) if model_file.format == "h5" else None
    return list(dict.fromkeys(_find_custom(network))) if network else []


def _find_custom(network: Network, path: tuple[str, ...] = ()) -> Iterator[str]:
    for layer in network.layers:
        if layer.network is not None:
            yield from _find_custom(layer.network, (*path, layer.name))
        elif not layer.is_operation and layer.class_name not in {"Lambda", *LAYER_CLASSES}:
            yield "/".join((*path, layer.name))


def _find_fetched(network: Network) -> Iterator[str]:
    """Find the layers that hold a model of TensorFlow Hub, whose own layers lie with that."""
    for layer in network.layers:
        if layer.network is not None:
            yield from _find_fetched(layer.network)
        elif layer.class_name == "KerasLayer" and isinstance(layer.config.get("handle"), str):
            yield layer.name


def _list_model(model_file: ModelFile, parameters: bool) -> list[LayerEntry]:
    saved = model_file.saved
    if saved is not None and not (saved.is_keras and model_file.signature is None):
        chosen = choose_signature(model_file, model_file.signature).signature
        return _list_signature(saved.signatures[chosen or ""])
    network = read_network(model_file.config)
    weights = None
    if parameters or network is None or not network.is_certain:
        weights = list_weights(model_file, network)
        network = weights.network or network
    told = _Told(weights, model_file, parameters)
    if network is None:
        return list(_list_told((), (), told))
    entries: list[LayerEntry] = []
    for entry in _list_network(network, infer_shapes(network, None, {}), (), (), told):
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise ModelError(
                f"{model_file.path}: its nested models expand to more than "
                f"{MAX_ENTRIES:,} layer calls",
                hint=_NOT_BY_KERAS,
            )
    return entries


def _list_signature(tensors: Sequence[SignatureTensor]) -> list[LayerEntry]:
    """List the inputs and outputs of a signature as the calls that they are in its trace."""
    totals = Counter(tensor.name for tensor in tensors)
    return [
        LayerEntry(
            # An output called as an input is another call of that name.
            steps=((tensor.name, int(not tensor.is_input) if totals[tensor.name] > 1 else None),),
            class_name=tensor.class_name,
            output_shape=tensor.shape,
            is_input=tensor.is_input,
            dtype=tensor.dtype if tensor.is_input else None,
            tells_inside=tensor.is_input,
        )
        for tensor in tensors
    ]


class _Told:
    """What the weights of a file tell of its layers, by their paths of names.

    Args:
        weights: The weights; None where they weren't looked at.
        model_file: The file.
        parameters: Whether parameters are counted.
    """

    def __init__(self, weights: WeightList | None, model_file: ModelFile, parameters: bool) -> None:
        self.by_step = model_file.keras_major >= 3
        saved = model_file.saved.find_layers() if model_file.saved is not None else []
        self.classes = {layer.path: layer.class_name for layer in saved}
        self.counts = weights is not None and parameters
        self._told = weights.layers if weights is not None and parameters else frozenset()
        self._inside: dict[tuple[str, ...], Counter[str]] = {}
        for path in weights.inside if weights is not None else ():
            self._inside.setdefault(path[:-1], Counter())[path[-1]] += 1
        self._totals: dict[tuple[str, ...], int] = {}
        for weight in weights.weights if weights is not None else ():
            for depth in range(1, len(weight.layer) + 1):
                path = weight.layer[:depth]
                self._totals[path] = self._totals.get(path, 0) + weight.size

    def count(self, path: tuple[str, ...]) -> int | None:
        """Count the parameters of a layer; None where the file doesn't tell."""
        return self._totals.get(path, 0) if path in self._told else None

    def list_inside(self, path: tuple[str, ...]) -> list[str]:
        """List the names of the layers right inside one that isn't a model."""
        return [*self._inside.get(path, ())]

    def number_namesakes(self, path: tuple[str, ...]) -> Sequence[int | None]:
        """Number the layers that have a path together; None for the only one."""
        count = self._inside[path[:-1]][path[-1]]
        return range(count) if count > 1 else [None]


def _list_network(
    network: Network,
    shapes: NetworkShapes,
    steps: _Steps,
    path: tuple[str, ...],
    told: _Told,
) -> Iterator[LayerEntry]:
    position = 0
    for layer in network.layers:
        here = (*path, layer.name)
        for call in range(len(layer.calls)):
            number = call if len(layer.calls) > 1 else None
            now = (*steps, (layer.name, number))
            shape = shapes.calls.get((layer.name, call))
            place = position if layer.in_layers and not steps else None
            yield _make_entry(layer, now, here, told, position=place, output_shape=shape)
            if layer.network is not None:
                inner = shapes.inner[layer.name, call]
                yield from _list_network(layer.network, inner, now, here, told)
            else:
                yield from _list_below(layer, shape, now, here, told)
        position += layer.in_layers


def _make_entry(
    layer: Layer, now: _Steps, here: tuple[str, ...], told: _Told, **known: Any
) -> LayerEntry:
    return LayerEntry(
        steps=now,
        class_name=layer.class_name,
        # An operation has none.
        parameters=told.count(here) if layer.in_layers else 0 if told.counts else None,
        depth=len(now) - 1,
        is_input=layer.is_input,
        dtype=_read_dtype(layer.config) if layer.is_input and not layer.is_implied else None,
        optional=layer.is_input and bool(layer.config.get("optional")),
        tells_inside=layer.network is not None
        or layer.is_input
        or layer.is_operation
        or layer.class_name in LEAF_CLASSES,
        **known,
    )


def _list_below(
    layer: Layer, shape: Shapes | None, steps: _Steps, path: tuple[str, ...], told: _Told
) -> Iterator[LayerEntry]:
    """List the layers inside one that isn't a model: those of its config, then all others told."""
    names = told.list_inside(path)
    known = {inner.name for inner in layer.wrapped if inner.is_named}
    wrapped = []
    for inner in layer.wrapped:
        # The weights may have a name where the config has none, or a number more.
        fitting = [name for name in names if name not in known and is_numbered(name, inner)]
        alone = len(layer.wrapped) == 1 and len(names) == 1
        if not inner.is_named and (fitting or alone):
            inner = replace(inner, name=(fitting or names)[0])
        wrapped.append(inner)
    for inner in wrapped:
        here = (*path, inner.name)
        for number in _count_steps(layer, shape, told):
            now = (*steps, (inner.name, number))
            yield _make_entry(inner, now, here, told)
            if inner.network is not None:
                shapes = infer_shapes(inner.network, None, {})
                yield from _list_network(inner.network, shapes, now, here, told)
            else:
                yield from _list_below(inner, None, now, here, told)
    yield from _list_told(steps, path, told, {inner.name for inner in wrapped})


def _count_steps(layer: Layer, shape: Shapes | None, told: _Told) -> Sequence[int | None]:
    """Number the calls that a wrapper makes of its layer, each time that it is called itself.

    Keras 3's `TimeDistributed` calls it for each step, where it knows how many there are.
    """
    steps = shape[1] if isinstance(shape, tuple) and len(shape) > 1 else None
    if layer.class_name == "TimeDistributed" and told.by_step and steps is not None and steps > 1:
        return range(steps)
    return [None]


def _list_told(
    steps: _Steps, path: tuple[str, ...], told: _Told, but: Collection[str] = ()
) -> Iterator[LayerEntry]:
    """List the layers that only the weights tell of, each once: they don't tell of its calls."""
    for name in told.list_inside(path):
        if name in but:
            continue
        here = (*path, name)
        numbers = told.number_namesakes(here)
        for number in numbers:
            now = (*steps, (name, number))
            yield LayerEntry(
                steps=now,
                class_name=told.classes.get(here, ""),
                parameters=told.count(here) if len(numbers) == 1 else None,
                depth=len(steps),
            )
            yield from _list_told(now, here, told)


def _read_dtype(config: dict[str, Any]) -> str:
    dtype = config.get("dtype") or "float32"
    # Some versions write a dtype as a policy.
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return str(name)
