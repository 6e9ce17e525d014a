"""Run something else wherever a layer of either Keras is called."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf

from kprobe.compat.keras_names import LAYER_OF_GRAPH_MODE
from kprobe.compat.patching import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunCall(Protocol):
    """What runs a layer's call."""

    def __call__(
        self, layer: Any, call: Callable[..., Any], args: Any, kwargs: Any, *, scoped: bool
    ) -> Any:
        """Run `call` as a call of `layer`.

        Args:
            layer: The layer, or an operation of Keras 3.
            call: What it does by itself.
            args: The positional arguments.
            kwargs: The keyword arguments.
            scoped: Whether the layer's name scope is open already; else the call opens it.
        """


@contextlib.contextmanager
def layer_calls_replaced(run: RunCall) -> Iterator[None]:
    """Inside the block, run something else for each call of a layer of keras or of tf_keras.

    Only the libraries already imported are changed, and no layer keeps anything of it.

    Args:
        run: What runs in its place.
    """
    with contextlib.ExitStack() as stack:
        for owner in _find_owners():
            stack.enter_context(_replaced_call(owner, run))
        yield


def _find_owners() -> list[type]:
    """Find the classes whose `__call__` every layer's call passes through."""
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
def _replaced_call(owner: type, run: RunCall) -> Iterator[None]:
    original = owner.__call__
    # Operation.__call__ runs inside Layer.__call__, which has opened the layer's scope.
    scoped = owner.__name__ == "Operation"

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, functools.partial(original, self), args, kwargs, scoped=scoped)

    with patched("__call__", call, owner):
        yield


@contextlib.contextmanager
def layer_returns_noted(note: Callable[[Any, Any], None]) -> Iterator[None]:
    """Inside the block, tell what a layer of Keras 3 returns: that is when its outputs have masks.

    Args:
        note: Is given the layer and its outputs.
    """
    if "keras" not in sys.modules:
        yield
        return
    owner = sys.modules["keras"].layers.Layer
    original = owner.__call__

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = original(self, *args, **kwargs)
        note(self, outputs)
        return outputs

    with patched("__call__", call, owner):
        yield


@contextlib.contextmanager
def inner_calls_replaced(layer: Any, run: RunCall) -> Iterator[None]:
    """Inside the block, run something else where a wrapper calls its layer past `__call__`.

    Keras 3's TimeDistributed runs `self.layer.call(...)`. In tf_keras, only a mask is computed so.

    Args:
        layer: The wrapper; of another layer nothing is changed.
        run: What runs in the place of the call of the layer within.
    """
    inner = getattr(layer, "layer", None)
    of_keras_3 = hasattr(layer, "symbolic_call")
    if type(layer).__name__ != "TimeDistributed" or inner is None or not of_keras_3:
        yield
        return
    original = inner.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(inner, original, args, kwargs, scoped=True)

    with patched("call", call, inner):
        yield
