"""Trace every `tf.function` anew wherever a model calls it, so that each call has a graph."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.patching import patched
from kprobe.compat.tensorflow_names import CLONE, FUNCTION

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def functions_traced_anew() -> Iterator[None]:
    """Inside the block, give every call of a `tf.function` in a graph a copy of the function.

    A function that was traced before would run in several places as the same graph, in which a
    tensor has several values, and nothing of its Python, layers among it, would run again. The
    functions themselves stay as they were.
    """
    function_class = FUNCTION.find()
    original = function_class.__call__

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A function restored from a SavedModel is of a subclass, and has no Python to trace.
        if type(self) is function_class and not tf.executing_eagerly():
            # With its signature, jit_compile and the like, but without its traces.
            self = CLONE.find(self)(None)
        return original(self, *args, **kwargs)

    with patched("__call__", call, function_class):
        yield
