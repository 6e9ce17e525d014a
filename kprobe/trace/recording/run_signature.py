"""Run a signature of a SavedModel in a trace, its inputs and outputs recorded as calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.compat.tensorflow_names import ARGUMENT_NAMES
from kprobe.errors import Hint, ModelError, Setting
from kprobe.trace.recording.copy_restored import copy_function

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import tensorflow as tf

    from kprobe.saved_signature import SavedSignature
    from kprobe.trace.recording.recorder import Recorder


@dataclass(frozen=True)
class Input:
    """Stands for the layer of an input."""

    name: str


@dataclass(frozen=True)
class Output:
    """Stands for the layer of an output."""

    name: str
    weights: Sequence[Any] = ()


def run_signature(
    signature: SavedSignature,
    tensors: Mapping[str, tf.Tensor],
    recorder: Recorder,
    *,
    training: bool = False,
) -> list[tf.Tensor]:
    """Copy a signature's operations into the current graph, under their own names.

    Args:
        signature: The signature.
        tensors: A tensor for each input, by name.
        recorder: Hears of the inputs, the outputs, and the calls of layers that tf_keras saved.
        training: Whether it is to behave as in training, which it can't.

    Returns:
        The outputs, in the order of their names.

    Raises:
        ModelError: It is to behave as in training.
    """
    if training:
        raise ModelError(
            f"the signature {signature.name} runs as it was saved, and not as in training",
            hint=Hint("leave ", Setting("training"), " out"),
        )
    function = signature.function

    def call(given: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        for name, tensor in given.items():
            recorder.add_input(Input(name), tensor)
        arguments = [given[name] for name in ARGUMENT_NAMES.find(function)]
        results = copy_function(function, [*arguments, *function.captured_inputs], recorder)
        return [
            recorder.run(Output(name), lambda result: result, (result,), {}, scoped=True)
            for name, result in zip(signature.outputs, results, strict=True)
        ]

    outputs: list[tf.Tensor] = recorder.run(signature, call, (dict(tensors),), {}, scoped=True)
    return outputs
