"""Save tiny models with Keras 1.2 and what it computes for them.

`PYTHON save_keras_1.py`, in this folder; the files that are here are of Python 2.7.18,
Keras 1.2.2, TensorFlow 1.4.1, h5py 2.10.0, NumPy 1.16.6.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import reference
from keras import layers as ls


def cnn():
    """A Sequential, trained for a step, so that the file holds an optimizer's state."""
    model = keras.models.Sequential(
        [
            ls.ZeroPadding2D((1, 1), input_shape=(6, 6, 2), name="border"),
            ls.Convolution2D(3, 3, 2, border_mode="valid", bias=False, name="block1/conv"),
            ls.BatchNormalization(name="block1/bn"),
            ls.Activation("relu", name="block1/relu"),
            ls.AtrousConvolution2D(2, 2, 2, atrous_rate=(2, 2), name="dilated"),
            ls.MaxPooling2D((1, 2), border_mode="same", name="pool"),
            ls.Dropout(0.5, name="drop"),
            ls.Deconvolution2D(2, 2, 3, (None, 8, 5, 2), subsample=(2, 1), name="up"),
            ls.PReLU(name="prelu"),
            ls.Flatten(name="flat"),
            ls.Dense(2, activation="softmax", W_regularizer="l2", name="digit"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    draw = np.random.RandomState(1)
    model.train_on_batch(draw.randn(4, 6, 6, 2), np.eye(2)[[0, 1, 0, 1]])
    return model


def nested():
    """Two inputs; a nested model, a nested Sequential and a layer, all shared; merges."""
    inner = ls.Input((5, 5, 1), name="patch")
    x = ls.Convolution2D(2, 3, 3, name="conv")(inner)
    x = ls.BatchNormalization(name="bn")(x)
    encoder = keras.models.Model(inner, ls.Flatten(name="flat")(x), name="encoder")
    head = keras.models.Sequential(
        [ls.Dense(4, activation="tanh", input_dim=18, name="h1"), ls.GaussianNoise(0.5, name="h2")],
        name="head",
    )
    shared = ls.Dense(4, name="shared")
    left, right = ls.Input((5, 5, 1), name="left"), ls.Input((5, 5, 1), name="right")
    pair = [shared(head(encoder(side))) for side in (left, right)]
    modes = ("sum", "mul", "ave", "max", "dot")
    merged = [ls.merge(pair, mode=mode, name="merge_" + mode) for mode in modes]
    x = ls.merge(merged, mode="concat", concat_axis=1, name="both")
    return keras.models.Model([left, right], [ls.Dense(2, name="same")(x), pair[0]], name="siamese")


def rnn():
    """Recurrent layers, in wrappers and bare, with masks."""
    words = ls.Input((5,), name="words")
    x = ls.Embedding(7, 3, mask_zero=True, name="embedding")(words)
    x = ls.Bidirectional(ls.LSTM(2, return_sequences=True), name="both_ways")(x)
    x = ls.TimeDistributed(ls.Dense(3, activation="relu"), name="each_step")(x)
    x = ls.GRU(3, return_sequences=True, dropout_W=0.5, name="gru")(x)
    x = ls.LSTM(3, return_sequences=True, consume_less="gpu", name="lstm")(x)
    y = ls.Embedding(7, 3, name="unmasked")(words)
    y = ls.Convolution1D(2, 3, border_mode="same", name="conv")(y)
    y = ls.MaxPooling1D(2, name="pool")(y)
    y = ls.GlobalAveragePooling1D(name="mean")(y)
    outputs = [ls.SimpleRNN(2, name="simple")(x), y]
    return keras.models.Model(words, outputs, name="rnn")


def main():
    draw = np.random.RandomState(0)
    images = draw.randn(3, 2, 6, 6, 2).astype("float32")
    inputs = {
        "cnn": {"zeropadding2d_input_1": images[0]},
        "nested": {"left": images[1, :, :5, :5, :1], "right": images[2, :, :5, :5, :1]},
        "rnn": {"words": np.array([[1, 2, 3, 0, 0], [6, 5, 4, 3, 2]], "float32")},
    }
    for build in (cnn, nested, rnn):
        kind = build.__name__
        keras.backend.clear_session()
        np.random.seed(0)
        model = build()
        # So that biases and statistics matter, too, whichever way they were initialised.
        model.set_weights([draw.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
        reference.save(keras, model, inputs[kind], "keras-" + keras.__version__ + "-" + kind)


main()
