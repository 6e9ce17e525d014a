"""Whether an archive has the vocabularies that its config leaves to files in it.

Keras loads a model without them, and the layer fails when it is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.gate.rules import Fault
from kprobe.gate.shown import show
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kprobe.architecture.network import Layer, Network

_KEEPING = frozenset({"IntegerLookup", "StringLookup", "TextVectorization"})
_FILE = "/vocabulary.txt"
# A TextVectorization writes its own twice.
_AGAIN = "/_lookup_layer"
_SHOWN = 3


def find_vocabulary_faults(network: Network, members: Iterable[str]) -> Iterator[Fault]:
    """Find whether an archive has fewer vocabularies than its layers need.

    How many it has is compared, and not where they lie: a layer that two models share is written
    for one of them.

    Args:
        network: The layers, as the config has them.
        members: The names of the archive's members.
    """
    needed = {layer.name for layer in _list_layers(network.layers) if _needs_one(layer)}
    held = {
        name.removesuffix(_FILE).removesuffix(_AGAIN) for name in members if name.endswith(_FILE)
    }
    if len(held) < len(needed):
        named = list_names(map(show, sorted(needed)), _SHOWN)
        layers = "layer" if len(needed) == 1 else "layers"
        yield Fault(
            "archive-damaged",
            f"expected the vocabulary of {layers} {named} in its config or in "
            f"assets/…{_FILE}, received {len(held)} of {len(needed)}",
        )


def _needs_one(layer: Layer) -> bool:
    is_kept = layer.is_own and layer.class_name in _KEEPING
    return is_kept and layer.config.get("vocabulary") is None


def _list_layers(layers: Iterable[Layer]) -> Iterator[Layer]:
    """List layers, and all those inside of them."""
    pending = [*layers]
    while pending:
        layer = pending.pop()
        yield layer
        pending += [*layer.wrapped, *(layer.network.layers if layer.network is not None else ())]
