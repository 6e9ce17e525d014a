"""Train a small region-proposal network on coloured shapes: shapes_rpn.h5, in Keras 2's format.

Circles, squares and triangles lie on a noisy background; the network marks the anchors that hold
one (`rpn_class`) and moves them onto it (`rpn_bbox`), as the first stage of Faster R-CNN does.
Writes beside itself shapes_rpn.h5, shapes.npz (`image`: held-out images, float32 of shape
(32, 64, 64, 3) in 0 to 1) and shapes_truth.npz (`boxes`: where their shapes lie, uint8 of shape
(n, 4), and `row`: in which image, uint8 of shape (n,)).
Boxes are y1, x1, y2, x2 in pixels throughout.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

HERE = Path(__file__).resolve().parent
SEED = 7
SIDE = 64  # pixels
STRIDE = 8  # pixels between anchor centres: three poolings
ANCHOR_SIDES = (12.0, 18.0, 27.0)  # pixels
PROPOSALS = 5  # kept per image after non-maximum suppression
SHIPPED = 32  # of the held-out images
BLOCKS = ((16, 2), (24, 2), (32, 3), (40, 3), (40, 3))  # channels and convolutions, VGG-16's depth


def draw_image(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one to three shapes; return uint8 of shape (64, 64, 3) and boxes of shape (n, 4)."""
    canvas = np.full((SIDE, SIDE, 3), rng.uniform(0.2, 0.8, 3))
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    wanted = rng.integers(1, 4)
    boxes = np.empty((0, 4))
    while len(boxes) < wanted:
        size = rng.integers(10, 31)
        top, left = rng.integers(0, SIDE - size + 1, 2)
        box = np.array([[top, left, top + size, left + size]], float)
        colour = rng.uniform(0, 1, 3)
        if measure_iou(box, boxes).any() or np.abs(colour - canvas[0, 0]).max() < 0.3:
            continue
        v, u = (y - top) / size, (x - left) / size  # 0 to 1 within the box
        inside = (
            np.hypot(v - 0.5, u - 0.5) <= 0.5,
            (abs(v - 0.5) <= 0.5) & (abs(u - 0.5) <= 0.5),
            (v >= 0) & (v <= 1) & (2 * abs(u - 0.5) <= v),
        )[rng.integers(3)]
        canvas[inside] = colour
        boxes = np.concatenate([boxes, box])
    canvas += rng.normal(0, 0.06, canvas.shape)
    return np.round(canvas.clip(0, 1) * 255).astype("uint8"), boxes


def draw_images(count: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw images, float32 of shape (count, 64, 64, 3) in 0 to 1, and the boxes of each."""
    images, boxes = zip(*(draw_image(rng) for _ in range(count)), strict=True)
    return np.stack(images) / np.float32(255), list(boxes)


def measure_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes (n, 4) and (m, 4), shape (n, m)."""
    a, b = a[:, np.newaxis], b[np.newaxis]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = overlap.clip(0).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return shared / (areas - shared)


def lay_anchors() -> np.ndarray:
    """Return the anchors, shape (8 * 8 * 3, 4), in the order of `rpn_class`."""
    centres = np.arange(STRIDE / 2, SIDE, STRIDE)
    y, x, side = np.meshgrid(centres, centres, ANCHOR_SIDES, indexing="ij")
    half = side / 2
    return np.stack([y - half, x - half, y + half, x + half], axis=-1).reshape(-1, 4)


def assign_targets(boxes: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say what each anchor should answer.

    Returns 1 (shape), 0 (background) or -1 (in between, not trained), shape (anchors, 1), and that
    beside the box deltas of Faster R-CNN (dy, dx, log dh, log dw), shape (anchors, 5).
    """
    iou = measure_iou(anchors, boxes)
    marks = np.where(iou.max(axis=1) >= 0.5, 1, np.where(iou.max(axis=1) < 0.3, 0, -1))
    nearest = iou.argmax(axis=1)
    best = iou.argmax(axis=0)  # each shape has an anchor, however badly they fit
    marks[best], nearest[best] = 1, np.arange(len(boxes))
    side = anchors[:, 2:] - anchors[:, :2]
    box = boxes[nearest]
    shift = (box[:, :2] + box[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2 / side
    deltas = np.concatenate([shift, np.log((box[:, 2:] - box[:, :2]) / side)], axis=1)
    return marks[:, None], np.concatenate([marks[:, None], deltas], axis=1)


def build_model(side: int = SIDE) -> keras.Model:
    """Return the untrained network, for images of `side` pixels in height and width.

    pool4 is left out, which keeps the stride at 8 pixels.
    """
    image = keras.Input((side, side, 3), name="image")
    x = image
    for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            x = convolve(channels, f"conv{block}_{number}")(x)
        if block <= 3:
            x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
    x = convolve(64, "rpn_conv")(x)
    raw = layers.Conv2D(2 * len(ANCHOR_SIDES), 1, name="rpn_class_raw")(x)
    logits = layers.Reshape((-1, 2), name="rpn_class_logits")(raw)
    deltas = layers.Conv2D(4 * len(ANCHOR_SIDES), 1, name="rpn_bbox_raw")(x)
    outputs = [
        layers.Activation("softmax", name="rpn_class")(logits),
        layers.Reshape((-1, 4), name="rpn_bbox")(deltas),
    ]
    return keras.Model(image, outputs, name="shapes_rpn")


def convolve(channels: int, name: str) -> layers.Conv2D:
    """Return a 3 by 3 convolution with ReLU."""
    return layers.Conv2D(
        channels, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name
    )


def class_loss(marks: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Return cross-entropy over the trained anchors, shapes and background weighing the same."""
    error = -tf.math.log(tf.where(marks == 1, found[..., 1:], found[..., :1]) + 1e-7)
    return sum(
        tf.reduce_sum(tf.where(marks == mark, error, 0.0))
        / tf.maximum(tf.reduce_sum(tf.cast(marks == mark, tf.float32)), 1.0)
        for mark in (0, 1)
    )


def bbox_loss(targets: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Return the mean absolute error of the deltas, over the anchors that hold a shape."""
    holds = tf.cast(targets[..., :1] == 1, tf.float32)
    return tf.reduce_sum(holds * abs(targets[..., 1:] - found)) / (4 * tf.reduce_sum(holds))


def propose_boxes(scores: np.ndarray, deltas: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the best boxes of one image after non-maximum suppression at IoU 0.5."""
    side = anchors[:, 2:] - anchors[:, :2]
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[:, :2] * side
    half = np.exp(deltas[:, 2:]) * side / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1).clip(0, SIDE)
    kept = tf.image.non_max_suppression(boxes.astype("float32"), scores, PROPOSALS, 0.5)
    return boxes[kept.numpy()]


def match_shapes(model: keras.Model, images: np.ndarray, truth: list[np.ndarray]) -> np.ndarray:
    """Return for each shape the best IoU with one of its image's proposals, shape (shapes,)."""
    anchors = lay_anchors()
    classes, deltas = model.predict(images, verbose=0)
    best = [
        measure_iou(boxes, propose_boxes(classes[i, :, 1], deltas[i], anchors)).max(axis=1)
        for i, boxes in enumerate(truth)
    ]
    return np.concatenate(best)


def main() -> None:
    """Train, measure and write."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(SEED)
    train_images, train_truth = draw_images(4_000, rng)
    images, truth = draw_images(500, rng)
    anchors = lay_anchors()
    targets = zip(*(assign_targets(boxes, anchors) for boxes in train_truth), strict=True)
    marks, deltas = (np.stack(column).astype("float32") for column in targets)

    model = build_model()
    before = match_shapes(model, images, truth)
    batch_size, epochs = 32, 12
    pace = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(marks) // batch_size)
    model.compile(keras.optimizers.Adam(pace), {"rpn_class": class_loss, "rpn_bbox": bbox_loss})
    model.fit(
        train_images,
        {"rpn_class": marks, "rpn_bbox": deltas},
        batch_size=batch_size,
        epochs=epochs,
        verbose=2,
    )

    after = match_shapes(model, images, truth)
    print(f"{len(after)} shapes in {len(images)} held-out images, {PROPOSALS} proposals an image")
    for iou in (0.5, 0.75):
        recall, untrained = np.mean(after >= iou), np.mean(before >= iou)
        print(f"recall at IoU {iou}: {recall:.4f} (untrained: {untrained:.4f})")
    model.save(HERE / "shapes_rpn.h5", include_optimizer=False)
    np.savez_compressed(HERE / "shapes.npz", image=images[:SHIPPED])
    rows = np.repeat(np.arange(SHIPPED), [len(boxes) for boxes in truth[:SHIPPED]])
    np.savez_compressed(
        HERE / "shapes_truth.npz",
        boxes=np.concatenate(truth[:SHIPPED]).astype("uint8"),
        row=rows.astype("uint8"),
    )


if __name__ == "__main__":
    main()
