"""Find what is wrong with a job from the files alone, in the moment before TensorFlow loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kprobe.dumps.partial import check_output
from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.graph.address import names_weight
from kprobe.graph.resolve import resolve
from kprobe.inputs import opening
from kprobe.inputs.model_input import ModelInput
from kprobe.inputs.spec import SampleSpec
from kprobe.models.factory import Code
from kprobe.models.listing import LayerEntry, list_layers
from kprobe.models.safety import check_safe
from kprobe.models.stored import check_weights
from kprobe.pipeline.feeds import Feeds, read_feeds

if TYPE_CHECKING:
    from kprobe.inputs.samples import Samples
    from kprobe.models.file import ModelFile
    from kprobe.pipeline.job import Job


def precheck(job: Job, source: ModelFile | Code) -> Samples | None:
    """Check the output, the addresses and the inputs of a job as far as the files tell.

    What they don't tell is found out when the model is loaded and traced.

    Returns:
        The samples, opened, where the file tells what the model takes.

    Raises:
        KprobeError: With everything that was found, of the class of the first.
    """
    calls: list[LayerEntry] = []
    if not isinstance(source, Code):
        if not job.unsafe and not job.custom_objects:
            check_safe(source)
        calls = list_layers(source, parameters=False)
    errors: list[KprobeError] = []
    samples = None
    try:
        check_output(job.output, overwrite=job.overwrite, resume=job.resume)
    except KprobeError as error:
        errors.append(error)
    try:
        check_weights(source, job.weights, random_weights=job.random_weights)
    except KprobeError as error:
        errors.append(error)
    if job.layers is not None and not job.layers:
        errors.append(
            AddressError("no layers are asked for", hint="name some with --layers, or --all")
        )
    feeds = Feeds()
    try:
        feeds = read_feeds(job.feeds)
    except KprobeError as error:
        errors.append(error)
    try:
        if calls and all(call.tells_inside for call in calls):
            # The operations inside a layer are known only when it is traced.
            asked = [text.partition("//")[0] for text in [*(job.layers or ()), *feeds.addresses]]
            resolve(dict.fromkeys(path for path in asked if path), calls)
    except KprobeError as error:
        errors.append(error)
    try:
        if feeds.sources or samples_can_wait(job):
            opening.check_there([text.partition("=")[2] for text in feeds.sources])
        elif inputs := _find_inputs(calls):
            samples = open_samples(job, inputs)
    except KprobeError as error:
        errors.append(error)
    if errors:
        if samples is not None:
            samples.close()
        raise merge_errors(errors)
    return samples


def describe_samples(job: Job) -> SampleSpec:
    """Give what a job asks for of its samples."""
    return SampleSpec(
        inputs=job.inputs,
        random=job.random,
        seed=job.seed,
        limit=job.limit,
        preprocessing=job.preprocessing,
        images=job.images,
        labels_from_folders=job.labels_from_folders,
        on_error=job.on_error,
    )


def open_samples(job: Job, inputs: Sequence[ModelInput]) -> Samples:
    """Open the samples of a job for a model's inputs, or for its feeds and what else it needs."""
    feeds = read_feeds(job.feeds).sources
    samples = opening.open_samples(describe_samples(job), inputs, feeds=feeds)
    try:
        samples.restrict([model_input.name for model_input in inputs])
    except BaseException:
        samples.close()
        raise
    return samples


def samples_can_wait(job: Job) -> bool:
    """Tell whether only the traced model knows which inputs are needed: some, or none."""
    if read_feeds(job.feeds).sources:
        return True
    nothing_given = isinstance(job.inputs, Sequence) and not job.inputs
    only_weights = bool(job.layers) and all(map(names_weight, job.layers or ()))
    return nothing_given and only_weights and not job.eager


def _find_inputs(calls: Sequence[LayerEntry]) -> list[ModelInput]:
    """The model's inputs, or none where the file doesn't tell all about each."""
    inputs = []
    for call in calls:
        if call.is_input and call.depth == 0:
            if not isinstance(call.output_shape, tuple) or call.dtype is None:
                return []
            shape = (None, *call.output_shape[1:])
            inputs.append(ModelInput(call.steps[0][0], shape, call.dtype))
    return inputs
