"""A detector of the TF1 era, written as Mask R-CNN's ports are: eager off, nothing serialisable.

Its shapes and names are theirs: a backbone with batch norm that is switched by hand, a pyramid of
feature maps, one region-proposal network called on each of them, proposals by an unrolled
non-max suppression for each image, heads under TimeDistributed. Anchors come in as an input.
"""

from __future__ import annotations

import types

import numpy as np
import tensorflow as tf
import tf_keras as keras

KL = keras.layers
K = keras.backend

tf.compat.v1.disable_eager_execution()


class Config:
    """What the layers below close over."""

    IMAGES = 1
    SIZE = 64
    STRIDES = (4, 8, 16, 32, 64)
    SCALES = (8, 16, 24, 32, 48)
    BEFORE_NMS = 60
    PROPOSALS = 12
    THRESHOLD = 0.2
    CLASSES = 4
    CHANNELS = 8
    DEVIATIONS = np.array([0.1, 0.1, 0.2, 0.2], "float32")


class BatchNorm(KL.BatchNormalization):
    """Batch norm that is told whether to train: False freezes it, None asks the learning phase."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=training)


def make_anchors(config):
    """Make the anchors of all levels: float32, (anchors, 4), y1, x1, y2, x2 from 0 to 1."""
    boxes = []
    for stride, scale in zip(config.STRIDES, config.SCALES, strict=True):
        centres = np.arange(stride / 2, config.SIZE, stride)
        y, x = np.meshgrid(centres, centres, indexing="ij")
        centre = np.stack([y.ravel(), x.ravel()], 1)[:, None]
        halves = scale / 2 * np.array([[1, 1], [0.7, 1.4], [1.4, 0.7]])[None]
        boxes.append(np.concatenate([centre - halves, centre + halves], 2).reshape(-1, 4))
    return (np.concatenate(boxes) / config.SIZE).astype("float32")


def slice_images(inputs, function, images):
    """Run a function on each image by itself, unrolled, and stack what it gives."""
    rows = [function(*[given[i] for given in inputs]) for i in range(images)]
    return tf.stack(rows, axis=0)


def apply_deltas(boxes, deltas):
    """Move and stretch boxes."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size + deltas[:, :2] * size
    size *= tf.exp(deltas[:, 2:])
    return tf.concat([centre - 0.5 * size, centre + 0.5 * size], axis=1, name="refined")


class ProposalLayer(KL.Layer):
    """The best boxes of each image after non-max suppression. Has no get_config."""

    def __init__(self, config, **options):
        super().__init__(**options)
        self.config = config

    @tf.autograph.experimental.do_not_convert  # which takes long, and there is nothing to convert
    def call(self, inputs):
        scores, deltas, anchors = inputs
        config = self.config
        scores = scores[:, :, 1]
        deltas = deltas * np.reshape(config.DEVIATIONS, [1, 1, 4])
        count = tf.minimum(config.BEFORE_NMS, tf.shape(anchors)[1])
        order = tf.nn.top_k(scores, count, sorted=True, name="top_anchors").indices
        take = lambda values, order: tf.gather(values, order)  # noqa: E731
        scores, deltas, anchors = (
            slice_images([values, order], take, config.IMAGES)
            for values in (scores, deltas, anchors)
        )
        boxes = slice_images([anchors, deltas], apply_deltas, config.IMAGES)
        boxes = tf.clip_by_value(boxes, 0.0, 1.0, name="clipped")

        def suppress(boxes, scores):
            kept = tf.image.non_max_suppression(
                boxes, scores, config.PROPOSALS, config.THRESHOLD, name="rpn_non_max_suppression"
            )
            found = tf.gather(boxes, kept)
            missing = tf.maximum(config.PROPOSALS - tf.shape(found)[0], 0)
            return tf.pad(found, [(0, missing), (0, 0)])

        found = slice_images([boxes, scores], suppress, config.IMAGES)
        found.set_shape([None, config.PROPOSALS, 4])
        return found


class PyramidPooling(KL.Layer):
    """Crops boxes from the levels of a pyramid, each from the level that fits its size."""

    def __init__(self, size, **options):
        super().__init__(**options)
        self.size = size

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs):
        boxes, meta, *maps = inputs
        edges = tf.sqrt(tf.reduce_prod(boxes[:, :, 2:] - boxes[:, :, :2], axis=2))
        level = tf.cast(tf.math.log(edges * meta[0, 1] / 16.0 + 1e-6) / np.log(2.0), tf.int32)
        level = tf.clip_by_value(level, 0, len(maps) - 1, name="level")
        pooled, places = [], []
        for number, features in enumerate(maps):
            place = tf.where(tf.equal(level, number))
            found = tf.gather_nd(boxes, place)
            images = tf.cast(place[:, 0], tf.int32)
            pooled.append(tf.image.crop_and_resize(features, found, images, [self.size] * 2))
            places.append(place)
        where = tf.concat(places, 0)
        shape = tf.concat([tf.shape(boxes)[:2], tf.shape(pooled[0])[1:]], 0)
        result = tf.scatter_nd(where, tf.concat(pooled, 0), tf.cast(shape, tf.int64))
        result.set_shape([None, None, self.size, self.size, maps[0].shape[-1]])
        return result


def make_proposer(channels, per_place):
    """The region-proposal network, which is called on every level of the pyramid."""
    features = KL.Input([None, None, channels], name="input_rpn_feature_map")
    shared = KL.Conv2D(16, 3, padding="same", activation="relu", name="rpn_conv_shared")(features)
    raw = KL.Conv2D(2 * per_place, 1, name="rpn_class_raw")(shared)
    logits = KL.Lambda(lambda t: tf.reshape(t, [tf.shape(t)[0], -1, 2]))(raw)
    scores = KL.Activation("softmax", name="rpn_class_xxx")(logits)
    deltas = KL.Conv2D(4 * per_place, 1, name="rpn_bbox_pred")(shared)
    deltas = KL.Lambda(lambda t: tf.reshape(t, [tf.shape(t)[0], -1, 4]))(deltas)
    return keras.Model(features, [logits, scores, deltas], name="rpn_model")


def make_backbone(image):
    """Give C2 to C5. `bn_c2` asks the learning phase, the others are frozen."""
    x = KL.Conv2D(8, 3, 2, padding="same", name="conv1")(image)
    x = BatchNorm(name="bn_conv1")(x, training=False)
    x = KL.Activation("relu")(x)
    stages = []
    for number in (2, 3, 4, 5):
        x = KL.Conv2D(8 * number, 3, 2, padding="same", name=f"conv_c{number}")(x)
        norm = BatchNorm(name=f"bn_c{number}")
        x = norm(x) if number == 2 else norm(x, training=False)
        x = KL.Activation("relu", name=f"c{number}")(x)
        stages.append(x)
    return stages


def make_pyramid(stages, channels):
    """Give P2 to P6."""
    maps = []
    for number, stage in reversed(list(enumerate(stages, 2))):
        lateral = KL.Conv2D(channels, 1, name=f"fpn_c{number}p{number}")(stage)
        if maps:
            upper = KL.UpSampling2D(2, name=f"fpn_p{number + 1}upsampled")(maps[-1])
            lateral = KL.Add(name=f"fpn_p{number}add")([upper, lateral])
        maps.append(lateral)
    levels = [
        KL.Conv2D(channels, 3, padding="same", name=f"fpn_p{number}")(features)
        for number, features in enumerate(reversed(maps), 2)
    ]
    return [*levels, KL.MaxPooling2D(1, 2, name="fpn_p6")(levels[-1])]


def make_detector(images=1):
    """Build the detector, its weights seeded.

    Args:
        images: How many images a batch has.
    """
    config = types.SimpleNamespace(**{k: v for k, v in vars(Config).items() if k.isupper()})
    config.IMAGES = images
    image = KL.Input([config.SIZE, config.SIZE, 3], name="input_image")
    meta = KL.Input([3], name="input_image_meta")
    anchors = KL.Input([None, 4], name="input_anchors")
    maps = make_pyramid(make_backbone(image), config.CHANNELS)
    proposer = make_proposer(config.CHANNELS, 3)
    parts = zip(*[proposer([features]) for features in maps], strict=True)
    logits, scores, deltas = (
        KL.Concatenate(axis=1, name=name)(list(part))
        for part, name in zip(parts, ("rpn_class_logits", "rpn_class", "rpn_bbox"), strict=True)
    )
    rois = ProposalLayer(config, name="ROI")([scores, deltas, anchors])
    pooled = PyramidPooling(3, name="roi_align")([rois, meta, *maps[:4]])
    x = KL.TimeDistributed(KL.Conv2D(16, 3), name="head_conv")(pooled)
    x = KL.TimeDistributed(BatchNorm(), name="head_bn")(x, training=False)
    x = KL.Lambda(lambda t: K.squeeze(K.squeeze(tf.nn.relu(t), 3), 2), name="pool_squeeze")(x)
    x = KL.Dropout(0.5, name="head_dropout")(x)
    classes = KL.TimeDistributed(KL.Dense(config.CLASSES), name="class_logits")(x)
    classes = KL.TimeDistributed(KL.Activation("softmax"), name="head_class")(classes)
    shift = KL.Lambda(lambda t: t[:, :2] / tf.cast(config.SIZE, tf.float32), name="shift")(meta)
    # A bare operation, of which Keras makes a layer.
    moved = rois + tf.expand_dims(tf.concat([shift, shift], 1), 1)
    outputs = [classes, moved, logits, scores, deltas]
    model = keras.Model([image, meta, anchors], outputs, name="detector")
    random = np.random.default_rng(5)
    weights = [weight for layer in model.layers for weight in layer.weights]
    shapes = [weight.shape.as_list() for weight in weights]
    values = [
        random.uniform(0.5, 1.5, shape)
        if len(shape) == 1
        else random.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])), shape)
        for shape in shapes
    ]
    # At once: a graph that was added to takes long to run the next time.
    K.batch_set_value(list(zip(weights, values, strict=True)))
    return model


def make_inputs(images=1, seed=0):
    """Make a batch: an array for each input, by name."""
    random = np.random.default_rng(seed)
    anchors = make_anchors(Config)
    return {
        "input_image": random.uniform(size=(images, 64, 64, 3)).astype("float32"),
        "input_image_meta": np.array([[1.0, 64.0, 2.0]] * images, "float32"),
        "input_anchors": np.repeat(anchors[None], images, 0),
    }
