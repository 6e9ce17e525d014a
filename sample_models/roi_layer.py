"""The layer of shapes_roi.keras that Keras doesn't have: pass this file with --custom-objects.

Boxes are y1, x1, y2, x2 in pixels throughout.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="shapes")
class ROI(keras.layers.Layer):
    """Turn what a region-proposal network says of its anchors into the best boxes of each image.

    Returns for each image, best first, boxes (N, proposals, 4), their scores (N, proposals), both
    float32, and how many of them are valid, int32 of shape (N,); what follows those is 0.

    Args:
        anchors: A box each, in the order of `rpn_class`, nested lists of shape (anchors, 4).
        side: Height and width of the images in pixels; boxes are cut off there.
        proposals: The most boxes an image gets.
        iou_threshold: Of boxes that overlap by more than this, the best alone is kept.
        score_threshold: Boxes that score no more than this are left out.
    """

    def __init__(self, anchors, side, proposals, iou_threshold, score_threshold, **options):
        super().__init__(**options)
        self.anchors = anchors
        self.side = side
        self.proposals = proposals
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold

    def get_config(self):
        own = ("anchors", "side", "proposals", "iou_threshold", "score_threshold")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def call(self, rpn_class, rpn_bbox):
        count = self.proposals
        return tf.map_fn(
            self.suppress,
            (self.decode(rpn_bbox), rpn_class[..., 1]),
            fn_output_signature=(
                tf.TensorSpec((count, 4), tf.float32),
                tf.TensorSpec((count,), tf.float32),
                tf.TensorSpec((), tf.int32),
            ),
        )

    def decode(self, deltas):
        """Move the anchors by Faster R-CNN's deltas (dy, dx, log dh, log dw), (N, anchors, 4)."""
        anchors = tf.constant(self.anchors, tf.float32)
        side = anchors[:, 2:] - anchors[:, :2]
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[..., :2] * side
        half = tf.exp(deltas[..., 2:]) * side / 2
        boxes = tf.concat([centre - half, centre + half], axis=-1)
        return tf.clip_by_value(boxes, 0.0, self.side, name="decoded")

    def suppress(self, image):
        """Return the best boxes of one image after non-maximum suppression, padded with zeros."""
        boxes, scores = image
        kept, valid = tf.raw_ops.NonMaxSuppressionV4(
            boxes=boxes,
            scores=scores,
            max_output_size=self.proposals,
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
            pad_to_max_output_size=True,
        )
        # The operation pads with index 0, which is a box like any other.
        holds = tf.cast(tf.sequence_mask(valid, self.proposals), tf.float32)
        return tf.gather(boxes, kept) * holds[:, tf.newaxis], tf.gather(scores, kept) * holds, valid
