"""How many samples are in a batch, and how many batches are computed at a time, unless told."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running import forecast


def make_model(size, filters=64, **options):
    """A model whose largest tensor is its only inner one, and that gives next to nothing."""
    image = keras.Input((size, size, 1), name="image")
    wide = keras.layers.Conv2D(filters, 1, name="wide", **options)(image)
    rest = keras.layers.Dropout(0.5, name="drop")(
        keras.layers.GlobalAveragePooling2D(name="pool")(wide)
    )
    return keras.Model(image, rest)


def choose(model, folder, layers="pool", rows=40, **options):
    """Give the size of a batch, and how many are computed at a time."""
    job = make_job(
        model=model,
        layers=layers.split(","),
        inputs=options.pop("inputs", ()),
        random=rows,
        output=folder / "a.h5",
        **options,
    )
    with plan_job(job) as ready:
        assert ready.attrs["batch_size"] == ready.batch_size
        assert ready.attrs["streams"] == ready.streams
        return ready.batch_size, ready.streams


@pytest.mark.parametrize("rows", [40, 300], ids=["as it is", "frozen"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [(128, 8), (129, 4), (256, 2), (300, 1)],  # 4, 4.1, 16 and 22 MiB
)
def test_the_largest_tensor_of_a_batch_is_kept_small(size, expected, rows, tmp_path):
    assert choose(make_model(size), tmp_path, rows=rows)[0] == expected


def test_small_models_have_large_batches(tmp_path):
    assert choose(make_model(8, 4), tmp_path, rows=5000)[0] == 1024
    assert choose(make_model(8, 4), tmp_path, rows=100)[0] == 128


def test_where_samples_mix_batches_are_those_of_training(tmp_path):
    assert choose(make_model(8, 4), tmp_path, rows=5000, training=True)[0] == 32
    assert choose(make_model(128), tmp_path, training=True)[0] == 32
    assert choose(make_model(8, 4), tmp_path, rows=5000, feeds=["wide=mean"])[0] == 32


def test_what_the_model_leaves_open_the_samples_tell(tmp_path):
    images = np.zeros((20, 512, 512, 3), "uint8")  # 3 MiB as floating-point numbers
    np.save(tmp_path / "images.npy", images)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(image))
    source = {"inputs": [str(tmp_path / "images.npy")]}
    assert choose(model, tmp_path, rows=None, **source)[0] == 8


def test_what_nobody_knows_the_size_of_is_taken_for_large(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(image))
    uneven = [np.zeros((4 + row % 2, 4, 3), "uint8") for row in range(300)]
    assert choose(model, tmp_path, rows=None, inputs={"image": uneven})[0] == 32
    large = [np.zeros((512 + row % 2, 512, 3), "uint8") for row in range(20)]
    assert choose(model, tmp_path, rows=None, inputs={"image": large})[0] == 8
    assert choose(make_model(8, 4), tmp_path, rows=300, eager=True)[0] == 32


def test_what_nobody_knows_the_time_of_is_taken_for_slow(tmp_path):
    (tmp_path / "given.py").write_text(
        "import numpy as np\ndef batches(): yield np.zeros((300, 8, 8, 1), 'float32')\n"
    )
    source = {"rows": None, "inputs": [f"{tmp_path}/given.py:batches"]}
    assert choose(make_model(8, 4), tmp_path, **source)[0] == 32

    class Python(keras.layers.Layer):
        def call(self, images):
            result = tf.numpy_function(lambda values: values, [images], tf.float32)
            result.set_shape(images.shape)
            return result

    image = keras.Input((2,), name="image")
    model = keras.Model(image, Python(name="python")(image))
    assert choose(model, tmp_path, "python", rows=300) == (32, 1)


@pytest.fixture
def second_a_sample(monkeypatch):
    """A clock by which computing takes a second a sample, and nothing else takes any time."""
    clock, lock, run_batch = [0], threading.Lock(), forecast.run_batch

    def run(plan, first, batch, good):
        results = run_batch(plan, first, batch, good)
        with lock:
            clock[0] += len(next(iter(batch.values())))
        return results

    monkeypatch.setattr(forecast, "run_batch", run)
    monkeypatch.setattr(forecast, "time", SimpleNamespace(perf_counter=lambda: clock[0]))


@pytest.mark.parametrize(("batch_size", "streams"), [(64, 1), (64, 2), (5, 1), (5, 2), (1, 2)])
def test_an_estimate_counts_the_samples(tmp_path, second_a_sample, batch_size, streams):
    given = {"model": make_model(8, 4), "layers": ["pool"], "random": 64}
    options = {"output": tmp_path / "a.h5", "batch_size": batch_size, "streams": streams}
    with plan_job(make_job(**given, **options)) as ready:
        assert forecast.estimate_seconds(ready) == 64


def test_an_estimate_counts_the_samples_of_many_shapes(tmp_path, second_a_sample):
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, keras.layers.Conv2D(32, 7, name="wide")(image))
    uneven = [np.zeros((200 + row, 200, 3), "uint8") for row in range(64)]
    given = {"model": model, "layers": ["wide"], "inputs": {"image": uneven}}
    options = {"output": tmp_path / "a.h5", "batch_size": 64, "streams": 1}
    with plan_job(make_job(**given, **options)) as ready:
        assert forecast.estimate_seconds(ready) == 64


def test_what_is_asked_for_is_done(tmp_path):
    assert choose(make_model(300), tmp_path, batch_size=5, streams=3) == (5, 3)


def test_every_processor_has_something_to_do(tmp_path):
    cores = len(os.sched_getaffinity(0))
    streams = choose(make_model(8, 4), tmp_path)[1]
    assert min(cores, 2) <= streams <= cores


def test_batches_that_depend_on_the_last_one_are_computed_alone(tmp_path):
    for options in ({"training": True}, {"eager": True}, {"stateful": True}):
        assert choose(make_model(8, 4), tmp_path, "drop", **options)[1] == 1


def test_python_in_the_graph_is_called_by_one_batch_at_a_time(tmp_path):
    calls = []

    class Python(keras.layers.Layer):
        def call(self, images):
            def run(values):
                calls.append(len(calls))
                number = len(calls)
                time.sleep(0.01)
                return values * 0 + float(number != len(calls))

            result = tf.py_function(run, [images], tf.float32)
            result.set_shape(images.shape)
            return result

    image = keras.Input((2,), name="image")
    model = keras.Model(image, Python(name="python")(image))
    output = tmp_path / "a.h5"
    kprobe.dump(model, "python", inputs=np.zeros((20, 2), "float32"), output=output, batch_size=2)
    with kprobe.open_dump(output) as dump:
        assert not dump["python"][:].any()
        assert dump.attrs["streams"] == 1


def test_few_results_are_in_memory_at_once(tmp_path):
    # 68 MiB a sample.
    assert choose(make_model(1024, 17), tmp_path, "wide", rows=3) == (1, 1)


def test_another_number_of_streams_goes_on_all_the_same(tmp_path):
    model, samples = make_model(8, 4), np.random.default_rng(0).random((40, 8, 8, 1), "float32")
    options = {"inputs": samples, "output": tmp_path / "a.h5", "batch_size": 8}
    kprobe.dump(model, "wide", streams=1, **options)
    assert kprobe.dump(model, "wide", streams=2, resume=True, **options).resumed == 40
