"""The layers of a model's config and the calls between them, in one form for every Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from kprobe.architecture.weight_groups import to_snake_case

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape: TypeAlias = tuple[int | None, ...]

# Where Keras's own wrappers keep the configs of the layers that they call.
_WRAPPING = {
    "Bidirectional": ("layer", "backward_layer"),
    "RNN": ("cell",),
    "SpectralNormalization": ("layer",),
    "StackedRNNCells": ("cells",),
    "TimeDistributed": ("layer",),
}
# The layers that Keras's own make themselves, of which no config says anything. One without a name
# is called after its class, see `kprobe.models.layer_names`.
_MADE: dict[str, tuple[tuple[str | None, str], ...]] = {
    "ConvLSTM1D": ((None, "ConvLSTMCell"),),
    "ConvLSTM2D": ((None, "ConvLSTMCell"),),
    "ConvLSTM3D": ((None, "ConvLSTMCell"),),
    "GRU": ((None, "GRUCell"),),
    "LSTM": ((None, "LSTMCell"),),
    "SimpleRNN": ((None, "SimpleRNNCell"),),
    "MultiHeadAttention": (
        ("query", "EinsumDense"),
        ("key", "EinsumDense"),
        ("value", "EinsumDense"),
        ("gate", "EinsumDense"),
        (None, "Softmax"),
        (None, "Dropout"),
        ("attention_output", "EinsumDense"),
    ),
}


@dataclass(frozen=True)
class TensorRef:
    """One output of one call.

    Attributes:
        layer: The layer's name.
        node: The call as its config counts it; nested models may count from 1.
        tensor: Which of the call's outputs.
        shape: Its shape with the batch axis, where the config says it (Keras 3).
    """

    layer: str
    node: int
    tensor: int
    shape: Shape | None = None


@dataclass(frozen=True)
class Layer:
    """One layer or operation of a network.

    Attributes:
        name: Its name.
        class_name: Its class.
        config: Its own config; empty where it has none.
        calls: The inputs of each call, in order. A call's inputs are the tensors of its first
            argument. One call without inputs for input layers and layers of a Sequential.
        network: The layers inside, if it is a nested model.
        is_input: True for input layers.
        is_operation: True for what Keras 3 lists beside layers, e.g. `x + 1`.
        in_layers: True if `model.layers` of the enclosing model has it.
        node_offset: What its config counts its first call as, in Keras 2.
        nodes: Each call as the config has it, with all arguments.
        mentions: Every tensor its calls refer to.
        build_shape: The shape it was built for, where that says more than the calls do.
        is_named: Whether the config has a name for it; else `name` is its place, such as "at:0".
        wrapped: The layers that it calls, as far as its config has them: for wrappers.
        has_module: Whether the config says what module its class is of.
        is_implied: Whether it is an input that the config doesn't list; its dtype isn't known.
        shared: What Keras numbers it as, where it stands in several places of a config.
        is_own: Whether its class is Keras's own, rather than one of the user's of that name.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    calls: list[list[TensorRef]]
    network: Network | None
    is_input: bool
    is_operation: bool
    in_layers: bool
    node_offset: int
    nodes: list[Any]
    mentions: list[TensorRef]
    build_shape: Shape | None
    is_named: bool = True
    wrapped: tuple[Layer, ...] = ()
    has_module: bool = True
    is_implied: bool = False
    shared: int | None = None
    is_own: bool = True


@dataclass(frozen=True)
class Network:
    """A model whose config lists its layers.

    Attributes:
        layers: In the order of the config.
        outputs: The tensors it returns; empty for a Sequential, whose last layer's it is.
        sequential: True if each layer's input is the output of the one before.
        build_shape: The input shape a Sequential was built for, where its config says it.
        inputs: The tensors that it is called on; empty for a Sequential.
    """

    layers: list[Layer]
    outputs: list[TensorRef]
    sequential: bool
    build_shape: Shape | None
    inputs: tuple[TensorRef, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether the config names every layer, and tells it from an operation."""
        return all(
            layer.is_named
            and not (layer.is_operation and "name" in layer.config and not layer.has_module)
            and (layer.network is None or layer.network.is_certain)
            for layer in self.layers
        )


def read_network(entry: dict[str, Any]) -> Network | None:
    """Read a model's layers from its config.

    Args:
        entry: A serialized model: `class_name`, `config` and so on.

    Returns:
        Its layers; None if this is a plain layer, or a subclassed model, whose config has none.
    """
    config = entry.get("config")
    if isinstance(config, list):  # Sequential before Keras 2.2
        return _read_sequential(config, {})
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return None
    if "input_layers" in config and "output_layers" in config:
        layers = _read_layers(config["layers"], sequential=False)
        outputs, inputs = list(find_refs(config["output_layers"])), config["input_layers"]
        return Network(layers, outputs, False, None, tuple(find_refs(inputs)))
    # A Keras 3 `Pipeline` layer has `layers` as well, but isn't a model.
    if entry.get("class_name") in ("Sequential", "Functional", "Model") or (
        "build_input_shape" in config
    ):
        return _read_sequential(config["layers"], config)
    return None


def count_layers(network: Network) -> int:
    """Count layers, those in nested models, too."""
    count, pending = 0, [network]
    while pending:
        layers = pending.pop().layers
        count += len(layers)
        pending += [layer.network for layer in layers if layer.network is not None]
    return count


def is_own_class(item: dict[str, Any]) -> bool:
    """Tell whether a class is Keras's own: what is registered under its name, isn't."""
    module = item.get("module")
    if isinstance(module, str):
        return module.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
    return ">" not in str(item.get("class_name"))


def read_layer(item: object) -> Layer | None:
    """Read a layer by itself from its config; None if it isn't one."""
    return _read_layer(item, "", sequential=False)


def read_shape(value: object) -> Shape | None:
    """Read a shape from any of the forms configs have; None if it isn't one."""
    if isinstance(value, dict) and value.get("class_name") in ("TensorShape", "__tuple__"):
        value = value.get("items")
    if not isinstance(value, list | tuple):
        return None
    if not all(
        size is None or (isinstance(size, int) and not isinstance(size, bool)) for size in value
    ):
        return None
    return tuple(value)


def _read_sequential(items: list[Any], config: dict[str, Any]) -> Network:
    layers = _read_layers(items, sequential=True)
    if layers and "batch_input_shape" in layers[0].config and not layers[0].is_input:
        layers.insert(0, _imply_input(layers[0]))
    return Network(layers, [], True, read_shape(config.get("build_input_shape")))


def _imply_input(first: Layer) -> Layer:
    """Give the input that tf_keras makes of what the first layer of a Sequential takes."""
    return Layer(
        name=f"{first.name}_input",
        class_name="InputLayer",
        config={"batch_shape": first.config["batch_input_shape"]},
        calls=[[]],
        network=None,
        is_input=True,
        is_operation=False,
        in_layers=False,
        node_offset=0,
        nodes=[],
        mentions=[],
        build_shape=None,
        is_implied=True,
    )


def _read_layers(items: list[Any], *, sequential: bool) -> list[Layer]:
    """Read the layers of a model; one without a name is called after its place among them."""
    layers: list[Layer] = []
    place = 0
    for item in items:
        layer = _read_layer(item, f"at:{place}", sequential=sequential)
        if layer is not None:
            layers.append(layer)
            place += layer.in_layers
    return layers


def _read_layer(item: object, place: str, *, sequential: bool) -> Layer | None:
    if not isinstance(item, dict):
        return None
    inner = item.get("config")
    config: dict[str, Any] = inner if isinstance(inner, dict) else {}
    name = item.get("name") or config.get("name")
    class_name = item.get("class_name")
    if not isinstance(class_name, str):
        return None
    class_name = class_name.rpartition(">")[2]
    is_input = class_name == "InputLayer"
    is_named = isinstance(name, str)
    is_operation = _is_operation(item, config)
    network = read_network(item)
    nodes = item.get("inbound_nodes")
    nodes = nodes if isinstance(nodes, list) else []
    build = item.get("build_config")
    return Layer(
        name=str(name) if is_named else place,
        class_name=class_name,
        config=config,
        calls=[_read_inputs(node) for node in nodes] or [[]],
        network=network,
        is_input=is_input,
        is_operation=is_operation,
        # A Sequential keeps its input layer to itself.
        in_layers=not is_operation and not (sequential and is_input),
        node_offset=_count_own_nodes(network),
        nodes=nodes,
        mentions=[ref for node in nodes for ref in find_refs(node)],
        build_shape=read_shape(build.get("input_shape")) if isinstance(build, dict) else None,
        is_named=is_named,
        has_module=isinstance(item.get("module"), str),
        wrapped=() if network is not None else tuple(_read_wrapped(class_name, config)),
        shared=shared if type(shared := item.get("shared_object_id")) is int else None,
        is_own=is_own_class(item),
    )


def _read_wrapped(class_name: str, config: dict[str, Any]) -> Iterator[Layer]:
    """Read the layers that one of Keras's wrappers calls from its config."""
    keys = _WRAPPING.get(class_name, ())
    items = [value for key in keys for value in _as_list(config.get(key))]
    items += [
        {"class_name": kind, "name": name, "config": {}}
        for name, kind in _MADE.get(class_name, ())
        if name != "gate" or config.get("use_gate")
    ]
    named = _name_both_ways if class_name == "Bidirectional" else list
    for item in named(items):
        layer = _read_layer(item, "", sequential=False)
        if layer is None:
            continue
        # The only one of its class, as kprobe calls it where the file has no name for it.
        yield layer if layer.is_named else replace(layer, name=to_snake_case(layer.class_name))


def _name_both_ways(items: list[Any]) -> list[Any]:
    """Name the layers of a `Bidirectional` as it does itself; none that the config doesn't name."""
    config = items[0].get("config") if items and isinstance(items[0], dict) else None
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        return []
    name = config["name"]
    both = [
        {**items[0], "config": {**config, "name": way + name.removeprefix(way)}}
        for way in ("forward_", "backward_")
    ]
    return [both[0], *(items[1:] or both[1:])]


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_operation(item: dict[str, Any], config: dict[str, Any]) -> bool:
    module = item.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    # HDF5 files of Keras 3 leave the module out; only layers say whether they are trainable, but
    # custom ones may not.
    return (
        "trainable" not in config
        and "name" in config
        and item.get("class_name") != "InputLayer"
        and any(isinstance(node, dict) and "args" in node for node in item.get("inbound_nodes", []))
        and "layers" not in config
    )


def _count_own_nodes(network: Network | None) -> int:
    """Count the calls that Keras 2 made while it built a nested model itself.

    See `_should_skip_first_node` in tf_keras/src/engine/functional.py.
    """
    return 1 if network is not None and network.layers and network.layers[0].is_input else 0


def _read_inputs(node: object) -> list[TensorRef]:
    """Read the tensors of a call's first argument."""
    if isinstance(node, dict) and isinstance(node.get("args"), list):
        arguments = node["args"] or list((node.get("kwargs") or {}).values())
        return list(find_refs(arguments[0])) if arguments else []
    return list(find_refs(node, keywords=False))


def find_refs(value: object, *, keywords: bool = True) -> Iterator[TensorRef]:
    """Find the tensors in any structure of arguments, of any Keras.

    Args:
        value: A `__keras_tensor__` (Keras 3), `[layer, node, tensor]` or `[layer, node, tensor,
            keyword arguments]` (Keras 2), or lists and dicts of such.
        keywords: False leaves out the tensors among Keras 2's keyword arguments.

    Yields:
        The tensors in order.
    """
    if isinstance(value, dict):
        inner = value.get("config")
        if value.get("class_name") == "__keras_tensor__" and isinstance(inner, dict):
            history: Any = inner.get("keras_history")
            if _is_ref(history):
                layer, node, tensor = history[:3]
                yield TensorRef(layer, node, tensor, read_shape(inner.get("shape")))
            return
        for item in value.values():
            yield from find_refs(item, keywords=keywords)
    elif isinstance(value, list | tuple):
        if _is_ref(value):
            yield TensorRef(*value[:3])
            if keywords and len(value) == 4:
                yield from find_refs(value[3])
            return
        for item in value:
            yield from find_refs(item, keywords=keywords)


def _is_ref(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
        and value[1] >= 0  # a constant of Keras 2 is ["_CONSTANT_VALUE", -1, value]
    )
