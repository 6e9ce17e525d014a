"""Nothing is read or decompressed more often than there is need."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
from opened import open_all

from kprobe.inputs import ModelInput
from kprobe.inputs.images import decoding


def count_bytes_read():
    """The bytes that this process has read from files so far, from the system's memory too."""
    text = Path("/proc/self/io").read_text()
    return int(text.partition("rchar:")[2].split()[0])


@pytest.mark.parametrize("batch_size", [1, 10, 999])
def test_small_batches_do_not_decompress_a_large_chunk_again(tmp_path, batch_size):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        rows = np.random.default_rng(0).integers(0, 9, (1000, 64, 64), "uint8")
        # Of a band of 1,000 rows HDF5 by itself keeps 1 MB of 4.
        file.create_dataset("x", data=rows, chunks=(1000, 32, 64), compression="gzip")
    before = count_bytes_read()
    with open_all([str(path)], [ModelInput("x", (None, 64, 64), "uint8")]) as samples:
        for first, batch in samples.batches(batch_size):
            np.testing.assert_array_equal(batch["x"], rows[first : first + batch_size])
    # What is decompressed again is read again.
    assert count_bytes_read() - before < 1.5 * path.stat().st_size


def test_images_that_are_opened_again_arent_traced_again(tmp_path, monkeypatch):
    """A run itself opens them twice: for a look at the first ones, and to read them all."""
    original, traced = decoding.make_row, []

    def make_row(content, form):
        traced.append(form)
        return original(content, form)

    monkeypatch.setattr(decoding, "make_row", make_row)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 23, 29, 3), "uint8")
    for number, image in enumerate(pixels):
        PIL.Image.fromarray(image).save(tmp_path / f"{number}.png")
    # A size that no other test has, which would be known already.
    inputs = [ModelInput("x", (None, 23, 29, 3), "uint8")]
    for _ in range(2):
        with open_all([str(tmp_path)], inputs) as samples:
            np.testing.assert_array_equal(samples.peek(1)["x"], pixels[:1])
            ((_, batch),) = samples.batches(4)
            np.testing.assert_array_equal(batch["x"], pixels)
    assert len(traced) == 1
