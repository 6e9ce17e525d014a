"""Train a small classifier of handwritten digits: digits_cnn.keras and the scans it never saw.

Writes beside itself digits_cnn.keras (Keras 3), digits.npz (`scan`: held-out scans, float32 of
shape (360, 8, 8, 1) in 0 to 1) and digits_labels.npy (their labels, uint8 of shape (360,)).
The shipped file was written with Keras 3.12, since older versions can't read the files of 3.15;
Keras 3.5 to 3.15 read this one.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
SEED = 7


def split_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training scans, held-out scans (a fifth), and the labels of each.

    Scans are float32 of shape (N, 8, 8, 1) in 0 to 1, labels uint8 of shape (N,).
    """
    digits = load_digits()
    scans = (digits.images[..., np.newaxis] / 16).astype("float32")
    labels = digits.target.astype("uint8")
    return tuple(train_test_split(scans, labels, test_size=0.2, stratify=labels, random_state=SEED))


def build_model() -> keras.Model:
    """Return the untrained classifier."""
    scan = keras.Input((8, 8, 1), name="scan")
    x = scan
    for block, channels in enumerate((16, 32), start=1):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv{block}")(x)
        x = layers.BatchNormalization(name=f"bn{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="features")(x)
    x = layers.Dropout(0.4, name="dropout")(x)
    digit = layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(scan, digit, name="digits_cnn")


def main() -> None:
    """Train, measure and write."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    train_scans, scans, train_labels, labels = split_digits()
    model = build_model()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(train_scans, train_labels, batch_size=32, epochs=30, verbose=0)

    found = model.predict(scans, verbose=0).argmax(axis=1)
    print(f"accuracy on {len(labels)} held-out scans: {np.mean(found == labels):.4f}")

    # The same layers in a model that was never compiled: the file then holds no optimizer.
    trained = keras.Model(model.input, model.output, name=model.name)
    trained.save(HERE / "digits_cnn.keras")
    np.savez_compressed(HERE / "digits.npz", scan=scans)
    np.save(HERE / "digits_labels.npy", labels)


if __name__ == "__main__":
    main()
