"""A job: everything the user asked for, before anything was opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from kprobe.errors import KprobeError
from kprobe.models.factory import find_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.graph.preprocessing import Preprocessing
    from kprobe.inputs.image_options import ImageOptions

StoredDtype = Literal["float16", "float32", "as-is"]

# What HDF5 and TensorFlow count with.
_MOST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Job:
    """One dump, as asked for.

    Attributes:
        model: A model file or SavedModel directory; code, `FILE.py:CALLABLE` or
            `package.module:CALLABLE`; or a loaded `keras.Model`, `tf_keras.Model` or signature.
        layers: Addresses; None for every layer call.
        output: The dump to write.
        inputs: Sources of samples, `SRC` or `NAME=SRC`; or arrays by input name. Empty for
            random samples.
        feeds: `ADDRESS=SRC`: the values of inner tensors; nothing upstream of them is run.
            SRC may also be `zero`, `mean` or `noise:STD`, made from the tensor's own value.
        training: Whether the layers behave as in training: dropout active, batch statistics.
        stateful: Whether the model's state is carried on from batch to batch.
        eager: Whether to run the model eagerly instead of tracing it: for those whose Python can't
            be traced. Operations have no addresses then, and nothing inside can be fed.
        ragged: Addresses among the layers of which each sample has a tensor of its own shape: for
            those whose first samples don't show it.
        random: How many random samples to make; None leaves it to the inputs.
        seed: Where randomness starts.
        limit: How many samples to take at the most.
        preprocessing: By input name; under "" for the only input.
        images: How images become rows, by input name; under "" for all inputs.
        labels_from_folders: Whether the dump is to hold labels, after the folders that the images
            lie in.
        on_error: What becomes of a sample that can't be read: "stop" ends the run; "skip" keeps
            its row, without values, and goes on.
        fail_on: "nan" to end the run at the first tensor that holds NaN or infinity.
        batch_size: In samples; None to choose one.
        streams: How many batches are computed at a time; None to choose.
        threads: How many threads work on one operation; None to choose.
        dtype: What floating-point tensors are stored as.
        precision: What the model may compute in: "bfloat16" is faster on some processors.
        exact: Whether results must equal the model's bit for bit, at the cost of speed.
        audit: Whether to compare the model's outputs with the fetches and without.
        overwrite: Whether a dump of the same name, or an earlier run's part of it, may be replaced.
        resume: Whether to go on with what an earlier run of the same job has written.
        stop_after: Stop after so many seconds of running, with what is written committed.
        max_bytes: Refuse a dump with more bytes of activations and weights; None for as many as
            are free on the disk.
        keras: The Keras to load with, 2 or 3; None for the file's own.
        signature: Which signature of a SavedModel; None for the Keras model in it, or where it
            holds none for "serving_default" or the only one.
        custom_objects: Python files or modules with the model's own classes.
        unsafe: Whether the model file may run code of its own.
        weights: A file of weights, `.weights.h5`, `.keras` or old HDF5, instead of the model's own.
        random_weights: Whether layers may go without weights, and keep those they are made with.
        arguments: What code is called with, by keyword.
        device: "cpu", "gpu" or "gpu:N"; None for TensorFlow's choice.
    """

    model: str | os.PathLike[str] | Any
    layers: Sequence[str] | None
    output: Path
    inputs: Sequence[str] | Mapping[str, Any] = ()
    feeds: Sequence[str] = ()
    training: bool = False
    stateful: bool = False
    eager: bool = False
    ragged: Sequence[str] = ()
    random: int | None = None
    seed: int = 0
    limit: int | None = None
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=dict)
    images: Mapping[str, ImageOptions] = field(default_factory=dict)
    labels_from_folders: bool = False
    on_error: Literal["stop", "skip"] = "stop"
    fail_on: Literal["nan"] | None = None
    batch_size: int | None = None
    streams: int | None = None
    threads: int | None = None
    dtype: StoredDtype = "as-is"
    precision: Literal["float32", "bfloat16"] = "float32"
    exact: bool = False
    audit: bool = False
    overwrite: bool = False
    resume: bool = False
    stop_after: float | None = None
    max_bytes: int | None = None
    keras: int | None = None
    signature: str | None = None
    custom_objects: Sequence[str] = ()
    unsafe: bool = False
    weights: str | os.PathLike[str] | None = None
    random_weights: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be meant, before anything is opened.

        Raises:
            KprobeError: A number out of range, or a dtype there isn't.
        """
        numbers = {
            "random": (self.random, 1),
            "seed": (self.seed, 0),
            "limit": (self.limit, 1),
            "batch_size": (self.batch_size, 1),
            "streams": (self.streams, 1),
            "threads": (self.threads, 1),
        }
        faults = [
            f"{name}: expected a number from {least} to {_MOST}, received {value}"
            for name, (value, least) in numbers.items()
            if value is not None and not least <= value <= _MOST
        ]
        if self.dtype not in get_args(StoredDtype):
            faults.append(
                f"dtype: expected {', '.join(get_args(StoredDtype))}, received {self.dtype}"
            )
        if self.precision == "bfloat16" and (self.exact or self.eager):
            faults.append(
                "precision bfloat16 is neither exact nor to be had where a model is eager"
            )
        if self.eager and (self.feeds or self.audit):
            faults.append("a model that runs eagerly has no graph: expected no feeds and no audit")
        if faults:
            raise KprobeError(*faults)


def default_output(model: str | os.PathLike[str] | Any) -> Path:
    """Name the dump after the model: "shapes_rpn.h5" gives "shapes_rpn.activations.h5".

    Code gives the name of what is called: "build.py:make_model" "make_model.activations.h5".
    """
    if not isinstance(model, str | os.PathLike):
        stem = model.name
    elif code := find_code(model):
        stem = code.name
    else:
        stem = Path(model).stem
    return Path(f"{stem}.activations.h5")
