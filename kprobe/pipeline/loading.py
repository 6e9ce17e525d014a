"""Load a model ready to use: with its weights, and built where a sample is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.inputs.spec import SampleSpec
from kprobe.models import load
from kprobe.models.factory import Code
from kprobe.models.spec import ModelSpec
from kprobe.models.stored import check_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence


def load_model(
    model: str | os.PathLike[str],
    *,
    inputs: str | Sequence[str] | Mapping[str, Any] | Any = (),
    weights: str | os.PathLike[str] | None = None,
    random_weights: bool = False,
    arguments: Mapping[str, Any] | None = None,
    keras: int | None = None,
    custom_objects: Sequence[str] = (),
    unsafe: bool = False,
    signature: str | None = None,
) -> Any:
    """Load a model with its weights, uncompiled, with the Keras that saved it.

    Args:
        model: A `.keras` or HDF5 model file of Keras 3, or of Keras 2 and older; a SavedModel
            directory; a JSON file of an architecture; or code, `FILE.py:CALLABLE` or
            `package.module:CALLABLE`, that returns a model, or an object that holds one as
            `keras_model` or `model`.
        inputs: Samples, as `kprobe.dump` takes them, for a subclassed model that has to be called
            before it is built; the first one is used.
        weights: A `.weights.h5`, `.keras` or old HDF5 file, instead of the model's own weights.
        random_weights: Whether layers may go without weights.
        arguments: What the code is called with, by keyword.
        keras: The major version to load with, 2 (tf_keras) or 3; None for the file's own.
        custom_objects: Python files or modules whose classes and functions the model uses.
        unsafe: Whether the file may run code of its own.
        signature: Which signature of a SavedModel; None for the Keras model in it, or where it
            holds none for "serving_default" or the only one.

    Returns:
        A `keras.Model` or `tf_keras.Model`, or a signature. What code leaves unbuilt stays so
        without `inputs`.

    Raises:
        UnsafeModelError: The file would run code of its own.
        ModelCodeError: The code raised.
        ModelError: The model can't be loaded or made, or the weights don't fit it.
        InputError: The model can't be called on the first sample.
    """
    source = load.find_source(
        ModelSpec(model=model, signature=signature, arguments=arguments or {})
    )
    check_weights(source, weights, random_weights=random_weights)
    load.prepare_import(load.choose_keras(source, keras))
    # It imports TensorFlow, which reads just once what was prepared.
    from kprobe.graph.session import recording_session
    from kprobe.pipeline.complete import complete, needs_sample, open_first

    loaded = load.load_model(
        source,
        keras=keras,
        custom_objects=custom_objects,
        unsafe=unsafe,
        arguments=arguments,
        around=recording_session,
    )
    spec = SampleSpec(inputs=inputs)
    if not needs_sample(loaded, inputs):
        complete(loaded, source, None, weights=weights, random_weights=random_weights)
        return loaded
    if isinstance(source, Code) and weights is None and not spec.given:
        return loaded
    with open_first(loaded, spec) as samples:
        complete(loaded, source, samples, weights=weights, random_weights=random_weights)
    return loaded
