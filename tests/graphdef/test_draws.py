"""Training and random numbers: both Kerases, seeded by what is asked for and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from probing import KERASES, wrap

import kprobe

STEPS = np.random.default_rng(0).normal(size=(40, 7, 4)).astype("float32")


def run(model, layers, data=STEPS, **options):
    return kprobe.function(model, layers, **options)(data)


@KERASES
def test_dropout_is_active_in_training_only(k):
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.Dropout(0.25, name="drop")(i))
    np.testing.assert_array_equal(run(model, "drop")["drop"], STEPS)
    dropped = run(model, "drop", training=True)["drop"]
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], (STEPS / 0.75)[kept], rtol=1e-6)
    assert 0.7 < kept.mean() < 0.8


def test_dropout_is_that_of_keras_itself_for_the_seed():
    i = keras.Input((7, 4), name="seq")
    model = keras.Model(i, keras.layers.Dropout(0.5, name="drop")(i))
    state = model.get_layer("drop").seed_generator.state
    before = np.array(state.numpy())
    computed = run(model, "drop", training=True, seed=3)["drop"]
    np.testing.assert_array_equal(state.numpy(), before)  # the model is left as it was
    seed = np.random.SeedSequence([3, 0, 0]).generate_state(1, np.uint64)[0] >> np.uint64(33)
    state.assign([int(seed), 0])
    np.testing.assert_array_equal(computed, model(STEPS, training=True))


@KERASES
def test_batch_normalization_uses_the_statistics_of_the_batch(k):
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.BatchNormalization(name="bn", epsilon=1e-3)(i))
    data = STEPS * 3 + 1
    expected = (data - data.mean((0, 1))) / np.sqrt(data.var((0, 1)) + 1e-3)
    computed = run(model, "bn", data, training=True)["bn"]
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-4)
    mean = model.get_layer("bn").get_weights()[2]
    np.testing.assert_array_equal(mean, np.zeros(4))  # its own statistics are left alone


DRAWS = {
    "uniform": lambda x: tf.random.uniform(tf.shape(x)),
    "normal": lambda x: tf.random.normal(tf.shape(x)),
    "truncated": lambda x: tf.random.truncated_normal(tf.shape(x)),
    "integers": lambda x: tf.cast(tf.random.uniform(tf.shape(x), 0, 10**6, tf.int32), tf.float32),
    "gamma": lambda x: tf.random.gamma(tf.shape(x), 2.0),
    "shuffle": lambda x: tf.random.shuffle(x),
}


@KERASES
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_every_draw_follows_from_seed_and_row(k, draw):
    model = wrap(k, draw)
    first = kprobe.function(model, "probe", seed=1)
    rows = [first(STEPS)["probe"], first(STEPS)["probe"]]
    again = kprobe.function(model, "probe", seed=1)
    for expected in rows:
        np.testing.assert_array_equal(again(STEPS)["probe"], expected)
    other = kprobe.function(model, "probe", seed=2)(STEPS)["probe"]
    assert (rows[0] != rows[1]).mean() > 0.5
    assert (rows[0] != other).mean() > 0.5


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [("uniform", 0.5, 12**-0.5), ("normal", 0, 1), ("truncated", 0, 0.88), ("gamma", 2, 2**0.5)],
)
def test_draws_keep_their_distribution(draw, mean, deviation):
    drawn = run(wrap(keras, DRAWS[draw]), "probe", np.zeros((400, 7, 4), "float32"))["probe"]
    assert abs(drawn.mean() - mean) < 0.05
    assert abs(drawn.std() - deviation) < 0.05
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.05


@KERASES
def test_two_draws_differ(k):
    model = wrap(k, lambda x: tf.random.normal(tf.shape(x)) - tf.random.normal(tf.shape(x)))
    assert abs(run(model, "probe")["probe"]).min() > 0


@KERASES
def test_each_iteration_of_a_loop_draws_anew(k):
    def nested(x):
        def outer(row):
            return tf.map_fn(lambda value: value * 0 + tf.random.uniform(()), row)

        return tf.map_fn(outer, x)

    model = wrap(k, nested)
    function = kprobe.function(model, "probe")
    drawn = function(STEPS)["probe"]
    assert len(np.unique(drawn[..., 0])) == drawn[..., 0].size
    assert (function(STEPS)["probe"] != drawn).mean() > 0.99
    np.testing.assert_array_equal(run(model, "probe")["probe"], drawn)


@KERASES
def test_draws_in_branches_and_functions_are_seeded(k):
    @tf.function
    def inside(x):
        return tf.cond(tf.reduce_sum(x) > 1e9, lambda: x, lambda: x + tf.random.normal(tf.shape(x)))

    model = wrap(k, lambda x: inside(x) - inside(x))
    drawn = run(model, "probe")["probe"]
    assert abs(drawn).min() > 0  # each place draws its own
    np.testing.assert_array_equal(run(model, "probe")["probe"], drawn)


@KERASES
def test_what_a_layer_draws_does_not_depend_on_what_else_is_fetched(k):
    i = k.Input((7, 4), name="seq")
    drop = k.layers.Dropout(0.5, name="drop")
    lstm = k.layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5, name="lstm")
    noisy = k.layers.GaussianNoise(1.0, name="noise")(drop(drop(i)))
    model = k.Model(i, k.layers.Concatenate()([lstm(i), k.layers.Flatten()(noisy)]))
    layers = ["drop@0", "drop@1", "lstm", "noise"]
    together = run(model, layers, training=True)
    for layer in layers:
        alone = run(model, layer, training=True, exact=True)[layer]
        np.testing.assert_allclose(alone, together[layer], rtol=1e-5, atol=1e-5)
    kept = together["drop@0"] != 0
    assert 0.4 < (together["drop@1"][kept] != 0).mean() < 0.6  # a mask of its own


@KERASES
def test_augmentation_is_seeded_in_training(k):
    parts = [k.layers.RandomFlip(name="flip"), k.layers.RandomContrast(0.5, name="contrast")]
    model = k.Sequential([k.layers.Input((8, 8, 3)), *parts])
    images = np.random.default_rng(0).random((16, 8, 8, 3), "float32")
    first = run(model, "flip,contrast", images, training=True)
    again = run(model, "flip,contrast", images, training=True)
    flips = {tuple(np.flip(images[0], axes).ravel()) for axes in ((), 0, 1, (0, 1))}
    assert tuple(first["flip"][0].ravel()) in flips
    for layer in ("flip", "contrast"):
        assert (first[layer] != images).any()
        np.testing.assert_array_equal(first[layer], again[layer])


def test_the_same_command_gives_the_same_dump(tmp_path):
    i = keras.Input((7, 4), name="seq")
    model = keras.Model(i, keras.layers.Dropout(0.5, name="drop")(i))
    model.save(tmp_path / "m.keras")
    dumps = []
    for name, options in {"a": {}, "b": {}, "c": {"seed": 1}}.items():
        path = tmp_path / f"{name}.h5"
        options = {"batch_size": 16, "training": True, "inputs": STEPS, **options}
        kprobe.dump(tmp_path / "m.keras", "drop", output=path, **options)
        with kprobe.open_dump(path) as file:
            dumps.append(file["drop"][:])
            assert file.attrs["reproducible"] is True
    np.testing.assert_array_equal(dumps[0], dumps[1])
    assert (dumps[0] != dumps[2]).any()
    assert (dumps[0][:16] != 0).tolist() != (dumps[0][16:32] != 0).tolist()
