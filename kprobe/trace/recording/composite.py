"""Sparse and ragged tensors, in terms of plain ones: those have an address, and can be stored."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kprobe.compat.tensorflow_names import COMPOSITE_TENSOR

# Under this name, which no layer has, stands what isn't the model's.
SCOPE = "kprobe.plain"


def list_components(structure: Any) -> list[Any]:
    """Give all that is in a structure, and of sparse and ragged tensors what they consist of."""
    flat: list[Any] = tf.nest.flatten(structure, expand_composites=True)
    return flat


def make_plain(structure: Any, ragged: set[int], graph: tf.Graph | None = None) -> Any:
    """Put a plain tensor into the place of each sparse or ragged one.

    What a sparse tensor doesn't hold, and what a ragged one lacks of the longest row, is zero or
    the empty text.

    Args:
        structure: Tensors in lists, tuples and dicts.
        ragged: Takes the id of each tensor that was a ragged one: its rows are padded, unless it is
            of one sample.
        graph: The graph that what computes them is added to; None to compute them right away.
            Tensors of other graphs stay as they are.
    """

    def replace(part: Any) -> Any:
        if not isinstance(part, tf.SparseTensor | tf.RaggedTensor):
            return part
        if graph is None:
            return convert(part)
        if any(component.graph is not graph for component in list_components(part)):
            return part
        with graph.as_default(), tf.name_scope(SCOPE):
            return convert(part)

    def convert(part: Any) -> tf.Tensor:
        if isinstance(part, tf.SparseTensor):
            return tf.sparse.to_dense(part, validate_indices=False)
        dense = part.to_tensor()
        ragged.add(id(dense))
        return dense

    kind = COMPOSITE_TENSOR.find()
    if not any(isinstance(part, kind) for part in tf.nest.flatten(structure)):
        return structure
    return tf.nest.map_structure(replace, structure)
