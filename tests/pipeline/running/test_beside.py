"""Tensors that are gone through while others are computed: errors, and one result of any number."""

from __future__ import annotations

import contextlib
import os
import threading

import keras
import numpy as np
import pytest

from kprobe.analysis.statistics import blocks
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.beside import Beside
from kprobe.pipeline.statistics.of_model import gather_model

LARGE = 1 << 20


def test_tasks_of_a_batch_run_at_the_same_time_and_are_done_behind_the_wait():
    with contextlib.closing(Beside(2)) as beside:
        # Either task ends only when the other has begun.
        both, done = threading.Barrier(2, timeout=30), []
        beside.begin([(LARGE, lambda n=n: done.append((both.wait(), n))) for n in range(2)])
        beside.wait()
        assert sorted(number for _, number in done) == [0, 1]
        assert beside.waiting == 0


def test_a_batch_begins_when_the_one_before_is_done():
    with contextlib.closing(Beside(2)) as beside:
        go, done = threading.Event(), []
        beside.begin([(LARGE, lambda: done.append(go.wait(30))), (8, lambda: done.append(None))])
        assert beside.waiting == 1
        go.set()
        beside.begin([(LARGE, lambda: done.append(2))])
        beside.wait()
        assert done[-1] == 2
        assert len(done) == 3
        assert beside.waiting == 0


def test_each_task_is_done_once_however_small_in_another_thread():
    done = []
    with contextlib.closing(Beside(3)) as beside:
        tasks = [
            (size, lambda n=n: done.append((n, threading.current_thread().name)))
            for n, size in enumerate([0, 1, 8, LARGE, 8, 1, 0])
        ]
        beside.begin(tasks)
        beside.wait()
    assert sorted(number for number, _ in done) == list(range(7))
    assert threading.current_thread().name not in {name for _, name in done}


def test_what_a_task_raises_is_raised_by_every_wait():
    def fail():
        raise ValueError("a task")

    with contextlib.closing(Beside(2)) as beside:
        beside.begin([(LARGE, fail)])
        for _ in range(2):
            with pytest.raises(ValueError, match="a task"):
                beside.wait()


def test_statistics_are_the_same_bits_on_one_core_and_on_all(monkeypatch):
    # Until so much was gone through in a process, other kernels do it, which may round otherwise.
    monkeypatch.setattr(blocks, "_seen", blocks.ENOUGH)
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
