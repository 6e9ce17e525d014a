"""Run functions eagerly, and something else wherever a loop runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.tensorflow_names import WHILE_LOOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def functions_run_eagerly(
    run_loop: Callable[[Callable[..., Any], Callable[..., Any]], Any],
) -> Iterator[None]:
    """Inside the block, run functions eagerly, and something else for each loop that runs so.

    Args:
        run_loop: Is given what runs the loop with a body, and the body; gives what the loop gives.
    """
    original = WHILE_LOOP.find()
    parameters = inspect.signature(original)

    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly():
            return original(*args, **kwargs)
        given = parameters.bind(*args, **kwargs).arguments
        body = given.pop("body")
        return run_loop(lambda counted: original(body=counted, **given), body)

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    # tf.while_loop and tf.map_fn look the private one up, tf_keras the last.
    try:
        with WHILE_LOOP.patched(run, also=(tf.compat.v1, tf.compat.v2.compat.v1)):
            yield
    finally:
        tf.config.run_functions_eagerly(eager)
