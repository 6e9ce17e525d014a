"""Train a siamese network that tells whether two scans show the same digit: siamese.keras.

The encoder is a model of its own that is called twice; between the layers stand operations that
are no layers (`abs`, `x + 1`, a division). The scans of digits.npz are held out here too.
The shipped file was written with Keras 3.12, since older versions can't read the files of 3.15;
Keras 3.5 to 3.15 read this one.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from build_digits_cnn import split_digits
from keras import layers, ops

HERE = Path(__file__).resolve().parent
SEED = 7


def draw_pairs(
    scans: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw `count` pairs of different scans, the first half of them of the same digit.

    Returns the scans under `left` and `right`, float32 of shape (count, 8, 8, 1), and whether
    they show the same digit, float32 of shape (count, 1).
    """
    same = np.arange(count) < count // 2
    left = rng.integers(len(labels), size=count)
    right = np.empty_like(left)
    for pair, first in enumerate(left):
        fits = (labels == labels[first]) == same[pair]
        fits[first] = False
        right[pair] = rng.choice(np.flatnonzero(fits))
    return {"left": scans[left], "right": scans[right]}, same[:, np.newaxis].astype("float32")


def build_encoder() -> keras.Model:
    """Return the model that turns a scan into an embedding of 32 numbers."""
    scan = keras.Input((8, 8, 1), name="scan")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1")(scan)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(scan, layers.Dense(32, name="embedding")(x), name="encoder")


def build_model() -> keras.Model:
    """Return the untrained siamese network."""
    left = keras.Input((8, 8, 1), name="left")
    right = keras.Input((8, 8, 1), name="right")
    encoder = build_encoder()
    difference = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    closeness = 1 / (ops.abs(difference) + 1)
    same = layers.Dense(1, activation="sigmoid", name="same")(closeness)
    return keras.Model([left, right], same, name="siamese")


def main() -> None:
    """Train, measure and write."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(SEED)
    train_scans, scans, train_labels, labels = split_digits()
    train_pairs, train_same = draw_pairs(train_scans, train_labels, 10_000, rng)
    pairs, same = draw_pairs(scans, labels, 2_000, rng)

    model = build_model()
    model.compile("adam", "binary_crossentropy")
    model.fit(train_pairs, train_same, batch_size=64, epochs=15, verbose=0)

    found = model.predict(pairs, verbose=0) > 0.5
    print(
        f"accuracy on {len(same)} held-out pairs, half of them same: {np.mean(found == same):.4f}"
    )

    # The same layers in a model that was never compiled: the file then holds no optimizer.
    trained = keras.Model(model.input, model.output, name=model.name)
    trained.save(HERE / "siamese.keras")


if __name__ == "__main__":
    main()
