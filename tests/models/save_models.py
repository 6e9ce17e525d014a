"""Save real models with both Kerases, and what the Kerases say of them: `DIRECTORY`.

Run by the tests in a process of its own, since saving an HDF5 file changes how a Keras saves what
comes after it.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras


def layers_with_inputs(k):
    """Layers whose output shape follows from their config, each with its input shapes."""
    ls = k.layers
    image, row, steps, volume = (None, 9, 10, 4), (None, 6), (None, 7, 4), (None, 5, 6, 7, 2)
    yield from [
        (ls.Dense(3), [row]),
        (ls.Dense(3), [image]),
        (ls.Conv2D(3, 3), [image]),
        (ls.Conv2D(3, (3, 2), strides=2, padding="same"), [image]),
        (ls.Conv2D(4, 3, dilation_rate=2, groups=2), [image]),
        (ls.Conv2D(3, 3, data_format="channels_first"), [image]),
        (ls.Conv2D(3, 3, padding="same"), [(None, None, None, 4)]),
        (ls.Conv1D(3, 3, padding="causal"), [steps]),
        (ls.Conv1D(3, 2, strides=3), [steps]),
        (ls.Conv3D(3, 3), [volume]),
        (ls.SeparableConv1D(5, 3), [steps]),
        (ls.SeparableConv2D(5, 3, depth_multiplier=2), [image]),
        (ls.DepthwiseConv1D(3), [steps]),
        (ls.DepthwiseConv2D(3, depth_multiplier=2, strides=2), [image]),
        (ls.Conv1DTranspose(3, 3, strides=2), [steps]),
        (ls.Conv2DTranspose(3, 2, strides=3), [image]),
        (ls.Conv2DTranspose(3, 3, strides=2, padding="same"), [image]),
        (ls.Conv3DTranspose(3, 3), [volume]),
        (ls.MaxPooling1D(), [steps]),
        (ls.AveragePooling1D(3, padding="same"), [steps]),
        (ls.MaxPooling2D(3, strides=2), [image]),
        (ls.AveragePooling2D((2, 3), padding="same"), [image]),
        (ls.MaxPooling3D(), [volume]),
        (ls.GlobalAveragePooling1D(), [steps]),
        (ls.GlobalAveragePooling2D(), [image]),
        (ls.GlobalMaxPooling2D(keepdims=True), [image]),
        (ls.GlobalMaxPooling3D(data_format="channels_first"), [volume]),
        (ls.Flatten(), [image]),
        (ls.Flatten(), [(None, None, 4)]),
        (ls.Flatten(), [(None,)]),
        (ls.Reshape((6, -1)), [image]),
        (ls.Reshape((2, 3)), [row]),
        (ls.Permute((2, 1)), [steps]),
        (ls.RepeatVector(3), [row]),
        (ls.ZeroPadding1D(2), [steps]),
        (ls.ZeroPadding2D(((1, 2), (3, 4))), [image]),
        (ls.Cropping1D((1, 2)), [steps]),
        (ls.Cropping2D(2), [image]),
        (ls.UpSampling1D(2), [steps]),
        (ls.UpSampling2D((2, 3)), [image]),
        (ls.UpSampling3D(2), [volume]),
        (ls.Concatenate(), [image, image]),
        (ls.Concatenate(axis=1), [image, (None, None, 10, 4)]),
        (ls.Add(), [image, image]),
        (ls.Multiply(), [row, row]),
        (ls.Embedding(10, 4), [row]),
        # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
        (ls.LSTM(3, activation="relu"), [steps]),
        (ls.LSTM(3, activation="relu", return_sequences=True, return_state=True), [steps]),
        (ls.GRU(3, activation="relu", return_sequences=True), [steps]),
        (ls.GRU(3, activation="relu", return_state=True), [steps]),
        (ls.SimpleRNN(3), [(None, None, 4)]),
        (ls.Bidirectional(ls.LSTM(3, activation="relu", return_sequences=True)), [steps]),
        (ls.Bidirectional(ls.GRU(3, activation="relu"), merge_mode="sum"), [steps]),
        (ls.TimeDistributed(ls.Dense(3)), [steps]),
        (ls.TimeDistributed(ls.Conv2D(3, 3)), [(None, 3, 9, 9, 2)]),
        (ls.BatchNormalization(), [image]),
        (ls.LayerNormalization(), [image]),
        (ls.Activation("relu"), [image]),
        (ls.ReLU(6.0), [image]),
        (ls.LeakyReLU(), [image]),
        (ls.PReLU(), [row]),
        (ls.Softmax(), [row]),
        (ls.Dropout(0.5), [image]),
        (ls.SpatialDropout2D(0.5), [image]),
        (ls.GaussianNoise(0.5), [image]),
        (ls.Masking(), [steps]),
        (ls.Dot(1), [row, row]),
        (ls.Dot((2, 1), normalize=True), [steps, steps[:1] + steps[:0:-1]]),
        (ls.Rescaling(1 / 255), [image]),
        (ls.Normalization(mean=0.0, variance=1.0), [row]),
        (ls.RandomFlip(), [image]),
        (ls.Resizing(9, 7), [image]),
        (ls.CenterCrop(5, 4), [image]),
    ]


def record_shapes(k):
    records = []
    for layer, inputs in layers_with_inputs(k):
        tensors = [k.Input(batch_shape=shape) for shape in inputs]
        made = layer(tensors if len(tensors) > 1 else tensors[0])
        several = isinstance(made, list | tuple)
        shapes = [list(t.shape) for t in made] if several else list(made.shape)
        config = k.layers.serialize(layer)["config"]
        records.append([type(layer).__name__, config, inputs, shapes])
    return records


def build_big(k, ops):
    """Nested, shared, wrapped, several outputs, and operations that aren't layers."""
    ls = k.layers
    inner = ls.Input((16, 16, 3), name="patch")
    x = ls.Conv2D(4, 3, name="conv1", activation="relu")(inner)
    x = ls.BatchNormalization(name="bn")(x)
    x = ls.Dense(5, name="embed")(ls.Flatten(name="flat")(x))
    encoder = k.Model(inner, x, name="encoder")
    left, right = ls.Input((16, 16, 3), name="left"), ls.Input((16, 16, 3), name="right")
    shared = ls.Dense(5, name="shared", activation=k.activations.relu)
    a, b = shared(encoder(left)), shared(encoder(right))
    x = ls.Concatenate(name="both")([a, b]) + 1
    x = k.Sequential([ls.Dense(4, name="s1"), ls.Dropout(0.5, name="s2")], name="seq")(x)
    x = ls.TimeDistributed(ls.Dense(3), name="steps")(ls.Reshape((2, 2), name="square")(x))
    x = ls.Bidirectional(ls.LSTM(3, return_sequences=True), name="bi")(x)
    out, state = ls.GRU(3, return_state=True, name="gru")(x)
    attended = ls.MultiHeadAttention(2, 2, name="mha")(x, x)
    return k.Model(
        {"left": left, "right": right},
        {"out": out, "state": state, "mean": ops.reduce_mean(attended, 1), "part": a[:, 1:3]},
        name="big",
    )


def build_plain(k):
    ls = k.layers
    return k.Sequential(
        [
            ls.Input((8, 8, 1), name="scan"),
            ls.Conv2D(3, 3, padding="same", name="conv"),
            ls.MaxPooling2D(name="pool"),
            ls.Flatten(name="flat"),
            ls.Dense(10, name="digit"),
        ],
        name="plain",
    )


def build_subclassed(k):
    class Tower(k.Model):
        def __init__(self):
            super().__init__(name="tower")
            self.first = k.layers.Dense(3, name="base")
            self.blocks = [k.layers.Dense(4, name="top")]

        def call(self, x):
            return self.blocks[0](self.first(x))

        def get_config(self):
            return {"name": "tower"}

    model = Tower()
    model(np.zeros((1, 4), "float32"))
    return model


def describe(model):
    def shape(layer):
        try:
            made = layer.output
        except (AttributeError, ValueError):  # called several times
            return "several calls"
        if isinstance(made, list | tuple):
            return [list(t.shape) for t in made]
        return list(made.shape)

    return [
        [layer.name, type(layer).__name__, int(layer.count_params()), shape(layer)]
        for layer in model.layers
    ]


def main(directory):
    class ReduceMean:
        reduce_mean = staticmethod(lambda x, axis: keras.ops.mean(x, axis=axis))

    truth = {}
    for tag, k, ops in (("k3", keras, ReduceMean), ("k2", tf_keras, tf)):
        truth[f"{tag} rules"] = record_shapes(k)
        for name, build in (("big", lambda k: build_big(k, ops)), ("plain", build_plain)):  # noqa: B023
            # A model saved as HDF5 serializes its nested models the old way from then on.
            for suffix in ("keras", "h5"):
                k.backend.clear_session()
                model = build(k)
                model.save(directory / f"{tag}_{name}.{suffix}")
                truth[f"{tag}_{name}.{suffix}"] = describe(model)
        model.save_weights(directory / f"{tag}_new.weights.h5")
        if tag == "k2":
            model.save_weights(directory / "k2_old_weights.h5", save_format="h5")
        build_subclassed(k).save(directory / f"{tag}_tower.keras")
    build_subclassed(keras).save(directory / "k3_tower.h5")
    (directory / "truth.json").write_text(json.dumps(truth))


main(Path(sys.argv[1]))
