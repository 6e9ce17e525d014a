"""Find out, by calling it on a sample, what a model takes that doesn't say so itself."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.errors import Hint, InputError, Setting
from kprobe.trace.recording.model_inputs import Keywords, Learned, call_model, library_of, remember
from kprobe.trace.recording.run_symbolically import describe_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Arrange = Callable[[Mapping[str, tf.Tensor]], Any]


def is_built(model: Any) -> bool:
    """Tell whether all of a model is built: whatever it calls has its weights."""
    library_of(model)
    return bool(model.built) and all(layer.built for layer in FLATTEN_LAYERS.find(model)())


def learn_signature(model: Any, sample: Mapping[str, npt.NDArray[Any]]) -> None:
    """Call a model eagerly on a sample, in each way that its inputs may be passed in.

    That builds what isn't built. Several inputs are passed as keyword arguments, where the
    model's `call` takes such, as a dict, as a list, then one by one; a single one as it is, as a
    dict, as a keyword argument, then as a list. The first way that works is how the model is
    called from then on.

    Args:
        model: A model of keras or tf_keras.
        sample: An array for each input, by name, batch axis first. Images of bytes are cast to
            the model's dtype, other integers are passed on as the numbers they are.

    Raises:
        InputError: None of them works.
    """
    tensors = {name: _convert(rows, model) for name, rows in sample.items()}
    if isinstance(model, library_of(model).Sequential) and not model.built:
        # Called on one sample, it would take one sample only.
        model.build((None, *next(iter(tensors.values())).shape[1:]))
    failures: dict[str, str] = {}
    for form, arrange in _list_ways(model, list(tensors)):
        try:
            with warnings.catch_warnings():
                # Keras 3 warns of what it can't build by itself, ahead of the error.
                warnings.simplefilter("ignore")
                call_model(model, arrange(tensors), training=False)
        # What a model's own code raises has no common class.
        except (Exception, SystemExit) as error:
            failures.setdefault(describe_failure(error), form)
            continue
        specs = {
            name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
            for name, tensor in tensors.items()
        }
        remember(model, Learned(specs, arrange))
        return
    shapes = ", ".join(f"{name} {tuple(t.shape)} {t.dtype.name}" for name, t in tensors.items())
    raise InputError(
        f"the model ({type(model).__name__}) can't be called on {shapes}; "
        + "; ".join(f"{form}: {failure}" for failure, form in failures.items()),
        hint=Hint(
            "name its inputs as the code does: ",
            Setting("inputs", "NAME=SRC", python="{'NAME': …}"),
            " for each",
        ),
    )


def _convert(rows: npt.NDArray[Any], model: Any) -> tf.Tensor:
    if rows.dtype.kind in "OSU":
        return tf.convert_to_tensor(rows, tf.string)
    if rows.dtype.kind == "f" or rows.dtype == np.uint8:
        return tf.cast(tf.convert_to_tensor(rows), model.compute_dtype)
    return tf.convert_to_tensor(rows)


def _list_ways(model: Any, names: list[str]) -> list[tuple[str, Arrange]]:
    """Give each way to pass inputs in, with the text of such a call."""
    parameters = [
        p.name
        for p in inspect.signature(model.call).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    ways: list[tuple[str, Arrange]] = []
    if len(names) == 1:
        ways.append((f"call({names[0]})", lambda tensors: tensors[names[0]]))
    elif set(names) <= set(parameters):
        ways.append(_pass_keywords({name: name for name in names}))
    items = ", ".join(f"{name!r}: {name}" for name in names)
    ways.append((f"call({{{items}}})", lambda tensors: {name: tensors[name] for name in names}))
    if len(names) == 1 and names[0] in parameters:
        ways.append(_pass_keywords({names[0]: names[0]}))
    ways.append((f"call([{', '.join(names)}])", lambda tensors: [tensors[name] for name in names]))
    if 1 < len(names) <= len(parameters):
        ways.append(_pass_keywords(dict(zip(parameters, names, strict=False))))
    return ways


def _pass_keywords(names: Mapping[str, str]) -> tuple[str, Arrange]:
    form = ", ".join(f"{parameter}={name}" for parameter, name in names.items())
    return (
        f"call({form})",
        lambda tensors: Keywords({key: tensors[name] for key, name in names.items()}),
    )
