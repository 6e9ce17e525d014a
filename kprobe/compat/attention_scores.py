"""Note the scores of attention layers, which their calls seldom return."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.keras_names import APPLY_SCORES, COMPUTE_ATTENTION
from kprobe.compat.patching import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_METHODS = {
    "MultiHeadAttention": COMPUTE_ATTENTION,
    "GroupQueryAttention": COMPUTE_ATTENTION,
    "Attention": APPLY_SCORES,
    "AdditiveAttention": APPLY_SCORES,
}


@contextlib.contextmanager
def scores_noted(layer: Any, note: Callable[[Any], None]) -> Iterator[None]:
    """Report the scores that an attention layer computes inside the block, as it uses them.

    Args:
        layer: A layer of keras or tf_keras; of one without attention nothing is reported.
        note: Is given the scores: a tensor whose last axis is that of the keys, behind that of the
            queries.
    """
    method = _find_method(layer)
    if method is None:
        yield
        return
    original = method.find(layer)

    @functools.wraps(original)
    def attend(*args: Any, **kwargs: Any) -> Any:
        with _softmax_noted() as made:
            result = original(*args, **kwargs)
        output, scores = result if isinstance(result, tuple) else (result, None)
        # Keras 3 returns none where it computes attention as one operation of its backend.
        if scores is None and made:
            scores = _as_used(made[-1], output)
        note(scores)
        return result

    with method.patched(layer, attend):
        yield


def _find_method(layer: Any) -> Any:
    """Give the method in which a layer computes its scores, if it is one with attention."""
    for library in (sys.modules.get("keras"), sys.modules.get("tf_keras")):
        for name, method in _METHODS.items():
            kind = getattr(library.layers, name, None) if library is not None else None
            if kind is not None and isinstance(layer, kind):
                return method
    return None


@contextlib.contextmanager
def _softmax_noted() -> Iterator[list[Any]]:
    """Give what `tf.nn.softmax` gives this thread inside the block."""
    made: list[Any] = []
    original, own = tf.nn.softmax, threading.get_ident()

    @functools.wraps(original)
    def softmax(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if threading.get_ident() == own:
            made.append(result)
        return result

    with patched("softmax", softmax, tf.nn):
        yield made


def _as_used(scores: Any, output: Any) -> Any:
    """Give scores in the dtype that the values are multiplied in: softmax is in float32."""
    if scores.dtype == output.dtype:
        return scores
    if not tf.is_symbolic_tensor(scores):
        return tf.cast(scores, output.dtype)
    casts = (op.outputs[0] for op in scores.consumers() if op.type == "Cast")
    return next((cast for cast in casts if cast.dtype == output.dtype), scores)
