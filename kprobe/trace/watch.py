"""Watch both Kerases while a model runs, and tell a recorder of every layer's call."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.keras_names import LAYER_OF_GRAPH_MODE
from kprobe.compat.patching import patched
from kprobe.compat.retrace import functions_traced_anew
from kprobe.compat.tensorflow_names import WHILE_LOOP
from kprobe.trace.copy_restored import restored_functions_copied
from kprobe.trace.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANGING = threading.RLock()


@contextlib.contextmanager
def recording(*, eager: bool = False) -> Iterator[Recorder]:
    """Record the layer calls that are traced inside the block, of keras and of tf_keras.

    Only the libraries already imported are watched. Their classes are put back when the block
    is left, and no layer keeps anything of it.

    Args:
        eager: Record what runs eagerly instead, functions and loops among it.
    """
    recorder = Recorder(eager)
    with contextlib.ExitStack() as stack:
        # The libraries' classes are the whole process's: one thread at a time changes them.
        stack.enter_context(_CHANGING)
        stack.enter_context(_run_eagerly(recorder) if eager else functions_traced_anew())
        stack.enter_context(restored_functions_copied(recorder))
        for owner in _call_owners():
            stack.enter_context(_wrapped_call(owner, recorder))
        yield recorder


@contextlib.contextmanager
def _run_eagerly(recorder: Recorder) -> Iterator[None]:
    """Run functions eagerly, and tell the recorder of the iterations of loops."""
    original = WHILE_LOOP.find()
    parameters = inspect.signature(original)

    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly():
            return original(*args, **kwargs)
        given = parameters.bind(*args, **kwargs).arguments
        body = given.pop("body")
        return recorder.run_loop(lambda counted: original(body=counted, **given), body)

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    # tf.while_loop and tf.map_fn look the private one up, tf_keras the last.
    try:
        with WHILE_LOOP.patched(run, also=(tf.compat.v1, tf.compat.v2.compat.v1)):
            yield
    finally:
        tf.config.run_functions_eagerly(eager)


def _call_owners() -> list[type]:
    """The classes whose `__call__` every layer's call passes through."""
    owners = []
    if "keras" in sys.modules:
        # Layer.__call__ ends in it, and operations of functional graphs (`x + 1`) have only it.
        owners.append(sys.modules["keras"].Operation)
    if "tf_keras" in sys.modules:
        owners.append(sys.modules["tf_keras"].layers.Layer)
        if tf.compat.v1.executing_eagerly_outside_functions():
            return owners
        # Where eager execution is off, layers are of another class, which has its own `__call__`.
        owners.append(LAYER_OF_GRAPH_MODE.find())
    return owners


@contextlib.contextmanager
def _wrapped_call(owner: type, recorder: Recorder) -> Iterator[None]:
    original = owner.__call__
    # Operation.__call__ runs inside Layer.__call__, which has opened the layer's scope.
    scoped = owner.__name__ == "Operation"

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(original, self)
        return recorder.run(self, bound, args, kwargs, scoped=scoped)

    with patched("__call__", call, owner):
        yield
