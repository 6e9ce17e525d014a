"""`kprobe show` of an unfinished dump tells what it takes on the disk, not the room it keeps."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import kprobe
from kprobe.errors import StoppedError


def test_the_size_is_what_is_on_the_disk(kprobe_here, folder):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(3, name="d")(x))
    batches = iter([np.ones((4, 4), "f4")] * 5)
    with pytest.raises(StoppedError):
        kprobe.dump(model, "d", inputs=batches, output="a.h5", batch_size=4, stop_after=1e-9)
    partial = folder / "a.h5.partial"
    # Nobody knows how many samples there are, and the file has room for as many as there may be.
    assert partial.stat().st_size > 1 << 36
    shown = json.loads(kprobe_here("show", str(partial), "--json").stdout)
    assert 0 < shown["bytes"] < 1 << 24
    kprobe.dump(model, "d", inputs=np.ones((4, 4), "f4"), output="b.h5")
    shown = json.loads(kprobe_here("show", "b.h5", "--json").stdout)
    assert shown["bytes"] == (folder / "b.h5").stat().st_size
