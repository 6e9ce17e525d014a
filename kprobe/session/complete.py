"""Make a loaded model ready: build it on a sample where it isn't built, and fill in its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.compat.kept_names import names_kept
from kprobe.compat.keras_names import NODES_BY_DEPTH
from kprobe.engines.tensorflow import TooLargeError
from kprobe.errors import Hint, ModelError, Setting
from kprobe.gate.opened import OpenedFile
from kprobe.image_options import CHANNELS
from kprobe.inputs.concatenated import list_parts
from kprobe.inputs.images.rows import ImageRows
from kprobe.inputs.opening import open_samples
from kprobe.inputs.parsing import list_given_names
from kprobe.inputs.sources.model_input import ModelInput
from kprobe.models.code import Code
from kprobe.models.file import ModelFile
from kprobe.models.layer_names import name_as_in_file, settle_unnamed
from kprobe.models.weights.assign import assign_weights
from kprobe.models.weights.stored_weights import holds_weights
from kprobe.models.weights.weights_file import WeightsFile, open_weights_file
from kprobe.saved_signature import SavedSignature
from kprobe.session.parts import has_call, list_candidates
from kprobe.trace.recording.graph_mode import is_graph_mode
from kprobe.trace.recording.graph_mode_variables import initialize_large
from kprobe.trace.recording.learn import is_built, learn_signature
from kprobe.trace.recording.model_inputs import (
    library_of,
    list_optional,
    read_signature,
    takes_any_size,
)

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping

    from kprobe.inputs.samples import Samples
    from kprobe.inputs.spec import SampleSpec
    from kprobe.session.loading import Loaded


def build_model(
    loaded: Loaded,
    spec: SampleSpec,
    opened: contextlib.ExitStack,
    samples: Samples | None = None,
    batch_size: int | None = None,
) -> tuple[list[str], Samples | None]:
    """Build a model, on the first sample where it has to be called, and fill in its weights.

    Args:
        loaded: The model.
        spec: The samples; where none are given, random ones of what the model says it takes.
        opened: What closes samples that are opened now.
        samples: The samples, if they are open already.
        batch_size: How many samples it is called on, where so many belong together; else one.

    Returns:
        What the user should know about the weights, a line each; and the samples, open, if the
        model was called.

    Raises:
        InputError: The model can't be called on the sample.
        ModelError: The weights can't be read, or don't fit; or the model doesn't say what it
            takes, and nothing is given.
    """
    if not needs_sample(loaded.model, spec):
        return complete(loaded, None), None
    first = open_first(loaded.model, spec, opened) if samples is None else samples
    return complete(loaded, first, batch_size), first


def needs_sample(model: Any, spec: SampleSpec) -> bool:
    """Tell whether a model has to be called before it is known what it takes, or all of it built.

    Args:
        model: A model of keras or tf_keras.
        spec: What is given. A subclassed model knows at most the shape of its first input, and no
            name: those that are given count.

    Raises:
        ModelError: It is a subclassed model whose code switched eager execution off.
    """
    if isinstance(model, SavedSignature):
        return False
    if not (tf.executing_eagerly() or NODES_BY_DEPTH.is_in(model)):
        raise ModelError(
            f"the model ({type(model).__name__}) is subclassed or isn't built, and its code "
            "switched eager execution off, so that it has no inputs to start from",
            hint="let the code return `keras.Model(inputs, model(inputs))`",
        )
    if getattr(model, "inputs", None):
        return False
    of_parts = {name for part in list_candidates(model) for name in part.inputs}
    if of_parts and not has_call(model):
        return False
    try:
        signature = read_signature(model)
    except ModelError:
        return True
    given = list_given_names(spec.inputs)
    if given and given <= of_parts:
        return False
    return not is_built(model) or not given <= {*signature, *of_parts}


def open_first(model: Any, spec: SampleSpec, opened: contextlib.ExitStack) -> Samples:
    """Open the samples for a model that needs one: what is given says what it takes.

    Args:
        model: The model.
        spec: The samples; where none are given, random ones of what the model says it takes.
        opened: What closes them.

    Raises:
        ModelError: Nothing is given, and the model doesn't say what it takes.
        InputError: What is given can't be read.
    """
    inputs = None if spec.given else describe_inputs(model, read_signature(model))
    samples = opened.enter_context(open_samples(spec, inputs))
    samples.restrict(samples.given if inputs is None else [i.name for i in inputs])
    return samples


def describe_inputs(
    model: Any, specs: Mapping[str, tf.TensorSpec], *, traced: bool = False
) -> list[ModelInput]:
    """Describe a model's inputs, and tensors that are fed, for what opens samples.

    Args:
        model: The model.
        specs: Shape (batch axis first) and dtype of each, by name.
        traced: Whether the model was traced with these, and takes no others any more.
    """
    optional = list_optional(model)
    free = not traced and takes_any_size(model)
    described = []
    for name, spec in specs.items():
        sizes = spec.shape.as_list()[1:]
        shape = (None, *(len(sizes) * [None] if free else sizes))
        usual = tuple(sizes) if free else None
        described.append(
            ModelInput(name, shape, spec.dtype.name, optional=name in optional, usual=usual)
        )
    return described


def explain_sizes(
    error: ModelError,
    model: Any,
    signature: Mapping[str, tf.TensorSpec],
    samples: Samples | None,
) -> ModelError:
    """Add with which sizes a model was first called, where it fails on others.

    Args:
        error: What it failed with.
        model: The model.
        signature: What `read_signature` gave.
        samples: What it was to be called on.
    """
    given = samples.specs() if samples is not None and takes_any_size(model) else {}
    for name, (shape, _) in given.items():
        usual = tuple(signature[name].shape[1:]) if name in signature else shape
        if samples is None or shape == usual:
            continue
        received = tuple(None if size == -1 else size for size in shape)
        hint: Hint | str = "give samples of that shape"
        if any(isinstance(part, ImageRows) for part in list_parts(samples.sources[name])):
            height, width = usual[:2] if len(usual) < 3 or usual[2] in CHANNELS else usual[1:]
            size = Setting("resize", f"{height}x{width}", f"({height}, {width})", "images")
            hint = Hint("resize the images: ", size)
        fault = f"input '{name}' was first called on samples of shape {usual}, received {received}"
        return ModelError(*error.faults, fault, hint=hint)
    return explain_lengths(error, samples)


def explain_lengths(error: ModelError, samples: Samples | None) -> ModelError:
    """Say how the shape of random samples is said, if nobody said it and a model fails on them."""
    if samples is None or not samples.find_open():
        return error
    said = Setting("random_shape")
    hint = Hint("give samples with ", Setting("inputs"), ", or say their shape with ", said)
    if isinstance(error, TooLargeError):  # more may be allowed, too
        hint = Hint(error.remedy or "", "; ", hint)
    return ModelError(*error.faults, hint=hint)


def complete(loaded: Loaded, samples: Samples | None, batch_size: int | None = None) -> list[str]:
    """Build a model on the first sample, and give it the weights that it is to have.

    Args:
        loaded: The model; built, if there are no samples.
        samples: The samples of a model that needs one.
        batch_size: As for `build_model`.

    Returns:
        What the user should know about the weights, a line each.

    Raises:
        InputError: The model can't be called on the sample.
        ModelError: The weights can't be read, or don't fit.
    """
    model = loaded.model
    if isinstance(model, SavedSignature):
        if loaded.spec.weights is not None:
            raise ModelError(
                "a signature of a SavedModel has weights of its own",
                hint=Hint("leave ", Setting("weights"), " out"),
            )
        return []
    # The variables of one built with eager execution off live in a session.
    if is_graph_mode(model):
        initialize_large(model)
        return _complete(loaded, samples, batch_size)
    return eagerly(_complete)(loaded, samples, batch_size)


def _complete(loaded: Loaded, samples: Samples | None, batch_size: int | None) -> list[str]:
    model, source, spec = loaded.model, loaded.source, loaded.spec
    built = is_built(model)
    if isinstance(source, ModelFile) and not built and samples is not None:
        return _complete_file(loaded, source, samples, batch_size)
    if samples is not None:
        learn_signature(model, samples.peek(batch_size or 1))
    if loaded.weights is not None:
        return [str(assign_weights(model, loaded.weights, partial=spec.random_weights))]
    if isinstance(source, Code):
        return [f"no weights are given: the model is used as {source} left it"]
    if isinstance(source, ModelFile) and not holds_weights(source):
        return [_note_random(source)]
    return []


def _note_random(source: ModelFile) -> str:
    return f"{source.path} has no weights: they are random"


def _complete_file(
    loaded: Loaded, source: ModelFile, samples: Samples, batch_size: int | None
) -> list[str]:
    """Build a model that wasn't built when its file was loaded, and was left without weights."""
    model, spec = loaded.model, loaded.spec
    own = loaded.weights is None and holds_weights(source)
    # It has layers only now, and of these only its own file knows the names.
    with names_kept(library_of(model), {}):
        learn_signature(model, samples.peek(batch_size or 1))
        if own:
            opened = source.opened
            file = WeightsFile(opened) if isinstance(opened, OpenedFile) else None
            own_file = file or open_weights_file(source.path)
            assign_weights(model, own_file, partial=spec.random_weights)
    if holds_weights(source):
        name_as_in_file(model, source)
    settle_unnamed(model)
    if loaded.weights is not None:
        return [str(assign_weights(model, loaded.weights, partial=spec.random_weights))]
    return [] if own else [_note_random(source)]
