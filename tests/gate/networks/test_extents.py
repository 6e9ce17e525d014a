"""Where no rule tells a shape, no axis is longer than its bound, and all of it isn't larger."""

from __future__ import annotations

import json
from math import prod

import keras
import pytest
import tf_keras

from kprobe.architecture.network import read_network
from kprobe.gate.networks.extents import Extent, bound, join_extents, measure


def _make_keras_3(x, image):
    k, ops = keras.layers, keras.ops
    yield from (k.Dense(9)(x), k.Conv1D(7, 2)(x), k.Embedding(50, 6)(x), k.LSTM(8)(x))
    yield from (k.Bidirectional(k.GRU(5, return_sequences=True))(x), k.RepeatVector(9)(x[:, 0]))
    yield from (
        k.Flatten()(x),
        k.Reshape((2, -1))(x),
        k.Reshape((4, 3, 2))(x),
        k.Permute((2, 1))(x),
    )
    yield from (
        k.UpSampling1D(3)(x),
        k.ZeroPadding1D((2, 5))(x),
        k.Cropping1D(1)(x),
        k.Permute((2, 1))(x),
    )
    yield from (k.UpSampling2D((2, 5))(image), k.ZeroPadding2D(3)(image), k.Resizing(9, 7)(image))
    yield from (k.Conv2DTranspose(6, 3, strides=4)(image), k.DepthwiseConv2D(2)(image))
    yield from (k.DepthwiseConv2D(2, depth_multiplier=5)(image), k.SeparableConv2D(9, 2)(image))
    yield from (k.Concatenate()([x, x, x]), k.Add()([x, x]), k.Dot(1)([x, x]), k.MaxPooling1D()(x))
    yield from (k.MultiHeadAttention(2, 3, output_shape=11)(x, x), k.Attention()([x, x]))
    yield from (k.EinsumDense("abc,cde->abde", (None, 5, 6))(x), k.CategoryEncoding(13)(x[:, 0]))
    yield from (k.RandomCrop(3, 4)(image), k.GlobalAveragePooling1D()(x), k.ConvLSTM1D(5, 2)(image))
    yield from (ops.repeat(x, 9, axis=1), ops.tile(x, [1, 3, 5]), ops.outer(x, x), ops.kron(x, x))
    yield from (ops.pad(x, ((1, 2), (3, 4), (0, 0))), ops.one_hot(x, 17), ops.stack([x, x, x]))
    yield from (x + 1, x * x, ops.sum(x, 1), ops.matmul(x, ops.transpose(x, (0, 2, 1))))
    yield from (ops.broadcast_to(x[:, :1], (2, 30, 4)), ops.image.extract_patches(image, (2, 3)))
    yield from (
        ops.diagflat(ops.ones((7,)) * ops.sum(x)),
        ops.top_k(x, 3)[0],
        ops.vander(x[0, 0], 9),
    )
    yield from (ops.einsum("abc,ade->abcde", x, x), ops.top_k(x, 3)[0])
    yield from (
        ops.image.resize(image, (9, 11)),
        ops.linspace(x, x, 21),
        ops.fft((x, x))[0],
        ops.tensordot(x, x, axes=0),
    )
    wave = x[:, :, 0]
    yield from (
        k.MelSpectrogram(8, 4, 2, num_mel_bins=3, sampling_rate=90)(wave),
        k.STFTSpectrogram(frame_length=4, frame_step=1, fft_length=8)(x[:, :, :1]),
        *ops.rfft(x, 9),
        *ops.stft(wave, 4, 1, 8),
        k.CenterCrop(3, 2)(image),
    )
    yield from (ops.squeeze(x[:, :1], 1), ops.expand_dims(x, 2), ops.nn.glu(x), ops.cumsum(x, 1))
    yield from (ops.take(x, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1], 1), ops.sort(x, 1), ops.argsort(x, 1))
    yield from (ops.take_along_axis(x, ops.argsort(x, 1), 1), ops.quantile(x, [0.1, 0.2, 0.3], 1))
    yield from (ops.average_pool(image, 2), ops.max_pool(image, 2, padding="same"), ops.diff(x))
    yield from (
        ops.conv(x, keras.ops.ones((3, 4, 9))),
        ops.moveaxis(x, 1, 2),
        ops.swapaxes(x, 1, 2),
    )
    yield from (ops.reshape(x, (2, -1, 2)), ops.reshape(x, (3, -1)), ops.concatenate([x, x, x], 1))
    yield from (ops.multi_hot(ops.cast(x, "int32"), 13), ops.stack([x, x, x], 2))


def _make_keras_2(x, image):
    import tensorflow as tf

    k = tf_keras.layers
    yield from (k.Dense(9)(x), k.Bidirectional(k.LSTM(5))(x), k.UpSampling2D(3)(image))
    yield from (tf.repeat(x, 9, axis=1), tf.tile(x, [1, 3, 5]), tf.pad(x, [[1, 2], [3, 4], [0, 0]]))
    yield from (x + [[1.0] * 4] * 6, tf.one_hot(tf.cast(x, "int32"), 17), tf.reshape(x, [-1, 8, 3]))
    yield from (tf.linalg.diag(x), tf.expand_dims(x, 1), tf.image.resize(image, [9, 11]))


@pytest.mark.parametrize(("library", "make"), [(keras, _make_keras_3), (tf_keras, _make_keras_2)])
def test_what_keras_makes_is_no_larger(library, make):
    x, image = library.Input(batch_shape=(2, 6, 4)), library.Input((6, 5, 3))
    outputs = [*make(x, image)]
    model = library.Model([x, image], outputs)
    operations = model.operations if library is keras else model.layers
    made = {layer.name: _list(layer.output) for layer in operations}
    taken = {layer.name: _list(layer.input) for layer in operations}
    checked = 0
    for layer in read_network(json.loads(model.to_json())).layers:
        if layer.is_input:
            continue
        given = [measure(tuple(each.shape)) for each in taken[layer.name]]
        extent = bound(layer, layer.nodes[0], given)
        for tensor in made[layer.name]:
            lengths = [length for length in tensor.shape if length]
            assert max(lengths, default=1) <= extent.axis, (layer.class_name, tensor.shape)
            assert prod(lengths) <= extent.volume, (layer.class_name, tensor.shape)
        checked += 1
    assert checked >= len(outputs)


def _list(tensors):
    if isinstance(tensors, list | tuple):
        return [*tensors]
    return [*tensors.values()] if isinstance(tensors, dict) else [tensors]


def test_extents_are_of_lengths_that_are_known():
    assert measure((None, 6, 4)) == Extent(6, 24)
    assert measure(()) == measure((None, None)) == Extent(1, 1)
    assert join_extents([Extent(9, 9), Extent(2, 20)]) == Extent(9, 20)
    assert join_extents([]) == Extent()
