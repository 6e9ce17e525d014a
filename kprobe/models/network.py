"""The layers of a model's config and the calls between them, in one form for every Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape: TypeAlias = tuple[int | None, ...]


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
        mentions: Every tensor its calls refer to.
        build_shape: The shape it was built for, where that says more than the calls do.
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
    mentions: list[TensorRef]
    build_shape: Shape | None


@dataclass(frozen=True)
class Network:
    """A model whose config lists its layers.

    Attributes:
        layers: In the order of the config.
        outputs: The tensors it returns; empty for a Sequential, whose last layer's it is.
        sequential: True if each layer's input is the output of the one before.
        build_shape: The input shape a Sequential was built for, where its config says it.
    """

    layers: list[Layer]
    outputs: list[TensorRef]
    sequential: bool
    build_shape: Shape | None


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
        layers = [
            layer
            for item in config["layers"]
            if (layer := _read_layer(item, sequential=False)) is not None
        ]
        return Network(layers, list(_find_refs(config["output_layers"])), False, None)
    # A Keras 3 `Pipeline` layer has `layers` as well, but isn't a model.
    if entry.get("class_name") in ("Sequential", "Functional", "Model") or (
        "build_input_shape" in config
    ):
        return _read_sequential(config["layers"], config)
    return None


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
    layers = [layer for item in items if (layer := _read_layer(item, sequential=True)) is not None]
    return Network(layers, [], True, read_shape(config.get("build_input_shape")))


def _read_layer(item: object, *, sequential: bool) -> Layer | None:
    if not isinstance(item, dict):
        return None
    inner = item.get("config")
    config: dict[str, Any] = inner if isinstance(inner, dict) else {}
    name = item.get("name") or config.get("name")
    class_name = item.get("class_name")
    if not isinstance(name, str) or not isinstance(class_name, str):
        return None
    class_name = class_name.rpartition(">")[2]
    is_input = class_name == "InputLayer"
    is_operation = _is_operation(item, config)
    network = read_network(item)
    nodes = item.get("inbound_nodes")
    nodes = nodes if isinstance(nodes, list) else []
    build = item.get("build_config")
    return Layer(
        name=name,
        class_name=class_name,
        config=config,
        calls=[_read_inputs(node) for node in nodes] or [[]],
        network=network,
        is_input=is_input,
        is_operation=is_operation,
        # A Sequential keeps its input layer to itself.
        in_layers=not is_operation and not (sequential and is_input),
        node_offset=_count_own_nodes(network),
        mentions=[ref for node in nodes for ref in _find_refs(node)],
        build_shape=read_shape(build.get("input_shape")) if isinstance(build, dict) else None,
    )


def _is_operation(item: dict[str, Any], config: dict[str, Any]) -> bool:
    module = item.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    # HDF5 files of Keras 3 leave the module out; only layers say whether they are trainable.
    return (
        "trainable" not in config
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
        return list(_find_refs(arguments[0])) if arguments else []
    return list(_find_refs(node, keywords=False))


def _find_refs(value: object, *, keywords: bool = True) -> Iterator[TensorRef]:
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
            yield from _find_refs(item, keywords=keywords)
    elif isinstance(value, list | tuple):
        if _is_ref(value):
            yield TensorRef(*value[:3])
            if keywords and len(value) == 4:
                yield from _find_refs(value[3])
            return
        for item in value:
            yield from _find_refs(item, keywords=keywords)


def _is_ref(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
        and value[1] >= 0  # a constant of Keras 2 is ["_CONSTANT_VALUE", -1, value]
    )
