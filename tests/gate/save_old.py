"""Save honest models with an old Keras: every layer that it has. `DIRECTORY`.

Run by hand, with `every_layer.py` in the path, by TensorFlow 2.12.1 and 2.15.1 in Python 3.11, and
by Keras 3.0.5, 3.3.3, 3.6.0, 3.10.0 and 3.14.0 with TensorFlow 2.21. All of it is `old.tar.xz`:

    tar --sort=name --mtime=@0 --owner=0 --group=0 -C DIRECTORY -c . | xz -9e > old.tar.xz
"""

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")

import every_layer
import tensorflow as tf

try:
    import keras
except ImportError:
    keras = None


def build_network(k):
    """What SavedModels hold more of than names: words, states, loops, images, a nested model."""
    ls = k.layers
    words = k.Input((), name="words", dtype="string")
    image = k.Input((8, 8, 3), name="image")
    ids = ls.StringLookup(vocabulary=every_layer.WORDS)(words)
    x = ls.Embedding(4, 3)(ls.Reshape((1,))(ids))
    x = ls.Bidirectional(ls.LSTM(2, return_sequences=True))(x)
    x = ls.Flatten()(ls.TimeDistributed(ls.Dense(2))(x))
    y = ls.Rescaling(1 / 255)(ls.RandomFlip()(image))
    y = ls.BatchNormalization()(ls.DepthwiseConv2D(2)(ls.Conv2D(2, 2)(y)))
    y = ls.GlobalAveragePooling2D()(ls.ReLU(max_value=6.0)(y))
    inner = k.Sequential([k.Input((4,)), ls.Dense(2, activation="gelu"), ls.Dropout(0.5)])
    return k.Model({"words": words, "image": image}, inner(ls.Concatenate()([x, y])), name="net")


def main(directory):
    warnings.simplefilter("ignore")
    k = keras if keras is not None and hasattr(keras, "ops") else tf.keras
    version = f"keras-{k.__version__}" if k is keras else f"tf-{tf.__version__}"
    k.utils.set_random_seed(1)
    # Of more layers than today the old ones don't save what draws in HDF5.
    drawing = {name for name in every_layer.list_layers(k) if name.startswith("Random")}
    not_in_hdf5 = drawing | every_layer.NOT_IN_HDF5 if k is keras else ()
    # It gives back its input there, and no model of that input can be saved any more.
    without = ("RandomGrayscale",) if version.startswith("keras-3.10.") else ()
    whole, for_hdf5 = every_layer.build_every_layer(k, without, not_in_hdf5)
    parts, network = every_layer.build_parts(k), build_network(k)
    formats = {"save_format": "keras"} if version.startswith("tf-2.12") else {}
    for model in (whole, parts):
        model.save(directory / f"{version}-{model.name}.keras", **formats)
    # Keras 3.0 gives weights of one layer the same name in HDF5.
    for model in (parts,) if version.startswith("keras-3.0.") else (for_hdf5, parts):
        model.save(directory / f"{version}-{model.name}.h5")
    if k is not keras:
        network.save(directory / f"{version}-net")
    elif hasattr(network, "export"):
        network.export(directory / f"{version}-net")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
