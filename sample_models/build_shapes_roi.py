"""Let the network of shapes_rpn.h5 propose boxes by itself: shapes_roi.keras, in Keras 3's format.

Behind its layers and trained weights stands the layer of roi_layer.py, which picks the best boxes
of each image. The images to feed it are those of shapes.npz.
The shipped file was written with Keras 3.12, since older versions can't read the files of 3.15;
Keras 3.5 to 3.15 read this one.
"""

from pathlib import Path

import keras
import numpy as np
import tf_keras
from build_shapes_rpn import (
    PROPOSALS,
    SEED,
    SIDE,
    draw_images,
    lay_anchors,
    match_shapes,
    measure_iou,
)
from roi_layer import ROI

HERE = Path(__file__).resolve().parent
RPN = HERE / "shapes_rpn.h5"


def build_model() -> keras.Model:
    """Return the trained network, read by Keras 3, with `ROI` behind it."""
    rpn = keras.saving.load_model(RPN, compile=False)
    found = ROI(
        anchors=lay_anchors().tolist(),
        side=float(SIDE),
        proposals=PROPOSALS,
        iou_threshold=0.5,
        score_threshold=0.5,
        name="ROI",
    )(*rpn.outputs)
    return keras.Model(rpn.input, list(found), name="shapes_roi")


def match_proposals(
    model: keras.Model, images: np.ndarray, truth: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best IoU of each shape with its image's valid proposals, shape (shapes,).

    And beside it how many each image has of those, shape (images,).
    """
    boxes, _, valid = model.predict(images, verbose=0)
    best = [
        measure_iou(shapes, boxes[i, : valid[i]]).max(axis=1, initial=0)
        for i, shapes in enumerate(truth)
    ]
    return np.concatenate(best), valid


def main() -> None:
    """Build, measure and write."""
    rng = np.random.default_rng(SEED)
    draw_images(4_000, rng)  # what shapes_rpn.h5 was trained on comes first
    images, truth = draw_images(500, rng)

    model = build_model()
    trained = tf_keras.models.load_model(RPN, compile=False)
    rpn = keras.Model(model.input, [model.get_layer(name).output for name in trained.output_names])
    for name, found, expected in zip(
        trained.output_names,
        rpn.predict(images, verbose=0),
        trained.predict(images, verbose=0),
        strict=True,
    ):
        print(f"{name}: within {abs(found - expected).max():.1e} of Keras 2's")

    best, valid = match_proposals(model, images, truth)
    every = match_shapes(trained, images, truth)
    print(f"{len(best)} shapes in {len(images)} held-out images, {valid.mean():.2f} proposals each")
    for iou in (0.5, 0.75):
        recall, most = np.mean(best >= iou), np.mean(every >= iou)
        print(f"recall at IoU {iou}: {recall:.4f} (of {PROPOSALS} proposals each: {most:.4f})")
    model.save(HERE / "shapes_roi.keras")


if __name__ == "__main__":
    main()
