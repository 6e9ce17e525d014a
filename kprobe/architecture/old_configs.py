"""Write the configs of old models in the form of Keras 2.2 and later."""

from __future__ import annotations

from typing import Any

from kprobe.errors import ModelError

# What Keras 2 calls the classes and arguments of Keras 1, from keras/legacy/interfaces.py of
# Keras 2.0. Initializers, regularizers and constraints are left out: the weights are in the file.
_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "dot": "Dot",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
_ARGUMENTS = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
_DROPPED = ("init", "_init", "_regularizer", "_constraint")


def adapt_config(config: dict[str, Any], version: str | None) -> dict[str, Any]:
    """Write the config of an old model in the form of Keras 2.2 and later.

    Args:
        config: The model's config, of Keras 2 or older.
        version: The version that wrote it, if it is known.

    Returns:
        A config that tf_keras builds the same model from; what no rule is for stays as it is.

    Raises:
        ModelError: The model is of Keras 1 and has what Keras 2 has no counterpart for.
    """
    first = version is not None and version.startswith(("0.", "1."))
    adapted: dict[str, Any] = _adapt(config, first)
    return adapted


def _adapt(value: Any, first: bool) -> Any:
    if isinstance(value, list):
        return [_adapt(item, first) for item in value]
    if not isinstance(value, dict):
        return value
    adapted = {key: _adapt(item, first) for key, item in value.items()}
    inner, kind = adapted.get("config"), adapted.get("class_name")
    if kind == "Sequential" and isinstance(inner, list) and "name" in adapted:
        # Before Keras 2.2, only the enclosing model said a Sequential's name.
        adapted["config"] = {"name": adapted["name"], "layers": inner}
    elif isinstance(kind, str) and isinstance(inner, dict) and "layers" not in inner and first:
        adapted["class_name"], adapted["config"] = _convert_layer(kind, inner)
    if adapted.get("class_name") == "GRU" and isinstance(adapted["config"], dict):
        # Who could choose wrote the choice; tf_keras takes the other for its default.
        adapted["config"] = {"reset_after": False, **adapted["config"]}
    return adapted


def _convert_layer(kind: str, old: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if kind == "Merge":
        return _convert_merge(old)
    if kind == "BatchNormalization" and old.get("mode", 0) != 0:
        raise _refuse(f"BatchNormalization with mode={old['mode']}", old)
    dropped = {"mode", "consume_less", "nb_row", "nb_col", "nb_kernel", "kernel_dim1"}
    dropped |= {"kernel_dim2", "kernel_dim3", "forget_bias_init"}
    renamed = dict(_ARGUMENTS)
    if kind == "InputLayer":
        renamed["input_dtype"] = "dtype"
    else:
        dropped |= {"input_dtype"}
    if kind == "Embedding":
        dropped |= {"dropout"}
        del renamed["output_dim"]
    else:
        # What the input has is in the shapes of the inputs.
        dropped |= {"input_dim", "input_length"}
    if kind == "Deconvolution2D":
        dropped |= {"output_shape"}
    new = {
        renamed.get(key, key): item
        for key, item in old.items()
        if key not in dropped and not key.endswith(_DROPPED)
    }
    if kind == "ZeroPadding2D":
        new.setdefault("data_format", "channels_last")  # Keras 1.2 forgot to write it
        new["padding"] = [[n, n] if isinstance(n, int) else n for n in new["padding"]]
    if "data_format" in new:
        new["data_format"] = _DATA_FORMATS.get(new["data_format"], new["data_format"])
    for sizes in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if sizes[0] in old:
            new["kernel_size"] = [old.get(size) for size in sizes]
    return _CLASSES.get(kind, kind), new


def _convert_merge(old: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = old.get("mode")
    if not isinstance(mode, str) or mode not in _MERGES:
        raise _refuse(f"Merge with mode={mode!r}", old)
    new = {"name": old.get("name")}
    if mode == "concat":
        new["axis"] = old.get("concat_axis", -1)
    if mode == "dot":
        new["axes"] = old.get("dot_axes", -1)
    return _MERGES[mode], new


def _refuse(what: str, config: dict[str, Any]) -> ModelError:
    return ModelError(
        f"layer {config.get('name')!r} is a {what} of Keras 1, which Keras 2 doesn't have",
        hint="load it with Keras 1.2, rebuild that layer in Keras 2.3 or later, and save it again",
    )
