"""What Python users call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kprobe.pipeline.job import Job, default_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.graph.function import Function
    from kprobe.pipeline.run import Receipt


def function(
    model: Any,
    layers: str | Sequence[str],
    feeds: str | Sequence[str] = (),
    *,
    replace: Mapping[str, str] | None = None,
    exact: bool = False,
    training: bool = False,
    stateful: bool = False,
    seed: int = 0,
) -> Function:
    """Make a function of the sub-graph that reaches some layers: what `K.function` was.

    Args:
        model: A built `keras.Model` or `tf_keras.Model`.
        layers: The addresses to compute; a text may hold several, with commas.
        feeds: Addresses whose values are supplied; what lies upstream of them isn't run. Without
            any, the model's inputs are.
        replace: By address, what the value of a tensor is replaced by on the way: "zero", "mean"
            (over the batch), or "noise:STD", normally distributed noise that is added.
        exact: Whether results must be those of the layers run one by one, bit for bit, at the
            cost of speed; else they are within 1e-5 of the tensor's largest magnitude.
        training: Whether the layers behave as in training: dropout active, batch statistics.
        stateful: Whether a call begins with the state (of stateful RNNs, say) that the last one
            left in the model; else the model is left as it was.
        seed: What random numbers follow from, with the number of samples run before.

    Returns:
        A callable. It takes an array for each of its `feeds` (batch axis first), positionally or
        by name, and gives a dict from address to array.

    Raises:
        AddressError: Addresses that name nothing, or several things, or can't be replaced.
        ModelError: The model doesn't say what it takes.
    """
    from kprobe.graph.function import Function

    return Function(
        model,
        layers,
        feeds,
        replace=replace or {},
        exact=exact,
        training=training,
        stateful=stateful,
        seed=seed,
    )


def dump(
    model: str | os.PathLike[str] | Any,
    layers: str | Sequence[str] | None,
    *,
    inputs: str | Sequence[str] | Mapping[str, Any] | Any = (),
    output: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Receipt:
    """Run a model over samples and write the activations of some layers to HDF5.

    Args:
        model: A model file, or a built `keras.Model` or `tf_keras.Model`.
        layers: Addresses; a text may hold several, with commas. None for every layer call.
        inputs: Sources of samples, as `--input` takes them; an array; or arrays by input name,
            batch axis first. Where the model takes samples of any size, a list of arrays, one a
            sample, may stand for an array. Without any, random samples.
        output: The dump; by default the model's name with `.activations.h5`, in the working
            directory.
        **options: The other attributes of `kprobe.pipeline.job.Job`: feeds, training, stateful,
            batch_size, limit, dtype, exact, audit, overwrite, max_bytes, random, seed,
            preprocessing (a `kprobe.Preprocessing` by input name, under "" for the only input),
            keras, custom_objects, unsafe, device.

    Returns:
        What was done; its `output` is the path of the dump.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
    """
    from kprobe.dumps.output import read_output
    from kprobe.graph.address import split_addresses
    from kprobe.pipeline.planning import plan
    from kprobe.pipeline.run import run

    job = Job(
        model=model,
        layers=split_addresses(layers) if isinstance(layers, str) else layers,
        inputs=_read_inputs(inputs),
        output=read_output(output) if output is not None else default_output(model),
        **options,
    )
    with plan(job) as ready:
        return run(ready)


def _read_inputs(inputs: Any) -> Any:
    """Tell texts, a sequence of sources, from a sequence of samples."""
    import numpy as np

    if isinstance(inputs, str | os.PathLike):
        return [os.fspath(inputs)]
    if isinstance(inputs, list | tuple) and any(isinstance(value, np.ndarray) for value in inputs):
        from kprobe.inputs.uneven import as_rows

        return as_rows(inputs)
    return inputs
