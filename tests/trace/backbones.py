"""Backbones as KerasHub makes them, in small.

A class derives from a functional model. Its config holds what its constructor takes, and no layers,
so that all names but those in the weights are lost. Layers make layers of their own when they are
built, and call them by private attributes; those of attention derive from Keras's.
"""

from __future__ import annotations

import keras
from keras import layers, ops


class Configured:
    """What keeps the arguments of its constructor, and gives them as its config."""

    arguments = ()

    def keep(self, **arguments):
        self.arguments = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    def get_own(self):
        return {name: getattr(self, name) for name in self.arguments}


class Backbone(Configured, keras.Model):
    def get_config(self):
        return {"name": self.name, "trainable": self.trainable, **self.get_own()}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Block(Configured, layers.Layer):
    def get_config(self):
        return {**super().get_config(), **self.get_own()}


@keras.saving.register_keras_serializable("backbones")
class PositionEmbedding(Block):
    def __init__(self, length, **options):
        super().__init__(**options)
        self.keep(length=length)

    def build(self, shape):
        self.positions = self.add_weight(name="embeddings", shape=(self.length, shape[-1]))
        self.built = True

    def call(self, x):
        shape = ops.shape(x)
        return ops.broadcast_to(ops.slice(self.positions, (0, 0), shape[-2:]), shape)


@keras.saving.register_keras_serializable("backbones")
class CachedAttention(layers.MultiHeadAttention):
    def call(self, query, value, attention_mask=None, cache=None, training=None):
        if cache is not None:
            raise NotImplementedError
        out, _ = self._compute_attention(
            query=self._query_dense(query),
            key=self._key_dense(value),
            value=self._value_dense(value),
            attention_mask=attention_mask,
            training=training,
        )
        return self._output_dense(out)


@keras.saving.register_keras_serializable("backbones")
class Transformer(Block):
    def __init__(self, heads, wide, causal=False, dropout=0.1, **options):
        super().__init__(**options)
        self.keep(heads=heads, wide=wide, causal=causal, dropout=dropout)
        self.supports_masking = True

    def build(self, shape):
        attention = CachedAttention if self.causal else layers.MultiHeadAttention
        units = shape[-1] // self.heads
        self._attention = attention(self.heads, units, dropout=self.dropout, name="attention")
        self._attention.build(query_shape=shape, value_shape=shape)
        self._norm = layers.LayerNormalization(name="attention_norm")
        self._norm.build(shape)
        self._drop = layers.Dropout(self.dropout, name="attention_dropout")
        self._wide = layers.Dense(self.wide, activation="gelu", name="wide")
        self._wide.build(shape)
        self._narrow = layers.Dense(shape[-1], name="narrow")
        self._narrow.build((*shape[:-1], self.wide))
        self.built = True

    def call(self, x, padding_mask=None, training=None):
        mask = None if padding_mask is None else ops.cast(padding_mask[:, None, :], "bool")
        if self.causal:
            steps = ops.arange(ops.shape(x)[1])
            mask = ops.logical_and(mask, steps[None, :, None] >= steps[None, None, :])
        y = self._attention(query=x, value=x, attention_mask=mask, training=training)
        x = self._norm(x + self._drop(y, training=training))
        return x + self._narrow(self._wide(x))


@keras.saving.register_keras_serializable("backbones")
class Patches(Block):
    def __init__(self, size, units, **options):
        super().__init__(**options)
        self.keep(size=size, units=units)

    def build(self, shape):
        count = (shape[1] // self.size) * (shape[2] // self.size) + 1
        self.token = self.add_weight(shape=(1, 1, self.units), name="class_token")
        self.patch = layers.Conv2D(self.units, self.size, self.size, name="patch")
        self.patch.build(shape)
        self.position = layers.Embedding(count, self.units, name="position")
        self.position.build((1, count))
        self.ids = ops.expand_dims(ops.arange(count), 0)
        self.built = True

    def call(self, images):
        x = self.patch(images)
        x = ops.reshape(x, (ops.shape(x)[0], -1, self.units))
        token = ops.tile(self.token, (ops.shape(x)[0], 1, 1))
        return ops.concatenate([token, x], axis=1) + self.position(self.ids)


@keras.saving.register_keras_serializable("backbones")
class Stack(Block):
    def __init__(self, depth, heads, wide, **options):
        super().__init__(**options)
        self.keep(depth=depth, heads=heads, wide=wide)

    def build(self, shape):
        self.blocks = []
        for number in range(self.depth):
            # Without dropout, Keras computes attention at once, and calls no softmax.
            block = Transformer(self.heads, self.wide, dropout=0.0, name=f"block_{number + 1}")
            block.build(shape)
            self.blocks.append(block)
        self.norm = layers.LayerNormalization(name="norm")
        self.norm.build(shape)
        self.built = True

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


@keras.saving.register_keras_serializable("backbones")
class Bert(Backbone):
    def __init__(self, words, depth, **options):
        ids, segments, mask = (
            keras.Input((None,), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        )
        tokens = layers.ReversibleEmbedding(words, 8, name="tokens")(ids)
        x = [tokens, PositionEmbedding(12, name="positions")(tokens)]
        x = layers.Add(name="sum")([*x, layers.Embedding(2, 8, name="segments")(segments)])
        for number in range(depth):
            x = Transformer(2, 16, name=f"transformer_{number}")(x, padding_mask=mask)
        pooled = layers.Dense(8, activation="tanh", name="pooled")(x[:, 0, :])
        inputs = {"token_ids": ids, "segment_ids": segments, "padding_mask": mask}
        super().__init__(inputs, {"sequence": x, "pooled": pooled}, **options)
        self.keep(words=words, depth=depth)


@keras.saving.register_keras_serializable("backbones")
class GPT(Backbone):
    def __init__(self, words, depth, **options):
        ids, mask = (
            keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")
        )
        embedding = layers.ReversibleEmbedding(words, 8, name="tokens")
        tokens = embedding(ids)
        x = layers.Add(name="sum")([tokens, PositionEmbedding(12, name="positions")(tokens)])
        for number in range(depth):
            x = Transformer(2, 16, causal=True, name=f"transformer_{number}")(x, padding_mask=mask)
        inputs = {"token_ids": ids, "padding_mask": mask}
        super().__init__(inputs, embedding(x, reverse=True), **options)
        self.keep(words=words, depth=depth)


@keras.saving.register_keras_serializable("backbones")
class ViT(Backbone):
    def __init__(self, size, depth, **options):
        images = keras.Input((size, size, 3), name="images")
        x = Patches(4, 8, name="patches")(images)
        super().__init__(images, Stack(depth, 2, 16, name="encoder")(x), **options)
        self.keep(size=size, depth=depth)
