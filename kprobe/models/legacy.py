"""Read files of old versions as those versions did, where tf_keras takes them otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.compat.keras_names import FLATTEN_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


def restore_behaviour(model: Any, keras_version: str | None, backend: str | None) -> None:
    """Make a loaded model of tf_keras compute what the version that saved it did.

    Args:
        model: The model, its weights loaded.
        keras_version: The version that saved it; None where its file doesn't say.
        backend: What its file says its Keras ran on; None where it doesn't.
    """
    if keras_version is None:
        return
    version = tuple(int(part) for part in keras_version.split(".")[:2] if part.isdecimal())
    # Where its input is masked, the `Bidirectional` of Keras by itself, whose last version is
    # 2.3.1, repeats what came before, and that of tf_keras gives zeros.
    repeats = "tf" not in keras_version and version <= (2, 3)
    for layer in _list_all(model):
        kind = type(layer).__name__
        if backend == "theano" and kind in _CONVOLUTIONS:
            _flip_kernels(layer, kind)
        if kind == "Bidirectional" and repeats:
            for half in (layer.forward_layer, layer.backward_layer):
                if getattr(half, "zero_output_for_mask", None):
                    half.zero_output_for_mask = False


def _list_all(model: Any) -> Iterator[Any]:
    # Once each, as `_flatten_layers` in tf_keras/src/engine/base_layer.py doesn't promise.
    yield from {id(layer): layer for layer in FLATTEN_LAYERS.find(model)()}.values()


def _flip_kernels(layer: Any, kind: str) -> None:
    """Turn a kernel for Theano's convolution into one for TensorFlow's correlation.

    Keras 2 did so when it loaded weights (`preprocess_weights_for_loading` in its topology.py);
    tf_keras reads the file's `backend` and leaves them.
    """
    weights = layer.get_weights()
    for k in range(2 if kind == "ConvLSTM2D" else 1):
        axes = tuple(range(weights[k].ndim - 2))
        weights[k] = weights[k][tuple(slice(None, None, -1) for _ in axes)]
    layer.set_weights(weights)
