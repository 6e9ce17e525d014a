"""Run in a process of its own: jobs that are killed, each in a child. `FOLDER` on the command line.

Reads a line `KIND SECONDS OUTPUT` for each, kills it after that time unless it is done before,
and prints its exit code, negative for a signal. TensorFlow is imported once, and used only in the
children.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kprobe
import kprobe.dumps.files.disk
import kprobe.pipeline.running.run

FOLDER = Path(sys.argv[1])
ROWS = 3000


class Kept(keras.layers.Layer):
    """As many numbers of a sample as it says itself."""

    def call(self, x):
        return tf.boolean_mask(x[:, 1:], x[:, 1:] > x[:, :1])


def make_model():
    keras.utils.set_random_seed(0)
    x = keras.Input((8,), name="x")
    h = keras.layers.Dropout(0.5, name="drop")(keras.layers.Dense(500, name="dense")(x))
    return keras.Model(x, [keras.layers.Dense(3, name="out")(h), Kept(name="kept")(x)])


GENERATOR = """
from pathlib import Path
import numpy as np

def batches():
    return iter(np.load(Path(__file__).with_name("x.npy")).reshape(-1, 12, 8))
"""
KINDS = {
    "plain": {"layers": "dense,drop,out", "batch_size": 8},
    "ragged": {"layers": "dense,kept", "limit": 600},
    "stream": {"layers": "dense,out", "batch_size": 8},
    "ragged stream": {"layers": "kept,out", "limit": 600},
    "training": {"layers": "drop,out", "batch_size": 8, "training": True},
}


def run(kind, output):
    # What is lost is at most this; ten seconds would be all of so short a run.
    kprobe.pipeline.running.run._COMMIT_SECONDS = 0.02
    # As a dump of many gigabytes is written.
    kprobe.dumps.files.disk._LEAST_FILE_BYTES, kprobe.dumps.files.disk._LEAST_BYTES = 0, 8192
    inputs = np.random.default_rng(0).normal(size=(ROWS, 8)).astype("float32")
    if not (FOLDER / "x.npy").exists():
        np.save(FOLDER / "x.npy", inputs)
    (FOLDER / "given.py").write_text(GENERATOR)
    source = f"{FOLDER}/given.py:batches" if "stream" in kind else str(FOLDER / "x.npy")
    kprobe.dump(
        make_model(),
        inputs=source,
        output=output,
        resume=True,
        **KINDS[kind],
    )


def main():
    for line in sys.stdin:
        kind, seconds, output = line.rstrip("\n").split("\t")
        ready, told = os.pipe()
        child = os.fork()
        if not child:
            try:
                running = kprobe.pipeline.running.run
                running.run_range = telling(running.run_range, told)
                run(kind, output)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        os.close(told)
        os.read(ready, 1)  # it begins to compute, or has failed
        os.close(ready)
        timer = threading.Timer(float(seconds), os.kill, (child, signal.SIGKILL))
        timer.start()
        status = os.waitpid(child, 0)[1]
        timer.cancel()
        print(os.waitstatus_to_exitcode(status), flush=True)


def telling(function, pipe):
    """Tell when a function is called."""

    def call(*args, **kwargs):
        os.write(pipe, b"!")
        return function(*args, **kwargs)

    return call


if __name__ == "__main__":
    main()
