"""Notice that the user's code switches eager execution off, and compute eagerly all the same."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import ops, tensor_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")


def eagerly(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function run with eager execution on, also where code of the TF1 era is loaded."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _eager_execution():
            return function(*args, **kwargs)

    return run


@contextlib.contextmanager
def when_switched_off(begin: Callable[[], None]) -> Iterator[None]:
    """Call a function as soon as eager execution is off: now, or inside the block.

    Args:
        begin: What to call, once.
    """
    if not context.executing_eagerly():
        begin()
        yield
        return
    original = ops.disable_eager_execution

    @functools.wraps(original)
    def disable() -> None:
        before = context.executing_eagerly()
        original()
        if before and not context.executing_eagerly():
            begin()

    # `disable_v2_behavior` looks the first up, users' code the others.
    owners = (ops, tf.compat.v1, tf.compat.v2.compat.v1)
    for owner in owners:
        owner.disable_eager_execution = disable
    try:
        yield
    finally:
        for owner in owners:
            owner.disable_eager_execution = original


@contextlib.contextmanager
def _eager_execution() -> Iterator[None]:
    """Undo inside the block what `disable_eager_execution` and `disable_v2_behavior` do.

    Of the latter only the sizes in shapes, which it makes objects instead of numbers.
    """
    if context.executing_eagerly():
        yield
        return
    shapes = tensor_shape._TENSORSHAPE_V2_OVERRIDE
    tensor_shape._TENSORSHAPE_V2_OVERRIDE = True
    try:
        with context.eager_mode():
            yield
    finally:
        tensor_shape._TENSORSHAPE_V2_OVERRIDE = shapes
