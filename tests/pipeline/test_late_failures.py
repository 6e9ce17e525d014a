"""A run that fails late says what it leaves, and how to continue."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kprobe
from kprobe.errors import InputError

DATA = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")


@pytest.fixture(scope="module")
def model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(3, name="d")(x))


def give(batches, *, fails):
    def give():
        yield from (DATA[4 * number : 4 * number + 4] for number in range(batches))
        if fails:
            raise ValueError("the camera fell")

    return give


@pytest.mark.parametrize("batches", [3, 5])
def test_the_unfinished_dump_is_named_and_goes_on(model, batches, tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(InputError) as caught:
        kprobe.dump(model, "d", inputs=give(batches, fails=True), output=path, batch_size=4)
    assert caught.value.faults == ("give failed: ValueError: the camera fell",)
    rows = 4 * batches
    assert caught.value.hint == (
        f"{rows} samples are in {path}.partial, which continues with resume=True"
    )
    with kprobe.open_dump(f"{path}.partial") as dump:
        assert dump.committed == rows
    receipt = kprobe.dump(
        model, "d", inputs=give(6, fails=False), output=path, batch_size=4, resume=True
    )
    assert (receipt.resumed, receipt.rows) == (rows, 24)


def test_where_nothing_is_left_nothing_is_said(model, tmp_path):
    with pytest.raises(InputError) as caught:
        kprobe.dump(model, "d", inputs=give(1, fails=True), output=tmp_path / "a.h5", batch_size=8)
    assert caught.value.hint is None
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_continued_is_not_advised(model, tmp_path):
    path = tmp_path / "a.h5"
    options = {"batch_size": 4, "stateful": True}
    with pytest.raises(InputError) as caught:
        kprobe.dump(model, "d", inputs=give(3, fails=True), output=path, **options)
    assert caught.value.hint == f"12 samples are in {path}.partial"


def test_an_earlier_hint_stays(model, tmp_path):
    path, faulty = tmp_path / "a.h5", DATA.copy()
    np.save(tmp_path / "x.npy", faulty)
    (tmp_path / "y.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-96])
    x, y = (keras.Input((4,), name=name) for name in "xy")
    both = keras.Model([x, y], keras.layers.Add(name="sum")([x, y]))

    def short():
        yield DATA[:20]

    with pytest.raises(InputError) as caught:
        kprobe.dump(both, "sum", inputs={"x": DATA, "y": short}, output=path, batch_size=8)
    assert caught.value.hint.startswith("limit=20; 16 of 24 samples are in")
