"""Tensors that are gone through while others are computed: errors, and one result of any number."""

from __future__ import annotations

import contextlib
import os
import threading

import keras
import numpy as np
import pytest

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.beside import Beside
from kprobe.pipeline.statistics.of_model import gather_model

LARGE = 1 << 20


def test_tasks_of_a_batch_run_at_the_same_time_and_are_done_behind_the_wait():
    with contextlib.closing(Beside(2)) as beside:
        # Either task ends only when the other has begun.
        both, done = threading.Barrier(2, timeout=30), []
        for number in range(2):
            beside.submit(LARGE, lambda number: done.append((both.wait(), number)), number)
        beside.wait()
        assert sorted(number for _, number in done) == [0, 1]
        assert beside.waiting == 0


def test_a_batch_waits_until_all_its_tasks_are_done():
    with contextlib.closing(Beside(1)) as beside:
        go = threading.Event()
        beside.submit(LARGE, lambda: go.wait(30) and None)
        assert beside.waiting == 1
        go.set()
        beside.wait()
        assert beside.waiting == 0


def test_a_small_task_is_done_at_once():
    done = []
    Beside().submit(8, lambda: done.append(threading.current_thread()))
    assert done == [threading.current_thread()]


def test_what_a_task_raises_is_raised_by_every_wait():
    def fail():
        raise ValueError("a task")

    with contextlib.closing(Beside(2)) as beside:
        beside.submit(LARGE, fail)
        for _ in range(2):
            with pytest.raises(ValueError, match="a task"):
                beside.wait()


def test_statistics_are_the_same_bits_on_one_core_and_on_all():
    keras.utils.set_random_seed(0)
    x = keras.Input((64, 64, 3), name="x")
    h = keras.layers.ReLU(name="relu")(keras.layers.Conv2D(8, 3, name="conv")(x))
    model = keras.Model(x, keras.layers.Conv2D(4, 3, name="out")(h))
    rows = np.random.default_rng(0).normal(size=(20, 64, 64, 3)).astype("float32")
    cores = os.sched_getaffinity(0)
    job = make_job(model=model, layers="conv,relu,out", inputs=rows, batch_size=4, exact=True)
    with plan_job(job) as plan:
        several = gather_model(plan).statistics
        try:
            os.sched_setaffinity(0, {min(cores)})
            one = gather_model(plan).statistics
        finally:
            os.sched_setaffinity(0, cores)
    for address, statistics in several.items():
        arrays = one[address].to_arrays()
        for name, values in statistics.to_arrays().items():
            assert values.tobytes() == arrays[name].tobytes(), (address, name)
