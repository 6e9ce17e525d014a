"""Notice that the user's code switches eager execution off, and compute eagerly all the same."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import tensorflow as tf

from kprobe.compat.tensorflow_names import (
    DISABLE_EAGER_EXECUTION,
    EAGER_MODE,
    SHAPES_OF_NUMBERS,
)

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
    if not tf.executing_eagerly():
        begin()
        yield
        return
    original = DISABLE_EAGER_EXECUTION.find()

    @functools.wraps(original)
    def disable() -> None:
        before = tf.executing_eagerly()
        original()
        if before and not tf.executing_eagerly():
            begin()

    # `disable_v2_behavior` looks the private one up, users' code the others.
    owners = (tf.compat.v1, tf.compat.v2.compat.v1)
    with DISABLE_EAGER_EXECUTION.patched(disable, also=owners):
        yield


@contextlib.contextmanager
def _eager_execution() -> Iterator[None]:
    """Undo inside the block what `disable_eager_execution` and `disable_v2_behavior` do.

    Of the latter only the sizes in shapes, which it makes objects instead of numbers.
    """
    if tf.executing_eagerly():
        yield
        return
    with SHAPES_OF_NUMBERS.patched(True), EAGER_MODE.find()():
        yield
