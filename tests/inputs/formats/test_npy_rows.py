"""Rows that lie one after another in a file, which may change meanwhile."""

from __future__ import annotations

import os

import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

ROWS = np.arange(20, dtype="f4").reshape(10, 2)


@pytest.mark.parametrize(
    ("label", "save"),
    [
        ("a.npy", lambda: np.save("a.npy", ROWS)),
        ("a.npz:x", lambda: np.savez("a.npz", x=ROWS)),
    ],
)
def test_a_file_that_is_cut_while_it_is_read_is_said_with_the_row(
    tmp_path, monkeypatch, label, save
):
    monkeypatch.chdir(tmp_path)
    save()
    (path,) = tmp_path.iterdir()
    with open_all([path.name], [ModelInput("x", (None, 2), "float32")]) as samples:
        batches = samples.batches(4)
        np.testing.assert_array_equal(next(batches)[1]["x"], ROWS[:4])
        os.truncate(path, path.read_bytes().index(ROWS.tobytes()) + ROWS[:7].nbytes)
        with pytest.raises(InputError) as caught:
            list(batches)
    assert caught.value.faults == (
        f"{label}: expected 10 rows, and the file ends in row 7: it changed while it was read",
    )
