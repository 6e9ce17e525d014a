"""Run something else wherever a function that was restored from a SavedModel is called."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.patching import patched
from kprobe.compat.tensorflow_names import (
    CALL_CONCRETE_FUNCTION,
    CALL_FLAT,
    CANONICALIZE_INPUTS,
    DEFAULT_VALUES,
    RESTORED_FUNCTION,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextlib.contextmanager
def restored_calls_replaced(
    run: Callable[[Any, Sequence[tf.Tensor]], Sequence[tf.Tensor]],
) -> Iterator[None]:
    """Inside the block, run something else in a graph for each call of a restored function.

    Args:
        run: Is given the concrete function that was chosen, and its arguments, then what it
            captures; gives the function's results, flat.
    """
    restored_class = RESTORED_FUNCTION.find()
    call_concrete_function = CALL_CONCRETE_FUNCTION.find()
    canonicalize_inputs = CANONICALIZE_INPUTS.find()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if tf.executing_eagerly():
            return super(restored_class, self).__call__(*args, **kwargs)
        # As `Function` does before it traces; its Python then chooses a concrete function.
        bound = canonicalize_inputs(args, kwargs, self.function_type, DEFAULT_VALUES.find(self))
        return self.python_function(*bound.args, **bound.kwargs)

    def call_concrete(function: Any, inputs: Any) -> Any:
        if tf.executing_eagerly():
            return call_concrete_function(function, inputs)
        return call_concrete_function(_StandIn(function, run), inputs)

    with (
        patched("__call__", call, restored_class),
        CALL_CONCRETE_FUNCTION.patched(call_concrete),
    ):
        yield


class _StandIn:
    """Stands for a concrete function where `_call_concrete_function` calls it."""

    def __init__(
        self, function: Any, run: Callable[[Any, Sequence[tf.Tensor]], Sequence[tf.Tensor]]
    ) -> None:
        self.graph = function.graph
        self.captured_inputs = function.captured_inputs
        self._function = function
        self._run = run
        CALL_FLAT.write(self, self._call)

    def _call(self, tensors: Sequence[tf.Tensor], captured: Sequence[tf.Tensor]) -> Any:
        outputs = self._run(self._function, [*tensors, *captured])
        return self._function.function_type.pack_output(outputs)
