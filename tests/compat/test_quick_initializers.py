"""Weights that a file holds needn't be made well first; all others are as ever, up to a bound."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from kprobe.compat.quick_initializers import initialized_quickly
from kprobe.models.load import load_source
from kprobe.session.seeding import seed_initializers

KERASES = pytest.mark.parametrize("library", [keras, tf_keras])
# numpy says so of Keras, which copies the values of a variable to save them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _is_orthogonal(matrix):
    matrix = np.asarray(matrix)
    small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    return np.allclose(small, np.eye(len(small)), atol=1e-4)


@KERASES
def test_matrices_are_orthogonal_until_they_have_taken_enough(library):
    plain = library.initializers.Orthogonal.__call__
    make = [library.initializers.Orthogonal(seed=seed) for seed in range(3)]
    alone = np.asarray(library.initializers.Orthogonal(seed=0)((40, 30)))
    with initialized_quickly(library, 40 * 30 * 30 + 20 * 50 * 20):
        assert np.array_equal(make[0]((40, 30)), alone)
        assert _is_orthogonal(make[1]((20, 50)))
        random = np.asarray(make[2]((40, 30)))
        with pytest.raises(ValueError, match="two-dimensional"):
            make[2]((4,))
    assert not _is_orthogonal(random)
    assert np.allclose(np.linalg.norm(random, axis=0), 1, atol=0.5)
    assert library.initializers.Orthogonal.__call__ is plain


@KERASES
def test_gain_dtype_and_seed_are_kept(library):
    made = []
    for _ in range(2):
        seed_initializers(7)
        with initialized_quickly(library):
            made.append(library.initializers.Orthogonal(gain=30.0)((2, 3, 400), dtype="float16"))
    assert np.array_equal(*made)
    assert tuple(made[0].shape) == (2, 3, 400)
    assert np.asarray(made[0]).dtype == np.float16
    assert np.std(np.asarray(made[0], "float32")) == pytest.approx(30 / 20, rel=0.1)


@KERASES
def test_a_loaded_model_has_the_weights_of_its_file(library, tmp_path):
    x = library.Input((5, 4))
    y = library.layers.GRU(3, return_sequences=True)(
        library.layers.LSTM(6, return_sequences=True)(x)
    )
    model = library.Model(x, library.layers.Dense(8, kernel_initializer="orthogonal")(y))
    for ending in ("keras", "h5"):
        path = tmp_path / f"model.{ending}"
        model.save(path)
        loaded = load_source(path)
        for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
            assert np.array_equal(one, other)


@KERASES
def test_a_model_without_weights_has_orthogonal_ones(library, tmp_path):
    x = library.Input((5, 4))
    path = tmp_path / "model.json"
    path.write_text(library.Model(x, library.layers.LSTM(6, name="r")(x)).to_json())
    loaded = load_source(path, keras=3 if library is keras else 2)
    assert _is_orthogonal(loaded.get_layer("r").get_weights()[1])
