"""How large inputs are follows from the layers, whatever a file says of its tensors."""

from __future__ import annotations

import json

import keras
import pytest
import tf_keras

from kprobe.gate.networks.network_inputs import measure_inputs


def _measure(library, model):
    config = json.loads(model.to_json())
    inputs = measure_inputs(config, 3 if library is keras else 2)
    return sorted(taken.steps for taken in inputs.values())


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_layers_that_call_by_step_are_found(library):
    k, layers = library, library.layers
    x = k.Input((12, 4))
    by_step = layers.TimeDistributed(layers.Dense(3))(x)
    unrolled = layers.LSTM(3, unroll=True)(by_step)
    loop = layers.LSTM(3)(by_step)
    model = k.Model(x, [unrolled, loop])
    assert _measure(k, model) == ([12, 12] if k is keras else [12])


def test_those_inside_of_others_are_found():
    layers = keras.layers
    a = keras.Input((5, 4))
    inner = keras.Model(a, layers.TimeDistributed(layers.Dense(3))(a))
    x = keras.Input((7, 5, 4))
    wrapped = layers.TimeDistributed(inner)(x)
    both = layers.Bidirectional(layers.GRU(2, unroll=True))(keras.layers.Reshape((35, 3))(wrapped))
    stack = keras.Sequential([layers.TimeDistributed(layers.Dense(3))])
    assert _measure(keras, keras.Model(x, [both, stack(x)])) == [5, 7, 7, 35, 35]


def test_those_that_the_file_tells_wrongly_are_found():
    layers = keras.layers
    x = keras.Input((4,))
    many = layers.RepeatVector(900)(x)
    model = keras.Model(x, layers.TimeDistributed(layers.Dense(3))(many))
    config = json.loads(model.to_json().replace("[null, 900, 4]", "[null, 2, 4]"))
    assert "900" not in json.dumps(config["config"]["layers"][2]["inbound_nodes"])
    assert [taken.steps for taken in measure_inputs(config, 3).values()] == [900]


def _make_honest():
    k, ops = keras.layers, keras.ops
    wave, rows, image = keras.Input((48_000,)), keras.Input((64, 32)), keras.Input((64, 64, 3))
    yield wave, k.MelSpectrogram(num_mel_bins=64, fft_length=512, sequence_stride=160)(wave)
    frames = k.STFTSpectrogram(frame_length=400, frame_step=160, fft_length=512)
    yield wave, frames(ops.expand_dims(wave, 2))
    yield image, ops.image.resize(image, (32, 32))
    yield image, k.RandomCrop(24, 24)(image)
    for made in (
        ops.einsum("bti,bsi->bts", rows, rows),
        ops.top_k(rows, 5)[0],
        ops.conv(rows, keras.ops.ones((3, 32, 4))),
        ops.take_along_axis(rows, ops.argsort(rows, 1), 1),
        ops.fft((rows, rows))[0],
        ops.quantile(ops.nn.glu(rows), 0.5, 2, keepdims=True),
        ops.concatenate([ops.take(rows, [0, 1, 2, 3], 1), rows[:, :4]], 2),
    ):
        yield rows, made
    film = keras.Input((30, 16, 16, 3))
    pooled = ops.average_pool(k.Conv3D(8, 3, padding="same")(film), (1, 16, 16))
    yield film, ops.squeeze(pooled, (2, 3))


def test_steps_of_what_people_make_are_few():
    for taken, made in _make_honest():
        model = keras.Model(taken, keras.layers.TimeDistributed(keras.layers.Dense(8))(made))
        assert 0 < max(_measure(keras, model)) < 20_000, made


def test_batches_of_states_are_found_also_inside_of_others():
    for library in (keras, tf_keras):
        layers = library.layers
        x = library.Input(batch_shape=(6, 5, 4))
        both = layers.Bidirectional(layers.LSTM(2, stateful=True, return_sequences=True))(x)
        end = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], stateful=True)(both)
        config = json.loads(library.Model(x, end).to_json())
        taken = measure_inputs(config, 3 if library is keras else 2)
        assert [each[:2] for each in taken.values()] == [(6, 5), (6, 5), (6, 5)][: len(taken)]
        assert len(taken) in (2, 3)


def _bound(last, *, first=(9, 4)):
    """Tell how many steps there are at most behind what has no rule."""
    x = keras.Input(first)
    untold = keras.ops.diagonal(x[:, None], axis1=2, axis2=3)
    assert untold.shape == (None, 1, 4)
    end = keras.layers.LSTM(2, unroll=True)(last(untold))
    (taken,) = measure_inputs(json.loads(keras.Model(x, end).to_json()), 3).values()
    return taken.steps


def test_behind_what_has_no_rule_steps_are_bounded():
    layers, ops = keras.layers, keras.ops
    # All numbers that are there could make one axis.
    plain = _bound(lambda x: x)
    assert 1 <= plain < 2_000
    assert _bound(lambda x: layers.Dense(300)(x)) <= plain + 600
    deep = _bound(lambda x: layers.Dense(5)(layers.Dense(4)(layers.Dense(5)(x))))
    assert deep == plain
    assert _bound(lambda x: layers.Reshape((7, -1))(layers.Dense(70)(x))) >= 7
    assert _bound(lambda x: layers.UpSampling1D(50)(x)) >= 50
    assert _bound(lambda x: layers.ZeroPadding1D(40)(x)) >= 81
    assert _bound(lambda x: ops.tile(x, [1, 60, 1])) >= 60
    assert _bound(lambda x: ops.diagonal(ops.tile(x, [1, 60, 1])[:, None], axis1=2, axis2=3)) >= 4
    assert _bound(lambda x: ops.concatenate([x] * 30, axis=1)) >= 30
