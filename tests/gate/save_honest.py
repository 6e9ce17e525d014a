"""Save honest models with both Kerases: every layer that they have. `DIRECTORY`.

Run by the tests in a process of its own, since saving an HDF5 file changes how a Keras saves what
comes after it.
"""

import json
import sys
import warnings
from pathlib import Path

import keras
import tf_keras
from every_layer import build_every_layer, build_parts, build_small_application

# tf_keras looks its own class up in TensorFlow's Keras, which is another one here.
WITHOUT = {"k3": (), "k2": ("SpectralNormalization",)}


def build_pipeline():
    """Layers for training, which take images and labels together."""
    ls = keras.layers
    parts = [ls.Equalization(), ls.RandomFlip(), ls.MixUp(), ls.CutMix(), ls.MaxNumBoundingBoxes(3)]
    return keras.Sequential([ls.Pipeline(parts)], name="pipeline")


def main(directory):
    warnings.simplefilter("ignore")
    covered = {}
    for tag, k in (("k3", keras), ("k2", tf_keras)):
        every_layer, for_hdf5 = build_every_layer(k, WITHOUT[tag])
        covered[tag] = sorted({type(layer).__name__ for layer in every_layer.layers})
        others = [build_parts(k), build_small_application(k)]
        if k is keras:
            others.append(build_pipeline())
        # A model saved as HDF5 serializes its nested models the old way from then on.
        for suffix, first in (("keras", every_layer), ("h5", for_hdf5)):
            for model in (first, *others):
                model.save(directory / f"{tag}_{model.name}.{suffix}")
    (directory / "covered.json").write_text(json.dumps(covered))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
