"""Compute eagerly where the user's code has switched eager execution off."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tensorflow.python.eager import context
from tensorflow.python.framework import tensor_shape

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
