"""Save tiny models with an old Keras 2 and what it computes for them.

`PYTHON save_keras_2.py keras KIND,KIND` or `... tf.keras ...`, in this folder. The files here are
of

    Python 3.6.15, Keras 2.0.9, TensorFlow 1.13.2, h5py 2.10.0, NumPy 1.16.4
    Python 3.6.15, Keras 2.0.9, Theano 1.0.5 (KERAS_BACKEND=theano), the same h5py and NumPy
    Python 3.6.15, Keras 2.2.4, TensorFlow 1.13.2, the same h5py and NumPy
    Python 3.6.15, tf.keras of TensorFlow 1.13.2, the same h5py and NumPy
    Python 3.7.16, Keras 2.3.1, TensorFlow 1.15.5, h5py 2.10.0
    Python 3.7.16, tf.keras of TensorFlow 2.1.4, h5py 2.10.0
    Python 3.8.18, tf.keras of TensorFlow 2.4.4, h5py 2.10.0
    Python 3.9.18, tf.keras of TensorFlow 2.8.4
    Python 3.10.13, tf.keras of TensorFlow 2.15.1
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import reference

if sys.argv[1] == "keras":
    import keras

    VERSION = keras.__version__
else:
    import tensorflow as tf

    keras = tf.keras
    VERSION = tf.__version__
ls = keras.layers


def cnn():
    """A Sequential, trained for a step, so that the file holds an optimizer's state."""
    model = keras.models.Sequential(
        [
            ls.Conv2D(3, (3, 2), padding="same", input_shape=(6, 6, 2), name="block1/conv"),
            ls.BatchNormalization(name="block1/bn"),
            ls.Activation("relu", name="block1/relu"),
            ls.MaxPooling2D(name="pool"),
            ls.Dropout(0.5, name="drop"),
            ls.Conv2DTranspose(2, (2, 3), strides=(2, 1), name="up"),
            ls.Flatten(name="flat"),
            ls.Dense(2, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    draw = np.random.RandomState(1)
    model.train_on_batch(draw.randn(4, 6, 6, 2), np.eye(2)[[0, 1, 0, 1]])
    return model


def nested():
    """Two inputs; a nested model, a nested Sequential and a layer, all shared; merges."""
    inner = ls.Input((5, 5, 1), name="patch")
    x = ls.Conv2D(2, (3, 3), name="conv")(inner)
    x = ls.BatchNormalization(name="bn")(x)
    encoder = keras.models.Model(inner, ls.Flatten(name="flat")(x), name="encoder")
    head = keras.models.Sequential(
        [ls.Dense(4, activation="tanh", input_shape=(18,), name="h1"), ls.Dropout(0.5, name="h2")],
        name="head",
    )
    shared = ls.Dense(4, name="shared")
    left, right = ls.Input((5, 5, 1), name="left"), ls.Input((5, 5, 1), name="right")
    a, b = [shared(head(encoder(side))) for side in (left, right)]
    merged = [ls.Add(name="sum")([a, b]), ls.Multiply(name="product")([a, b])]
    x = ls.Concatenate(name="both")([*merged, ls.Dot(1, name="dot")([a, b])])
    return keras.models.Model([left, right], [ls.Dense(2, name="same")(x), a], name="siamese")


def rnn():
    """Recurrent layers, in wrappers and bare, with masks and with several outputs."""
    words = ls.Input((5,), name="words")
    x = ls.Embedding(7, 3, mask_zero=True, name="embedding")(words)
    x = ls.Bidirectional(ls.LSTM(2, return_sequences=True), name="both_ways")(x)
    x = ls.TimeDistributed(ls.Dense(3, activation="relu"), name="each_step")(x)
    x = ls.GRU(3, return_sequences=True, name="gru")(x)
    # Keras 2.0 has no such GRU.
    after = {} if VERSION.startswith("2.0") else {"reset_after": True}
    x, state = ls.GRU(2, return_sequences=True, return_state=True, name="after", **after)(x)
    return keras.models.Model(words, [ls.SimpleRNN(2, name="simple")(x), state], name="rnn")


def ops():
    """Operations of TensorFlow in a functional model, which it wraps in layers."""
    row = ls.Input((4,), name="row")
    x = ls.Dense(3, name="first")(row)
    x = tf.nn.relu(x + 1) * 2.0
    x = tf.concat([x, tf.reduce_mean(x, 1, True)], 1)[:, 1:]
    return keras.models.Model(row, ls.Dense(2, name="last")(x), name="ops")


def lambdas():
    """A function as bytecode, which only this Python can run."""
    row = ls.Input((4,), name="row")
    x = ls.Lambda(lambda x: x * 2 + 1, name="twice")(row)
    return keras.models.Model(row, ls.Dense(2, name="last")(x), name="lambdas")


def main(kinds, version):
    draw = np.random.RandomState(0)
    images = draw.randn(3, 2, 6, 6, 2).astype("float32")
    inputs = {
        "cnn": {"block1/conv_input": images[0]},
        "nested": {"left": images[1, :, :5, :5, :1], "right": images[2, :, :5, :5, :1]},
        "rnn": {"words": np.array([[1, 2, 3, 0, 0], [6, 5, 4, 3, 2]], "float32")},
        "ops": {"row": draw.randn(2, 4).astype("float32")},
        "lambdas": {"row": draw.randn(2, 4).astype("float32")},
    }
    for kind in kinds:
        if keras.backend.backend() != "theano":
            keras.backend.clear_session()
        np.random.seed(0)
        model = globals()[kind]()
        # So that biases and statistics matter, too, whichever way they were initialised.
        model.set_weights([draw.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
        reference.save(keras, model, inputs[kind], version + "-" + kind)
        if kind == "nested":
            model.save_weights(version + "-weights.h5")


LIBRARY = {"keras": "keras", "tf.keras": "tf"}[sys.argv[1]]
if keras.backend.backend() == "theano":
    import theano.ifelse  # noqa: F401 -- Keras uses it without

    VERSION += "-theano"
main(sys.argv[2].split(","), LIBRARY + "-" + VERSION)
