"""`kprobe bench` with several batch sizes plans with the smallest of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

CODE = """
from pathlib import Path

import keras
import tensorflow as tf

class Layer(keras.layers.Layer):
    def call(self, x):
        def note(values):
            with Path("sizes.txt").open("a") as file:
                file.write(f"{len(values)}\\n")
            return values

        noted = tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)
        clips = tf.reshape(noted, (-1, 4, 3))
        return tf.reshape(clips - clips[:, :1], (-1, 3))

    def compute_output_shape(self, shape):
        return shape

def make():
    x = keras.Input((3,), name="x")
    return keras.Model(x, Layer(name="clips")(x))
"""


@pytest.mark.parametrize("sizes", ["16,4,8", "4,8,16", "8,16"])
def test_the_smallest_batch_size_is_planned_with(kprobe_here, folder, sizes):
    (folder / "model.py").write_text(CODE)
    np.save(folder / "x.npy", np.zeros((32, 3), "f4"))
    arguments = ("-i", "x.npy", "--layers", "clips", "--batch-size", sizes, "--seconds", "0.01s")
    done = kprobe_here("bench", "model.py:make", "--json", "-v", *arguments)
    assert done.exit_code == 0, done.stderr
    measured = [each["batch_size"] for each in json.loads(done.stdout)["batch_sizes"]]
    assert measured == [int(size) for size in sizes.split(",")]
    ran = [int(line) for line in (folder / "sizes.txt").read_text().split()]
    # Each sample stands for a frame: a batch of another size than those asked for would fail.
    assert ran[0] == min(measured)
    assert {*ran} <= {*measured, 2 * min(measured)}
