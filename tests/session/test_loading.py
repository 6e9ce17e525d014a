"""A model in memory has the same checks and the same record as a file."""

from __future__ import annotations

import hashlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
DATA = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def make_model(k=keras, seed=0):
    k.utils.set_random_seed(seed)
    x = k.Input((4,), name="x")
    return k.Model(x, k.layers.Dense(3, name="d")(x), name="small")


def read_attrs(path):
    with kprobe.open_dump(path) as dump:
        return dump.attrs


@KERASES
@pytest.mark.parametrize("device", ["toaster", "gpu:-1", "cpu:1", "gpux", "gpu:99", 3])
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(k, device, tmp_path):
    with pytest.raises(kprobe.KprobeError, match="device") as caught:
        kprobe.dump(make_model(k), "d", inputs=DATA, output=tmp_path / "a.h5", device=device)
    assert str(device) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_device_that_was_asked_for_is_recorded(tmp_path):
    kprobe.dump(make_model(), "d", inputs=DATA, output=tmp_path / "a.h5", device="cpu")
    assert json.loads(read_attrs(tmp_path / "a.h5")["options"])["device"] == "cpu"


def test_threads_that_can_not_be_had_any_more_are_refused(tmp_path):
    model = make_model()
    had = tf.config.threading.get_intra_op_parallelism_threads()
    for call in (
        lambda: kprobe.activations(model, "d", DATA, threads=had + 3),
        lambda: kprobe.function(model, "d", threads=had + 3),
        lambda: kprobe.dump(model, "d", output=tmp_path / "a.h5", threads=had + 3),
    ):
        with pytest.raises(kprobe.KprobeError) as caught:
            call()
        assert str(caught.value) == (
            f"threads: {had + 3} can't be changed any more, TensorFlow is already running; "
            "choose them before the model is made: "
            f"tf.config.threading.set_intra_op_parallelism_threads({had + 3})"
        )
    assert tf.config.threading.get_intra_op_parallelism_threads() == had
    assert list(tmp_path.iterdir()) == []


THREADS = """
import sys
import keras, numpy as np, tensorflow as tf, kprobe
if sys.argv[1] == "before":
    tf.config.threading.set_intra_op_parallelism_threads(1)
x = keras.Input((4,), name="x")
layer = keras.layers.ReLU if sys.argv[1] == "unrun" else keras.layers.Dense
model = keras.Model(x, layer(*([] if sys.argv[1] == "unrun" else [3]), name="d")(x))
try:
    kprobe.dump(model, "d", inputs=np.ones((2, 4), "f4"), output=sys.argv[2], threads=1)
except kprobe.KprobeError as error:
    print("refused")
else:
    with kprobe.open_dump(sys.argv[2]) as dump:
        assert dump.attrs["intra_op_threads"] == 1
    print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize(("when", "said"), [("before", {"1"}), ("unrun", {"1", "refused"})])
def test_threads_are_had_where_tensorflow_has_them_or_does_not_run_yet(
    when, said, tmp_path, warm_python
):
    done = warm_python.run("-c", THREADS, when, tmp_path / "a.h5")
    assert done.stdout.strip() in said, done.stderr


@KERASES
def test_other_weights_are_another_run(k, tmp_path):
    first, second = tmp_path / "first.weights.h5", tmp_path / "second.weights.h5"
    make_model(k, 1).save_weights(first)
    make_model(k, 2).save_weights(second)
    options = {"inputs": DATA, "output": tmp_path / "a.h5", "resume": True}
    kprobe.dump(make_model(k), "d", weights=first, **options)
    assert kprobe.dump(make_model(k), "d", weights=first, **options).resumed == 6
    with pytest.raises(kprobe.KprobeError, match="is of another run, and can't be continued") as e:
        kprobe.dump(make_model(k), "d", weights=second, **options)
    assert any(line.startswith("weights_sha256: ") for line in e.value.lines)
    # The same name for another file, and no file but other weights in memory.
    make_model(k, 3).save_weights(first)
    with pytest.raises(kprobe.KprobeError, match="weights_sha256"):
        kprobe.dump(make_model(k), "d", weights=first, **options)
    options["output"] = tmp_path / "b.h5"
    kprobe.dump(make_model(k, 1), "d", **options)
    assert kprobe.dump(make_model(k, 1), "d", **options).resumed == 6
    with pytest.raises(kprobe.KprobeError, match="model_sha256"):
        kprobe.dump(make_model(k, 2), "d", **options)


@KERASES
def test_its_record_is_that_of_a_file(k, tmp_path):
    model, weights = make_model(k), tmp_path / "w.weights.h5"
    make_model(k, 1).save_weights(weights)
    saved = tmp_path / "small.keras"
    model.save(saved)
    common = {"inputs": DATA, "weights": weights, "device": "cpu", "fail_on": "nan"}
    kprobe.dump(saved, "d", output=tmp_path / "file.h5", **common)
    kprobe.dump(model, "d", output=tmp_path / "memory.h5", **common)
    of_file, of_memory = read_attrs(tmp_path / "file.h5"), read_attrs(tmp_path / "memory.h5")
    differing = {
        name
        for name in {*of_file, *of_memory}
        if of_file.get(name, "nothing") != of_memory.get(name, "nothing")
    }
    # A file is known by its name and its bytes, a model in memory by its own.
    assert differing == {"model", "model_sha256", "job"}
    assert of_memory["model"] == "small"
    assert of_memory["weights"] == "w.weights.h5"
    assert of_memory["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    jobs = [json.loads(attrs["job"]) for attrs in (of_file, of_memory)]
    assert jobs[1].pop("model") is None
    assert jobs[0].pop("model") == str(saved)
    assert jobs[0] == jobs[1]
