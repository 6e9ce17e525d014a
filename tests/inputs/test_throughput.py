"""Reading keeps ahead of the models."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
from opened import open_all

from kprobe.inputs import ModelInput

IMAGE = ModelInput("image", (None, 224, 224, 3), "float32")


def measure_seconds(text, model_input, batch_size):
    with open_all([text], [model_input]) as samples:
        start = time.perf_counter()
        for _ in samples.batches(batch_size):
            pass
        return time.perf_counter() - start


def test_small_batches_do_not_decompress_a_large_chunk_again(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        rows = np.random.default_rng(0).integers(0, 9, (1000, 64, 64), "uint8")
        file.create_dataset("x", data=rows, chunks=(1000, 32, 64), compression="gzip")
    model_input = ModelInput("x", (None, 64, 64), "uint8")
    whole = min(measure_seconds(str(path), model_input, 1000) for _ in range(3))
    assert measure_seconds(str(path), model_input, 10) < 10 * whole  # 100 times as long otherwise


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "npz", "h5"])
def test_images_in_place_are_read_at_1500_a_second(tmp_path, form):
    path = tmp_path / f"images.{form}"
    images = np.random.default_rng(0).integers(0, 256, (1024, 224, 224, 3), "uint8")
    if form == "npy":
        np.save(path, images)
    elif form == "npz":
        np.savez(path, image=images)
    else:
        with h5py.File(path, "w") as file:
            file["image"] = images
    seconds = min(measure_seconds(str(path), IMAGE, 32) for _ in range(3))
    assert 1024 / seconds > 1500
