"""Find what is wrong with a job from the files alone, in the moment before TensorFlow loads."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kprobe.addresses.grammar import parse_address, split_alias
from kprobe.addresses.resolve import resolve
from kprobe.dumps.partial import check_output
from kprobe.dumps.ranges.folder import check_folder
from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.gate.refuse import check_safe
from kprobe.inputs.locating import locate, parse_location
from kprobe.inputs.opening import check_there, open_samples
from kprobe.inputs.sources.model_input import ModelInput
from kprobe.models.file import ModelFile
from kprobe.models.listing import LayerEntry, list_layers
from kprobe.models.weights.stored_weights import check_weights
from kprobe.pipeline.planning.apart import check_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kprobe.dumps.output import OutputSpec
    from kprobe.inputs.samples import Samples
    from kprobe.models.code import Code
    from kprobe.pipeline.planning.job import Job


def precheck(
    job: Job, source: ModelFile | Code | None, opened: contextlib.ExitStack
) -> Samples | None:
    """Check the output, the addresses and the inputs of a job as far as the files tell.

    What they don't tell is found out when the model is loaded and traced.

    Args:
        job: The job.
        source: Where its model comes from; None for one in memory.
        opened: What closes the samples.

    Returns:
        The samples, where the file tells what the model takes.

    Raises:
        KprobeError: With everything that was found, of the class of the first.
    """
    calls: list[LayerEntry] = []
    if isinstance(source, ModelFile):
        if not job.model.unsafe and not job.model.custom:
            check_safe(source, allow=job.model.allowed)
        calls = list_layers(source, parameters=False)
    errors: list[KprobeError] = []
    output, spec = job.output, job.model
    asked = [*_list_asked(job)] if calls and all(call.tells_inside for call in calls) else []

    def attempt(check: Callable[[], Any]) -> Any:
        try:
            return check()
        except KprobeError as error:
            errors.append(error)
        return None

    if output is not None:
        attempt(lambda: _check_place(output))
        attempt(lambda: check_apart(job))
    attempt(lambda: check_weights(source, spec))
    found = attempt(lambda: resolve(_list_paths(asked), calls)) is not None
    samples: Samples | None = attempt(lambda: _open(job, calls, opened))
    # The trace tells what else is wrong with addresses, and this again.
    told_later = not found and len(errors) == 1 and _need_trace(asked, calls)
    if errors and not told_later:
        raise merge_errors(errors)
    return samples


def _check_place(output: OutputSpec) -> None:
    if output.shard is None:
        check_output(output.path, overwrite=output.overwrite, resume=output.resume)
    else:
        check_folder(output.path)


def check_addresses(source: ModelFile | Code | None, asked: Sequence[str]) -> None:
    """Check addresses or patterns as far as a file tells.

    Raises:
        AddressError: Some name nothing.
    """
    calls = list_layers(source, parameters=False) if isinstance(source, ModelFile) else []
    if not (calls and all(call.tells_inside for call in calls)):
        return
    try:
        resolve(_list_paths(asked), calls)
    except AddressError:
        if not _need_trace(asked, calls):
            raise


def find_missing(job: Job) -> list[KprobeError]:
    """Find which files of a job aren't there, or hold no model; none is loaded."""
    from kprobe.models.load import find_source

    texts = job.samples.texts or []
    checks: list[Callable[[], Any]] = [
        lambda: find_source(job.model),
        lambda: check_there(parse_location(text, ()) for text in texts),
    ]
    errors = []
    for check in checks:
        try:
            check()
        except KprobeError as error:
            errors.append(error)
    return errors


def samples_can_wait(job: Job) -> bool:
    """Tell whether samples are opened once it is known what is needed: feeds too, or nothing."""
    if job.selection.sources:
        return True
    return not job.samples.given and job.selection.only_weights and not job.compute.eager


def _list_asked(job: Job) -> Iterator[str]:
    """List the addresses that a job names."""
    yield from (layer for layer in job.selection.layers or () if isinstance(layer, str))
    yield from (*job.selection.sources, *job.selection.replaced)
    if isinstance(job.selection.gradients_of, str):
        yield job.selection.gradients_of
    texts = [layer for layer in job.selection.layers or () if isinstance(layer, str)]
    aliases = {split_alias(text)[0] for text in texts}
    for request in job.selection.requests:
        yield from (address for address in request.addresses if address not in aliases)


def _list_paths(asked: Iterable[str]) -> list[str]:
    """List what addresses name of layers: the operations inside one are known when it is traced."""
    paths = (text.partition("//")[0] for text in asked)
    return [*dict.fromkeys(path for path in paths if path)]


def _need_trace(asked: Iterable[str], calls: Sequence[LayerEntry]) -> bool:
    """Tell whether there are addresses whose layer is there, and only a trace tells the rest."""
    for text in asked:
        with contextlib.suppress(AddressError):
            path = text.partition("//")[0]
            layers = resolve([path], calls) if path else []
            address = parse_address(text)
            plain = address.port in ("out", "in") and (address.weight, address.index) == (
                None,
                None,
            )
            if address.operation is not None or (layers and not plain):
                return True
    return False


def _open(job: Job, calls: Sequence[LayerEntry], opened: contextlib.ExitStack) -> Samples | None:
    if samples_can_wait(job):
        sources = job.selection.sources.values()
        check_there(locate(source, None) for source in sources if isinstance(source, str))
        return None
    inputs = _find_inputs(calls)
    sizes = [call.output_shape[0] for call in calls if call.is_input and call.output_shape]
    size = next((size for size in sizes if isinstance(size, int)), None)
    spec = job.samples.fill_batches(size or job.compute.batch_size)
    return opened.enter_context(open_samples(spec, inputs)) if inputs else None


def _find_inputs(calls: Sequence[LayerEntry]) -> list[ModelInput]:
    """The model's inputs, or none where the file doesn't tell all about each."""
    inputs = []
    for call in calls:
        if call.is_input and call.depth == 0:
            if not isinstance(call.output_shape, tuple) or call.dtype is None:
                return []
            shape = (None, *call.output_shape[1:])
            name = call.steps[0][0]
            inputs.append(ModelInput(name, shape, call.dtype, optional=call.optional))
    return inputs
