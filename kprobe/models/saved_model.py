"""Read what a SavedModel directory says about itself, without TensorFlow and its weights."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from kprobe.errors import ModelError
from kprobe.gate.graphs.operations import find_unsafe_operations
from kprobe.gate.graphs.saved_model import MAX_GRAPH_BYTES
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.graphs.slim_graph import parse_slim
from kprobe.gate.graphs.wire import BrokenMessageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kprobe.gate.opened_directory import OpenedDirectory

# The names of TensorFlow's DataType (tensorflow/core/framework/types.proto).
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_MODELS = {"_tf_keras_model", "_tf_keras_network", "_tf_keras_sequential"}
_LAYER = re.compile(r"_tf_keras_(model|network|sequential|\w*layer)")
# What Keras objects are tracked under a second time, and what isn't a part of the model.
_ASIDE = {
    "keras_api",
    "non_trainable_variables",
    "optimizer",
    "regularization_losses",
    "signatures",
    "trainable_variables",
    "variables",
    "_random_generator",
}


@dataclass(frozen=True)
class SignatureTensor:
    """An input or output of a signature.

    Attributes:
        name: Its name in the signature.
        is_input: Which of both.
        dtype: E.g. "float32"; None for what isn't one dense tensor.
        shape: With the batch axis, None for a length that varies; None where it isn't told.
    """

    name: str
    is_input: bool
    dtype: str | None
    shape: tuple[int | None, ...] | None

    @property
    def class_name(self) -> str:
        """What stands in the place of a layer's class."""
        return "Input" if self.is_input else "Output"


@dataclass(frozen=True)
class KerasObject:
    """A layer, or a metric, as tf_keras describes it.

    Attributes:
        identifier: What kind of object, e.g. "_tf_keras_layer".
        name: Its name.
        class_name: Its class.
        config: Its config; None where it has none.
        keras_version: The version of Keras that saved it, e.g. "2.15.0"; None for what isn't a
            model.
    """

    identifier: str
    name: str
    class_name: str
    config: Any
    keras_version: str | None = None


@dataclass(frozen=True)
class SavedLayer:
    """A layer in the tree of a Keras model's objects.

    Attributes:
        path: The names of the layers around it, and its own.
        class_name: Its class.
        weights: The shapes and dtypes of the variables that are its own, by name.
    """

    path: tuple[str, ...]
    class_name: str
    weights: Mapping[str, tuple[tuple[int, ...], str]]


@dataclass(frozen=True, eq=False)
class SavedModel:
    """The content of a SavedModel directory.

    Attributes:
        graphs: Its graphs, as `kprobe.gate.graphs.saved_model_proto` has them. There are several
            where it holds one for training, too.
        serving: Which of them is loaded.
        keras: The Keras objects, by their number among the graph's objects; none in a bare one.
    """

    graphs: Sequence[Any]
    serving: Any
    keras: Mapping[int, KerasObject]

    @property
    def is_keras(self) -> bool:
        """Whether it holds a Keras model."""
        return 0 in self.keras and self.keras[0].identifier in _MODELS

    @property
    def tags(self) -> list[str]:
        """What the graph that is loaded is tagged with."""
        return list(self.serving.meta_info_def.tags)

    @cached_property
    def signatures(self) -> dict[str, list[SignatureTensor]]:
        """The inputs and outputs of each signature, by its name."""
        return {
            name: [
                SignatureTensor(key, tensors is signature.inputs, *_read_tensor(tensors[key]))
                for tensors in (signature.inputs, signature.outputs)
                for key in sort_names(tensors)
            ]
            for name, signature in sorted(self.serving.signature_def.items())
            # What initializes and trains is kept among them.
            if not name.startswith("__saved_model_")
        }

    @cached_property
    def unsafe_operations(self) -> list[str]:
        """What its graphs do besides turning tensors into tensors, a line for each."""
        return find_unsafe_operations(self.graphs)

    def find_layers(self) -> list[SavedLayer]:
        """List the layers of a Keras model, each once, those around others first."""
        return list(self._find_layers(0, ()))

    def _find_layers(self, number: int, path: tuple[str, ...]) -> Iterator[SavedLayer]:
        inside: dict[int, KerasObject] = {}
        weights: dict[str, tuple[tuple[int, ...], str]] = {}
        nodes = self.serving.object_graph_def.nodes
        pending = deque([(number, "")])
        seen = {number}
        while pending:
            current, name = pending.popleft()
            node, found = nodes[current], self.keras.get(current)
            if current != number and found is not None:
                if _LAYER.fullmatch(found.identifier):
                    inside[current] = found
                continue
            if node.HasField("variable"):
                shape, dtype = _read_shape(node.variable.shape), _DTYPES.get(node.variable.dtype)
                if shape is not None and dtype is not None:
                    weights[name] = tuple(size or 0 for size in shape), dtype
            for child in node.children:
                if child.node_id not in seen and child.local_name not in _ASIDE:
                    seen.add(child.node_id)
                    pending.append((child.node_id, child.local_name))
        if path:
            yield SavedLayer(path, self.keras[number].class_name, weights)
        for other, layer in inside.items():
            if len(path) < 100:
                yield from self._find_layers(other, (*path, layer.name))

    def describe_objects(self) -> dict[str, Any]:
        """Give all configs of Keras objects as one, for checking.

        A model's config repeats those of its layers, which tf_keras doesn't read: it takes the
        layers that it made from their own.
        """
        return {"class_name": "Functional", "layers": [*map(self._describe, self.keras)]}

    def _describe(self, number: int) -> dict[str, Any]:
        found = self.keras[number]
        config = found.config
        if isinstance(config, dict) and isinstance(config.get("layers"), list):
            children = self.serving.object_graph_def.nodes[number].children
            made = {self.keras[c.node_id].name for c in children if c.node_id in self.keras}
            left = [item for item in config["layers"] if _name_of(item) not in made]
            config = {**config, "layers": left}
        return {"class_name": found.class_name, "name": found.name, "config": config}


def read_saved_model(opened: OpenedDirectory) -> SavedModel:
    """Read a SavedModel.

    Args:
        opened: Its directory.

    Raises:
        ModelError: It is damaged.
    """
    try:
        graphs = _read_graphs(opened)
        if not graphs:
            raise ValueError("it holds no graph")
        serving = next((g for g in graphs if "serve" in g.meta_info_def.tags), graphs[0])
        metadata = opened.open_member("keras_metadata.pb")
        if metadata is not None:
            told = parse("SavedMetadata", metadata.read(metadata.size))
            described = {node.node_id: (node.identifier, node.metadata) for node in told.nodes}
        else:  # before TensorFlow 2.5
            described = {
                number: (node.user_object.identifier, node.user_object.metadata)
                for number, node in enumerate(serving.object_graph_def.nodes)
                if node.user_object.identifier.startswith("_tf_keras_")
                and node.user_object.metadata
            }
        keras = {number: _read_object(*both) for number, both in described.items()}
        size = len(serving.object_graph_def.nodes)
        if any(not 0 <= number < size for number in keras):
            raise ValueError("its keras_metadata.pb is of another model")
        for node in serving.object_graph_def.nodes:
            if any(not 0 <= child.node_id < size for child in node.children):
                raise ValueError("its objects refer to ones that aren't there")
    except (BrokenMessageError, DecodeError, ValueError, RecursionError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ModelError(
            f"{opened.path} is a damaged SavedModel: {reason}",
            hint="copy or save the model again",
        ) from None
    return SavedModel(graphs, serving, keras)


def sort_names(names: Iterator[str] | Mapping[str, Any]) -> list[str]:
    """Sort names with the numbers in them as numbers: output_2 before output_10."""

    def key(name: str) -> list[tuple[int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(names, key=key)


def _read_graphs(opened: OpenedDirectory) -> list[Any]:
    file = opened.open_member("saved_model.pb")
    if file is None:
        raise ValueError("it has no saved_model.pb")
    if file.size > MAX_GRAPH_BYTES:
        raise ValueError("saved_model.pb is larger than 2 GB")
    return list(parse_slim("SavedModel", file).meta_graphs)


def _read_object(identifier: str, text: str) -> KerasObject:
    metadata = json.loads(text, object_hook=_plain)
    if not isinstance(metadata, dict):
        raise ValueError("its Keras metadata isn't that of an object")
    name, class_name = str(metadata.get("name")), str(metadata.get("class_name"))
    version = metadata.get("keras_version")
    return KerasObject(
        identifier,
        name,
        class_name,
        metadata.get("config"),
        version if isinstance(version, str) else None,
    )


def _plain(item: dict[str, Any]) -> Any:
    """Make tuples and shapes, which are spelled out as objects, lists."""
    if item.get("class_name") in ("__tuple__", "TensorShape") and isinstance(
        item.get("items"), list
    ):
        return item["items"]
    return item


def _name_of(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return name if isinstance(name, str) else None


def _read_tensor(info: Any) -> tuple[str | None, tuple[int | None, ...] | None]:
    return (_DTYPES.get(info.dtype) if info.name else None), _read_shape(info.tensor_shape)


def _read_shape(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
