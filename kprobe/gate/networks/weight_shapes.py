"""Whether a file holds the weights that its config says, in their shapes.

Keras makes the weights that a config asks for before it looks at those of the file: a dense layer
of 10^9 units takes all memory, whatever the file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from kprobe.architecture.layer_weights import expect_weights, is_quantized
from kprobe.architecture.network import read_layer, read_network
from kprobe.architecture.network_shapes import infer_shapes
from kprobe.architecture.weight_groups import OLD_CONTAINER, is_training, number_groups
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kprobe.architecture.network import Layer, Network, Shape
    from kprobe.architecture.network_shapes import NetworkShapes

_RULE = "weights-shapes"
# The group of the weights in an HDF5 model file.
_BY_NAME = "model_weights"
# What layers may have beyond what the file holds: a layer that two models share may be there once.
MAX_SURPLUS = 2**24
# Of a model without weights: 4 GB of float32.
MAX_VALUES = 2**30
# Quantized, a number takes as little as a fourth of what it takes to count it.
_PACKED = 4
_SHOWN = 4


@dataclass(frozen=True)
class _Expected:
    """The weights that a layer is said to have.

    Attributes:
        key: What tells it from others: its number where it is shared, else its name.
        shapes: Their shapes.
        is_packed: Whether they are stored in other shapes.
        may_be_packed: Whether that isn't told: an attention layer doesn't say it of the layers
            that it makes.
    """

    key: Any
    shapes: tuple[Shape, ...]
    is_packed: bool
    may_be_packed: bool = False

    @property
    def least(self) -> int:
        """How many numbers these are at least."""
        count = sum(_count(shape) for shape in self.shapes)
        return count // _PACKED if self.is_packed or self.may_be_packed else count


def find_weight_faults(
    config: dict[str, Any],
    keras_major: int,
    shapes: Mapping[str, Shape],
    *,
    version: str | None = None,
    most: int = MAX_VALUES,
) -> Iterator[Fault]:
    """Find where a file holds other weights than its config says.

    Args:
        config: The model's config, in which `find_network_faults` found nothing. Of an old
            version, as Keras 2.2 would write it.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.
        shapes: The shape of each dataset of the file, by its path from the root. Empty for a
            model without weights.
        version: The version that wrote the file, where it says so.
        most: How many numbers the weights may have where the file holds none.

    Yields:
        Layers that the file has other weights for, and what would take more memory than the file
        has values. Nothing of layers whose weights aren't certain.
    """
    network = read_network(config)
    if network is None:
        return
    inferred = infer_shapes(network, None, {}, told=False)
    by_name = any(path.startswith(f"{_BY_NAME}/") for path in shapes)
    total = sum(_count(shape) for shape in shapes.values())
    expected = [*_expect_network(network, inferred, keras_major)]
    if not by_name:
        # There, a layer that two models share is stored once. Keras makes it once, too.
        expected = [*{_identify(one, place): one for place, one in enumerate(expected)}.values()]
    needed = sum(one.least for one in expected)
    if needed > (2 * total + MAX_SURPLUS if shapes else most):
        held = f"the file holds {total:,}" if shapes else f"at most {most:,} are allowed"
        yield Fault(_RULE, f"has layers with weights of {needed:.3g} numbers or more, and {held}")
        return
    if not shapes or (version or "").startswith(("0.", "1.")):
        return  # Keras 1 kept them in other shapes
    if by_name:
        yield from _compare_by_name(network, inferred, shapes, keras_major)
    else:
        container = "layers" if any(p.startswith("layers/") for p in shapes) else OLD_CONTAINER
        yield from _compare_by_group(network, inferred, shapes, keras_major, container)


def _count(shape: Shape) -> int:
    lengths: list[int] = [length for length in shape if length is not None]
    return prod(lengths)


def _identify(one: _Expected, place: int) -> Any:
    return ("shared", one.key) if isinstance(one.key, int) else ("own", place)


def _expect_network(
    network: Network, inferred: NetworkShapes, keras_major: int
) -> Iterator[_Expected]:
    """Tell the weights of all layers in a network, each once however often it is called."""
    for layer in network.layers:
        inputs = inferred.inputs.get((layer.name, 0), [None])
        if layer.network is not None:
            inner = inferred.inner.get((layer.name, 0)) or infer_shapes(
                layer.network, None, {}, told=False
            )
            yield from _expect_network(layer.network, inner, keras_major)
        elif not layer.is_operation:
            yield from _expect_layer(layer, inputs, keras_major)


def _expect_layer(
    layer: Layer, inputs: Sequence[Shape | None], keras_major: int
) -> Iterator[_Expected]:
    """Tell the weights of a layer, and of those that it wraps."""
    if keras_major >= 3 and layer.build_shape is not None:
        inputs = [layer.build_shape]  # which Keras builds it for, whatever it is called with
    config = layer.config
    given = inputs[0] if inputs else None
    if not layer.is_own:
        return
    if layer.class_name == "TimeDistributed" and given is not None:
        given = (given[0], *given[2:])
    steps: Sequence[Shape | None] = [given]
    if layer.class_name == "Bidirectional":
        both = [config.get("layer"), config.get("backward_layer") or config.get("layer")]
        for way in both:
            yield from _expect_item(way, steps, keras_major)
        return
    if layer.class_name in ("TimeDistributed", "SpectralNormalization"):
        yield from _expect_item(config.get("layer"), steps, keras_major)
        return
    if layer.class_name == "RNN":
        if given is not None and len(given) > 2:
            given = (given[0], *given[2:])
        yield from _expect_cells(config.get("cell"), given)
        return
    known = expect_weights(layer.class_name, config, inputs)
    if known:
        attends = layer.class_name == "MultiHeadAttention"
        yield _Expected(layer.shared, tuple(known), is_quantized(config), attends)


def _expect_item(
    item: Any, inputs: Sequence[Shape | None], keras_major: int
) -> Iterator[_Expected]:
    """Tell the weights of what a wrapper has in its config."""
    wrapped = read_layer(item)
    if wrapped is None:
        return
    if wrapped.network is not None:
        inferred = infer_shapes(wrapped.network, inputs[0], {}, told=False)
        yield from _expect_network(wrapped.network, inferred, keras_major)
    else:
        yield from _expect_layer(wrapped, inputs, keras_major)


def _expect_cells(item: Any, given: Shape | None) -> Iterator[_Expected]:
    """Tell the weights of the cells of an RNN, each of which takes what the one before gives."""
    config = item.get("config") if isinstance(item, dict) else None
    if not isinstance(config, dict):
        return
    cells = config.get("cells") if item.get("class_name") == "StackedRNNCells" else [item]
    for cell in cells if isinstance(cells, list) else []:
        own = cell.get("config") if isinstance(cell, dict) else None
        if not isinstance(own, dict):
            return
        known = expect_weights(str(cell.get("class_name")), own, [given])
        if known is None:
            given = None
            continue
        yield _Expected(None, tuple(known), is_quantized(own))
        given = (None, own.get("units"))


def _compare_by_name(
    network: Network, inferred: NetworkShapes, shapes: Mapping[str, Shape], keras_major: int
) -> Iterator[Fault]:
    """Compare with HDF5, where each layer of the model has a group of its name."""
    held = _gather(shapes, f"{_BY_NAME}/", [layer.name for layer in network.layers])
    for layer in network.layers:
        if layer.name in held:
            expected = [*_expect_one(layer, inferred, keras_major)]
            if layer.network is not None:
                # What is inside shares a group. A layer that stands there twice may be one.
                expected = [*{(one.key, one.shapes): one for one in expected}.values()]
            yield from _compare(layer.name, expected, held[layer.name])


def _compare_by_group(
    network: Network,
    inferred: NetworkShapes,
    shapes: Mapping[str, Shape],
    keras_major: int,
    container: str,
) -> Iterator[Fault]:
    """Compare with a `.keras` archive, where groups are numbered by class."""
    layers = [layer for layer in network.layers if layer.in_layers]
    groups = number_groups(layer.class_name for layer in layers)
    held = _gather(shapes, f"{container}/", groups)
    if keras_major < 3 and not all(
        group in held or not [*_expect_one(layer, inferred, keras_major)]
        for layer, group in zip(layers, groups, strict=True)
    ):
        return  # tf_keras doesn't count layers that another model holds, and counts on without
    for layer, group in zip(layers, groups, strict=True):
        if group not in held:
            continue
        if layer.network is None:
            expected = _expect_one(layer, inferred, keras_major)
            yield from _compare(layer.name, [*expected], held[group])
        else:
            inner = inferred.inner.get((layer.name, 0)) or infer_shapes(
                layer.network, None, {}, told=False
            )
            below = f"{container}/{group}/layers"
            yield from _compare_by_group(layer.network, inner, shapes, keras_major, below)


def _expect_one(layer: Layer, inferred: NetworkShapes, keras_major: int) -> Iterator[_Expected]:
    if layer.network is not None:
        inner = inferred.inner.get((layer.name, 0)) or infer_shapes(
            layer.network, None, {}, told=False
        )
        yield from _expect_network(layer.network, inner, keras_major)
    elif not layer.is_operation:
        inputs = inferred.inputs.get((layer.name, 0), [None])
        yield from _expect_layer(layer, inputs, keras_major)


def _gather(
    shapes: Mapping[str, Shape], prefix: str, groups: Sequence[str]
) -> dict[str, list[Shape]]:
    """Gather the weights below each of some groups."""
    known = frozenset(groups)
    held: dict[str, list[Shape]] = {}
    for path, shape in shapes.items():
        if not path.startswith(prefix):
            continue
        group, _, rest = path[len(prefix) :].partition("/")
        if group in known and not is_training(rest.removeprefix("vars/")):
            held.setdefault(group, []).append(shape)
    return held


def _compare(name: str, expected: Sequence[_Expected], held: Sequence[Shape]) -> Iterator[Fault]:
    """Find what a layer should have and the file doesn't."""
    left = list(held)
    wanted = [shape for one in expected if not one.is_packed for shape in one.shapes]
    for shape in sorted(wanted, key=lambda one: one.count(None)):
        fitting = next((place for place, other in enumerate(left) if _fits(shape, other)), None)
        if fitting is None:
            if len(held) > len(wanted) and any(one.may_be_packed for one in expected):
                return
            text = f"expected weights of shapes {_list(wanted)}, received {_list(held)}"
            yield Fault(_RULE, text, f"layer {show(name)}")
            return
        del left[fitting]


def _fits(expected: Shape, shape: Shape) -> bool:
    return len(expected) == len(shape) and all(
        a is None or a == b for a, b in zip(expected, shape, strict=True)
    )


def _list(shapes: Sequence[Shape]) -> str:
    return list_names([_write(shape) for shape in shapes], _SHOWN)


def _write(shape: Shape) -> str:
    inner = ", ".join("?" if length is None else str(length) for length in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
