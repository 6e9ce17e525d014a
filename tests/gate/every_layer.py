"""Honest models of whatever Keras is given, of today or old: every layer that it has."""

from __future__ import annotations

import numpy as np

WORDS = ["eins", "zwei", "drei"]
# What isn't called as others are: bases, what is a part of another layer, and what holds code, or
# another model, and is refused.
NOT_ALONE = {
    *("AbstractRNNCell", "InputLayer", "Layer", "RNN", "Wrapper"),
    *("DenseFeatures", "FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),
    *("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"),
    *("CutMix", "Equalization", "MaxNumBoundingBoxes", "MixUp", "Pipeline"),
}
# Keras 3 doesn't save them in HDF5: it copies their configs, which hold modules.
NOT_IN_HDF5 = {
    *("RandomBrightness", "RandomColorDegeneration", "RandomPosterization", "RandomSaturation"),
    *("RandomSharpness", "Solarization"),
}
ARGUMENTS = {
    "Activation": ("gelu",),
    **{f"AdaptiveAveragePooling{n}D": (2,) for n in (1, 2, 3)},
    **{f"AdaptiveMaxPooling{n}D": (2,) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": (2,) for n in (1, 2, 3)},
    "CategoryEncoding": (20,),
    "CenterCrop": (4, 4),
    "Dense": (3,),
    "DepthwiseConv1D": (2,),
    "DepthwiseConv2D": (2,),
    "Dot": (1,),
    "EinsumDense": ("abc,cd->abd", (None, 3)),
    "Embedding": (20, 2),
    "GRU": (3,),
    "GroupedQueryAttention": (2, 4, 2),
    "HashedCrossing": (5,),
    "Hashing": (5,),
    "LSTM": (3,),
    "MultiHeadAttention": (2, 2),
    "Permute": ((2, 1),),
    "RandomBrightness": (0.2,),
    "RandomColorDegeneration": (0.2,),
    "RandomContrast": (0.2,),
    "RandomCrop": (4, 4),
    "RandomHeight": (0.2,),
    "RandomHue": (0.2,),
    "RandomPosterization": (3,),
    "RandomRotation": (0.2,),
    "RandomSaturation": (0.2,),
    "RandomSharpness": (0.2,),
    "RandomTranslation": (0.2, 0.2),
    "RandomWidth": (0.2,),
    "RandomZoom": (0.2,),
    "RepeatVector": (3,),
    "Rescaling": (1 / 255,),
    "Reshape": ((-1, 2),),
    "Resizing": (4, 4),
    "ReversibleEmbedding": (20, 2),
    "SimpleRNN": (3,),
}
# By the beginning of the name, for the kinds of convolutions.
CONVOLUTION = ("Conv", "Separable", "Locally")
NAMED = {
    "ActivityRegularization": {"l2": 0.1},
    "BatchNormalization": {"gamma_constraint": "non_neg", "beta_regularizer": "l2"},
    "Discretization": {"bin_boundaries": [0.0, 0.5, 1.0]},
    "GroupNormalization": {"groups": 1},
    "IntegerLookup": {"vocabulary": [3, 5, 7]},
    "Normalization": {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 1.0, 2.0]},
    "RandomGaussianBlur": {"factor": 1.0},
    "ReLU": {"max_value": 6.0},
    "STFTSpectrogram": {"frame_length": 16, "frame_step": 8, "fft_length": 16},
    "StringLookup": {"vocabulary": WORDS},
    "TextVectorization": {"vocabulary": WORDS, "ngrams": 2, "output_mode": "tf_idf"},
    **{name: {"rate": 0.2} for name in ("AlphaDropout", "Dropout", "GaussianDropout")},
    **{f"SpatialDropout{n}D": {"rate": 0.2} for n in (1, 2, 3)},
    "GaussianNoise": {"stddev": 0.2},
}
NAMED["TextVectorization"]["idf_weights"] = [1.0, 2.0, 3.0]
SEVERAL = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
ATTENTION = ("AdditiveAttention", "Attention", "GroupedQueryAttention", "MultiHeadAttention")
SHAPES = {
    "row": (6,),
    "steps": (6, 4),
    "image": (8, 8, 3),
    "volume": (4, 4, 4, 2),
    "films": (2, 5, 5, 2),
    "moving volumes": (2, 3, 3, 3, 1),
    "sound": (64, 1),
    "ids": (6,),
    "texts": (1,),
}
OTHERS = {"ids": "int64", "texts": "string"}
ON_IMAGES = ("Random", "Resizing", "CenterCrop", "Rescaling", "AutoContrast", "AugMix", "RandAug",
             "Equalization", "Solarization", "Contrast", "GroupNormalization", "Normalization",
             "BatchNormalization", "UnitNormalization")  # fmt: skip
ON_STEPS = ("LSTM", "GRU", "SimpleRNN", "Masking", "EinsumDense", "Permute", "Reshape")
ON_IDS = ("Embedding", "ReversibleEmbedding", "IntegerLookup", "CategoryEncoding", "Hashing")


def list_layers(k):
    """Give the classes of layers that a Keras has, each once, by their names."""
    classes = {
        layer
        for name in dir(k.layers)
        if isinstance(layer := getattr(k.layers, name), type) and issubclass(layer, k.layers.Layer)
    }
    return {layer.__name__: layer for layer in classes}


def choose_inputs(name):
    if name.startswith("ConvLSTM"):
        return [{"1": "image", "2": "films", "3": "moving volumes"}[name[8]]]
    for size, kind in (("1D", "steps"), ("2D", "image"), ("3D", "volume")):
        if size in name:
            return [kind]
    if name in SEVERAL:
        return ["row", "row"]
    if name in ATTENTION:
        return ["steps", "steps"]
    for begins, kind in ((ON_STEPS, "steps"), (ON_IMAGES, "image"), (ON_IDS, "ids")):
        if name.startswith(begins):
            return [kind]
    if name in ("StringLookup", "TextVectorization"):
        return ["texts"]
    if name == "STFTSpectrogram":
        return ["sound"]
    if name == "HashedCrossing":
        return ["texts", "texts"]
    return ["row"]


def make_layer(layer):
    name = layer.__name__
    arguments = ARGUMENTS.get(name, ())
    if not arguments and name.startswith(CONVOLUTION):
        arguments = (2, 2)
    return layer(*arguments, **NAMED.get(name, {}), name=f"the_{name.lower()}")


def call_layers(k, inputs, without=()):
    """Call every layer but those without, and give what each gives, by its class."""
    ls = k.layers
    steps = inputs["steps"]
    made = {}
    for name, layer in sorted(list_layers(k).items()):
        if name in NOT_ALONE or name in without:
            continue
        if name in ("TimeDistributed", "Bidirectional", "SpectralNormalization"):
            inner = ls.LSTM(2) if name == "Bidirectional" else ls.Dense(2)
            made[name] = layer(inner, name=f"the_{name.lower()}")(steps)
            continue
        tensors = [inputs[kind] for kind in choose_inputs(name)]
        called = make_layer(layer)
        if name in ("MultiHeadAttention", "GroupedQueryAttention"):
            made[name] = called(*tensors)
        else:
            made[name] = called(tensors if len(tensors) > 1 else tensors[0])
    cells = [ls.GRUCell(2), ls.LSTMCell(2), ls.SimpleRNNCell(2), [ls.GRUCell(2), ls.LSTMCell(3)]]
    made["RNN"] = [ls.RNN(cell)(steps) for cell in cells]
    return made


def build_every_layer(k, without=(), not_in_hdf5=NOT_IN_HDF5):
    """Give a model of every layer, and the same with fewer: no layer of it is made anew."""
    inputs = {
        name: k.Input(shape, name=name, dtype=OTHERS.get(name, "float32"))
        for name, shape in SHAPES.items()
    }
    made = call_layers(k, inputs, without)
    fewer = {name: outputs for name, outputs in made.items() if name not in not_in_hdf5}
    return [k.Model(inputs, flatten(each), name="every_layer") for each in (made, fewer)]


def flatten(outputs):
    flat = []
    for each in outputs.values():
        flat += each if isinstance(each, list | tuple) else [each]
    return flat


def build_parts(k):
    """Settings of every kind: initializers, constraints, dtypes, metrics, a loss, an optimizer."""
    ls = k.layers
    x = i = k.Input((6,), name="i")
    for initializer in ("glorot_uniform", "he_normal", "lecun_uniform", "zeros", "orthogonal"):
        x = ls.Dense(6, kernel_initializer=initializer, kernel_constraint="max_norm")(x)
    x = ls.Dense(6, kernel_initializer=k.initializers.Constant(np.eye(6)), dtype="mixed_float16")(x)
    x = ls.Dense(6, kernel_regularizer=k.regularizers.L1L2(0.1, 0.2), activation="swish")(x)
    x = ls.ReLU(max_value=float("inf"), threshold=0.0)(x)
    odd = "a layer, with [odd] name" if hasattr(k, "ops") else "odd.name"
    x = k.Sequential([ls.Dense(6, name="inner")], name=odd)(x)
    scale = k.utils.get_registered_object("Custom>CustomScaleLayer")
    if scale is not None:  # as a part of InceptionResNetV2
        x = scale(0.2)([x, x])
    model = k.Model(i, x[:, 1:3] * 2.0 + 1.0, name="parts")
    model.compile("adam", "mse", metrics=["mae", k.metrics.TopKCategoricalAccuracy(2)])
    return model


def build_small_application(k):
    return k.applications.MobileNet((32, 32, 3), 0.25, weights=None, classes=2)
