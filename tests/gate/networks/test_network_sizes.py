"""Numbers of a layer's config are bounded where they are sizes, and counted where they are work."""

from __future__ import annotations

import keras
import pytest
import tf_keras

from kprobe.gate.networks.network_sizes import (
    MAX_LENGTH,
    Taken,
    count_made,
    count_own_work,
    find_size_faults,
)


def _layer(kind, **config):
    return {"class_name": kind, "config": {"name": "x", **config}}


@pytest.mark.parametrize(
    ("layer", "fits"),
    [
        (_layer("Dense", units=MAX_LENGTH), True),
        (_layer("Dense", units=MAX_LENGTH + 1), False),
        (_layer("Reshape", target_shape=[4, -MAX_LENGTH - 1]), False),
        (_layer("ZeroPadding2D", padding=[[0, 0], [0, MAX_LENGTH + 1]]), False),
        (_layer("InputLayer", batch_shape=[None, MAX_LENGTH + 1]), False),
        (
            _layer("InputLayer", batch_shape={"class_name": "TensorShape", "items": [None, 2**40]}),
            False,
        ),
        (_layer("Dropout", seed=2**62), True),
        (_layer("Hashing", num_bins=2**40, salt=[2**60, 3]), True),
        (_layer("IntegerLookup", vocabulary=[2**50, -(2**50)], mask_token=2**60), True),
        (_layer("Odd", big=True), True),
        (_layer("mine>Dense", units=2**40), True),
        ({**_layer("Dense", units=2**40), "module": "mine.layers"}, True),
        ({**_layer("Dense", units=2**40), "module": "keras.layers"}, False),
    ],
)
def test_sizes_are_bounded_and_other_numbers_arent(layer, fits):
    assert (not [*find_size_faults(layer, "")]) is fits


@pytest.mark.parametrize(
    ("layer", "fits"),
    [
        (_layer("Dense", units=None), True),
        (_layer("Dense", units="1000000000"), False),
        (_layer("Dense", units=1e9), False),
        (_layer("Dense", units=True), False),
        (_layer("Dense", units={"class_name": "x"}), False),
        (_layer("Conv2D", kernel_size=[3, 3], strides=[1, "2"]), False),
        (_layer("Reshape", target_shape={"class_name": "__tuple__", "items": [-1, 4]}), True),
        (_layer("Permute", dims=[2, 1]), True),
        (_layer("mine>Dense", units="many"), True),
    ],
)
def test_sizes_are_whole_numbers_as_keras_writes_them(layer, fits):
    assert (not [*find_size_faults(layer, "")]) is fits


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_no_layer_of_keras_has_a_large_size_by_itself(library):
    made = [
        library.layers.Dropout(0.1, seed=2**40),
        library.layers.ReLU(max_value=10**12),
        library.layers.Masking(mask_value=-(10**12)),
        library.layers.Rescaling(10**12, offset=10**12),
        library.layers.Hashing(num_bins=10**12),
        library.layers.Discretization(bin_boundaries=[10**12]),
        library.layers.RandomFlip(seed=10**12),
        library.layers.Normalization(mean=10**12, variance=10**12),
    ]
    for layer in made:
        config = {"class_name": type(layer).__name__, "config": layer.get_config()}
        assert not [*find_size_faults(config, "")]


@pytest.mark.parametrize(
    ("layer", "steps", "major", "work"),
    [
        (_layer("Dense", units=9), 50, 3, 1),
        (_layer("LSTM", units=9), 50, 3, 1),
        (_layer("LSTM", units=9, unroll=True), 50, 3, 50),
        (_layer("LSTM", units=9, unroll=True), None, 3, 1),
        (_layer("AugMix", num_chains=3, chain_depth=4), None, 3, 12),
        (_layer("UpSampling1D", size=40), 50, 3, 1),
        (_layer("UpSampling1D", size=40), 50, 2, 21),
        (_layer("SpectralNormalization", power_iterations=7), None, 3, 7),
        (_layer("mine>SpectralNormalization", power_iterations=7), None, 3, 1),
        (
            {
                "class_name": "TFOpLambda",
                "config": {"function": "split"},
                "inbound_nodes": [["x", 0, 0, {"num_or_size_splits": 8}]],
            },
            None,
            2,
            8,
        ),
    ],
)
def test_steps_of_python_are_counted(layer, steps, major, work):
    taken = None if steps is None else Taken(steps=steps)
    assert count_own_work(layer, taken, major) == work


@pytest.mark.parametrize(
    ("layer", "made"),
    [
        (_layer("LSTM", units=9), 0),
        (_layer("LSTM", units=9, stateful=True), 2 * 50 * 9),
        # Python takes any value that isn't 0 for true.
        (_layer("GRU", units=9, stateful=1), 2 * 50 * 9),
        (_layer("Bidirectional", stateful=False), 0),
        (
            _layer(
                "RNN",
                stateful=True,
                cell=_layer("StackedRNNCells", cells=[_layer("GRUCell", units=k) for k in (3, 4)]),
            ),
            2 * 50 * 7,
        ),
        (_layer("ConvLSTM2D", filters=3, stateful=True), 2 * 3 * 50 * 60),
        (_layer("LSTM", units=9, stateful=True, lora_rank=1), 2 * 50 * 9 + 9),
        (_layer("RNN", stateful=True, cell=[1, None], cells=3), 0),
        (_layer("MelSpectrogram", num_mel_bins=5, fft_length=20), 5 * 11),
    ],
)
def test_what_is_made_besides_weights_is_counted(layer, made):
    assert count_made(layer, Taken(batch=50, steps=7, values=50 * 60)) == made
