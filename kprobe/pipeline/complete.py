"""Make a loaded model ready: build it on a sample where it isn't built, and fill in its weights."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.errors import ModelError
from kprobe.graph.learn import is_whole, learn_signature
from kprobe.graph.mode import eagerly
from kprobe.graph.session import is_graph_mode
from kprobe.graph.session_variables import initialize_large
from kprobe.graph.signature import read_signature
from kprobe.inputs.given import list_given_names
from kprobe.inputs.model_input import ModelInput
from kprobe.inputs.opening import open_samples
from kprobe.models.assign import assign_weights
from kprobe.models.factory import Code
from kprobe.models.file import ModelFile
from kprobe.models.stored import holds_weights
from kprobe.saved_signature import SavedSignature

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from kprobe.inputs.samples import Samples
    from kprobe.inputs.spec import SampleSpec


def needs_sample(model: Any, inputs: Sequence[str] | Mapping[str, Any] | Any) -> bool:
    """Tell whether a model has to be called before it is known what it takes, or all of it built.

    Args:
        model: A model of keras or tf_keras.
        inputs: What is given, as `SampleSpec` takes it. A subclassed model knows at most the
            shape of its first input, and no name: those that are given count.

    Raises:
        ModelError: It is a subclassed model whose code switched eager execution off.
    """
    if isinstance(model, SavedSignature):
        return False
    if not (tf.executing_eagerly() or hasattr(model, "_nodes_by_depth")):
        raise ModelError(
            f"the model ({type(model).__name__}) is subclassed or isn't built, and its code "
            "switched eager execution off, so that it has no inputs to begin at",
            hint="let the code return `keras.Model(inputs, model(inputs))`",
        )
    if getattr(model, "inputs", None):
        return False
    try:
        signature = read_signature(model)
    except ModelError:
        return True
    return not is_whole(model) or not list_given_names(inputs) <= set(signature)


def open_first(model: Any, spec: SampleSpec) -> Samples:
    """Open the samples for a model that needs one: what is given says what it takes.

    Args:
        model: The model.
        spec: The samples; where none are given, random ones of what the model says it takes.

    Raises:
        ModelError: Nothing is given, and the model doesn't say what it takes.
        InputError: What is given can't be read.
    """
    inputs = None if spec.given else describe_inputs(read_signature(model))
    samples = open_samples(spec, inputs)
    try:
        samples.restrict(samples.given if inputs is None else [i.name for i in inputs])
    except BaseException:
        samples.close()
        raise
    return samples


def seed_initializers(seed: int) -> None:
    """Make the weights that layers are made with follow from a seed, in either Keras."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    tf.random.set_seed(seed)
    if "tf_keras" in sys.modules:
        # Whoever called this before has made a generator, which is asked instead of `random`.
        sys.modules["tf_keras"].utils.set_random_seed(seed)


def describe_inputs(specs: Mapping[str, tf.TensorSpec]) -> list[ModelInput]:
    """Describe a model's inputs for what opens samples."""
    return [
        ModelInput(name, (None, *spec.shape[1:]), spec.dtype.name) for name, spec in specs.items()
    ]


def complete(
    model: Any,
    source: ModelFile | Code | None,
    samples: Samples | None,
    *,
    weights: str | os.PathLike[str] | None,
    random_weights: bool,
) -> list[str]:
    """Build a model on the first sample, and give it the weights that it is to have.

    Args:
        model: The model; built, if there are no samples.
        source: Where it came from; None for a model that was made elsewhere.
        samples: The samples of a model that needs one.
        weights: A file of weights instead of the model's own.
        random_weights: Whether layers may go without.

    Returns:
        What the user should know about the weights, a line each.

    Raises:
        InputError: The model can't be called on the sample.
        ModelError: The weights can't be read, or don't fit.
    """
    if isinstance(model, SavedSignature):
        if weights is not None:
            raise ModelError(
                "a signature of a SavedModel has weights of its own", hint="leave --weights out"
            )
        return []
    # The variables of one built with eager execution off live in a session.
    if is_graph_mode(model):
        initialize_large(model)
        return _complete(model, source, samples, weights, random_weights)
    return eagerly(_complete)(model, source, samples, weights, random_weights)


def _complete(
    model: Any,
    source: ModelFile | Code | None,
    samples: Samples | None,
    weights: str | os.PathLike[str] | None,
    random_weights: bool,
) -> list[str]:
    whole = is_whole(model)
    if samples is not None:
        learn_signature(model, samples.peek(1))
    if weights is not None:
        return [str(assign_weights(model, weights, partial=random_weights))]
    if isinstance(source, Code):
        return [f"no --weights: the model is used as {source} left it"]
    if isinstance(source, ModelFile) and not holds_weights(source):
        return [f"{source.path} has no weights: they are random"]
    if isinstance(source, ModelFile) and samples is not None and not whole:
        # What wasn't built when the file was loaded was left without its weights.
        assign_weights(model, source.path, partial=random_weights)
    return []
