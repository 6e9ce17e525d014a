"""What a SavedModel says of the Keras model in it: tf_keras builds that from configs, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.gate.files.config_json import parse_config
from kprobe.gate.networks.network import find_network_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kprobe.gate.rules import Fault

_KERAS = "_tf_keras_"


def find_saved_network_faults(objects: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    """Find what is wrong with the networks that the objects of a SavedModel describe.

    Args:
        objects: Of each object what kind it is, and its metadata: a JSON text.
    """
    configs: list[dict[str, Any]] = []
    for kind, text in objects:
        if not kind.startswith(_KERAS) or not text:
            continue
        config, faults = parse_config(text.encode(), "metadata of Keras")
        yield from faults
        if config is not None:
            configs.append({"class_name": config.get("class_name"), "config": config.get("config")})
    # Together, so that their sizes count together. A nested model counts for itself, too.
    yield from find_network_faults({"objects": configs}, 2)
