"""Measure what tolerances and verdicts are set by: local errors of layers that are both right.

    python tests/benchmarks/bench_tolerance.py [MODEL]...

Of some small models, it prints the root mean square of local errors over A's standard deviation,
where B computes in another precision: the median of the layers, the largest, how many times the
median of the rest and the next one the largest is; and the same where a kernel weight of a middle
layer is planted, too, with the rank of that layer. Of float32 it prints the running errors between
ways of computing that are both right: exact, and sample by sample.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kprobe

ROWS = 16
FAULTS = (1e-3, 1e-2, 1e-1, 1.0)  # of the largest weight


def build(name: str, dtype: str) -> keras.Model:
    """Build a small model, with the same weights whatever its dtype."""
    with _Policy(dtype):
        inputs, x = _LAYERS[name]()
        model = keras.Model(inputs, x, name=name)
    random = np.random.default_rng(0)
    weights = []
    for variable in model.weights:
        value = random.normal(size=variable.shape) / np.sqrt(max(1, variable.shape[0]))
        one = variable.name in ("gamma", "moving_variance")
        weights.append(np.abs(value) + 0.5 if one else value)
    model.set_weights(weights)
    return model


class _Policy:
    """A dtype policy, for as long as a block lasts."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def __enter__(self) -> None:
        self._before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self._dtype)

    def __exit__(self, *_: object) -> None:
        keras.config.set_dtype_policy(self._before)


def _build_cnn() -> tuple[object, object]:
    x = inputs = keras.Input((24, 24, 3), name="x")
    for block in range(6):
        y = keras.layers.Conv2D(16, 3, padding="same", name=f"conv{block}")(x)
        y = keras.layers.BatchNormalization(name=f"norm{block}")(y)
        y = keras.layers.ReLU(name=f"relu{block}")(y)
        x = keras.layers.Add(name=f"add{block}")([x, y]) if block else y
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return inputs, keras.layers.Dense(10, activation="softmax", name="out")(x)


def _build_mobile() -> tuple[object, object]:
    x = inputs = keras.Input((24, 24, 8), name="x")
    for block in range(5):
        x = keras.layers.DepthwiseConv2D(3, padding="same", name=f"conv{block}")(x)
        x = keras.layers.LayerNormalization(name=f"norm{block}")(x)
        x = keras.layers.Activation("swish", name=f"swish{block}")(x)
        x = keras.layers.Conv2D(16, 1, name=f"point{block}")(x)
    return inputs, keras.layers.Dense(5, name="out")(keras.layers.Flatten(name="flat")(x))


def _build_lstm() -> tuple[object, object]:
    x = inputs = keras.Input((12, 8), name="x")
    for block in range(4):
        # bfloat16 has no decomposition for the usual initializer of the recurrent kernel.
        settings = {"return_sequences": True, "recurrent_initializer": "glorot_uniform"}
        x = keras.layers.LSTM(12, **settings, name=f"lstm{block}")(x)
        x = keras.layers.Dense(12, activation="tanh", name=f"dense{block}")(x)
    return inputs, keras.layers.Dense(3, name="out")(x)


def _build_transformer() -> tuple[object, object]:
    x = inputs = keras.Input((10, 16), name="x")
    for block in range(4):
        y = keras.layers.MultiHeadAttention(2, 8, name=f"attend{block}")(x, x)
        x = keras.layers.LayerNormalization(name=f"norm{block}")(keras.layers.add([x, y]))
        y = keras.layers.Dense(32, activation="gelu", name=f"wide{block}")(x)
        y = keras.layers.Dense(16, name=f"narrow{block}")(y)
        x = keras.layers.LayerNormalization(name=f"last{block}")(keras.layers.add([x, y]))
    return inputs, keras.layers.Dense(3, name="out")(x)


_LAYERS = {
    "cnn": _build_cnn,
    "mobile": _build_mobile,
    "lstm": _build_lstm,
    "transformer": _build_transformer,
}
_MIDDLE = {"cnn": "conv3", "mobile": "point2", "lstm": "dense2", "transformer": "narrow2"}


def _rank(result: kprobe.DiffResult) -> list[tuple[float, str]]:
    """Give the local errors over their tolerance, the largest first, with their layers."""
    found = [(t.excess, t.pair.b.address, t.local.relative) for t in result.tensors if t.local]
    return sorted(found, reverse=True)


def _tell(title: str, result: object, planted: str | None = None) -> None:
    ranked = _rank(result)
    largest = sorted((relative for *_, relative in ranked), reverse=True)
    rest = [excess for excess, *_ in ranked[1:]]
    median, following = rest[len(rest) // 2], rest[0]
    ratios = [ranked[0][0] / each if each else float("inf") for each in (median, following)]
    names = [name for _, name, _ in ranked]
    told = "" if planted is None else f"  planted at rank {names.index(planted) + 1}"
    print(
        f"{title:34} median {np.median(largest):.1e}  largest {largest[0]:.1e} {names[0]:9} "
        f"{ratios[0]:7.1f} x the median {ratios[1]:6.1f} x the next{told}  "
        f"{result.verdict.kind} {result.verdict.born or ''}"
    )


def main() -> None:
    """Measure all of it."""
    for name in sys.argv[1:] or _LAYERS:
        a = build(name, "float32")
        shape = (ROWS, *a.input_shape[1:])
        data = np.random.default_rng(1).normal(size=shape).astype("float32")
        for way in ("exact", "batch:1"):
            result = kprobe.diff(a, against=way, inputs=data)
            worst = max(tensor.running.relative for tensor in result.tensors)
            print(f"{name + ' float32, ' + way:34} largest running {worst:.1e}")
        for dtype in ("float32", "float16", "bfloat16"):
            b = build(name, dtype)
            if dtype != "float32":
                _tell(f"{name} {dtype}", kprobe.diff(a, b, data))
            layer = b.get_layer(_MIDDLE[name])
            before = layer.get_weights()
            for fault in FAULTS:
                kernel, *others = before
                kernel = kernel.copy()
                kernel.reshape(-1)[0] += fault * np.abs(kernel).max()
                layer.set_weights([kernel, *others])
                title = f"{name} {dtype}, fault of {fault:g}"
                _tell(title, kprobe.diff(a, b, data), layer.name)
            layer.set_weights(before)


if __name__ == "__main__":
    main()
