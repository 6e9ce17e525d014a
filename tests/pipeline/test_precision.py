"""bfloat16 on request: faster on some processors, and the error is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((16, 16, 8), name="x")
    h = keras.layers.Conv2D(16, 3, activation="relu", name="conv")(x)
    return keras.Model(x, keras.layers.Conv2D(4, 3, name="last")(h))


@pytest.mark.parametrize("rows", [8, 300])  # not frozen, and frozen
def test_the_error_is_that_against_float32(model, tmp_path, rows):
    data = np.random.default_rng(0).normal(size=(rows, 16, 16, 8)).astype("float32")
    found = {}
    for precision in ("float32", "bfloat16"):
        path = tmp_path / f"{precision}.h5"
        options = {"inputs": data, "output": path, "batch_size": 8}
        kprobe.dump(model, "last", precision=precision, **options)
        with kprobe.open_dump(path) as dump:
            found[precision] = dump["last"][:]
            error = dump.attrs.get("bfloat16_error")
            assert dump["last"].dtype == np.float32
    difference = np.abs(found["float32"][:8] - found["bfloat16"][:8]).max()
    expected = difference / np.abs(found["float32"][:8]).max()
    # 0 on a processor whose compiler leaves the model as it is; else of 8 bits' precision.
    assert error == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert expected < 0.05
    np.testing.assert_allclose(found["bfloat16"], found["float32"], atol=0.1)


def test_the_options_of_the_process_stay_as_they_were(model, tmp_path):
    before = tf.config.optimizer.get_experimental_options()
    kprobe.dump(model, "last", output=tmp_path / "a.h5", random=4, precision="bfloat16")
    after = tf.config.optimizer.get_experimental_options()
    assert {k: v for k, v in after.items() if v} == {k: v for k, v in before.items() if v}


def test_bfloat16_is_not_exact(model, tmp_path):
    with pytest.raises(kprobe.KprobeError, match="precision: expected 'float32' together with"):
        kprobe.dump(model, "last", output=tmp_path / "a.h5", precision="bfloat16", exact=True)


def test_the_error_is_that_of_what_is_finite(tmp_path):
    x = keras.Input((8,), name="x")
    keras.utils.set_random_seed(0)
    model = keras.Model(x, keras.layers.Dense(16, name="dense")(x))
    samples = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
    errors = []
    for bad in (samples[5, 3], np.nan, np.inf):
        samples[5, 3] = bad
        kprobe.dump(
            model,
            "dense",
            inputs=samples,
            precision="bfloat16",
            output=tmp_path / "a.h5",
            overwrite=True,
        )
        with kprobe.open_dump(tmp_path / "a.h5") as dump:
            errors.append(dump.attrs["bfloat16_error"])
    assert all(np.isfinite(errors))
    # One row of 60 is left out of it.
    np.testing.assert_allclose(errors[1:], errors[0], rtol=0.9)
