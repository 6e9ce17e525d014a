"""Tell which Keras wrote a config."""

from __future__ import annotations

from typing import Any


def judge_version(
    version: str | None, config: dict[str, Any], default: int
) -> tuple[str | None, int]:
    """Tell the version of the Keras that wrote a config, and its library.

    Args:
        version: What the file says of it, if anything.
        config: The config of a model.
        default: The library where nothing tells it.

    Returns:
        The version, None where it isn't told; and 3 for the library `keras`, 2 for `tf_keras` (2
        and older).
    """
    head = (version or "").split(".")[0]
    if head.isdecimal():
        return version, 3 if int(head[:9]) >= 3 else 2
    return None, _judge_major(config, default)


def _judge_major(config: dict[str, Any], default: int) -> int:
    """Tell the Keras that wrote a config by forms that only one of them uses.

    `module` and `registered_name` don't tell: tf_keras 2.13 and later writes them too.
    """
    pending: list[Any] = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        if not isinstance(item, dict):
            continue
        if "batch_input_shape" in item or str(item.get("module")).startswith("tf_keras"):
            return 2
        if item.get("class_name") in ("__keras_tensor__", "DTypePolicy") or (
            "batch_shape" in item and "optional" in item
        ):
            return 3
        pending.extend(item.values())
    return default
