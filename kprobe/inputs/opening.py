"""From what the user gave to samples for the inputs of the model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kprobe.elsewhere import check_here
from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.files import EXPECTED
from kprobe.inputs.fitting import check_fit
from kprobe.inputs.images.finding import is_glob
from kprobe.inputs.labels import read_labels
from kprobe.inputs.pairing import Pairing
from kprobe.inputs.parsing import parse_feeds
from kprobe.inputs.samples import Samples
from kprobe.inputs.sources.fault_list import Faults
from kprobe.inputs.sources.random_rows import DEFAULT_ROWS, RandomRows
from kprobe.naming import list_names, suggest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.inputs.locating import Location
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.spec import SampleSpec


def open_samples(
    spec: SampleSpec,
    inputs: Sequence[ModelInput] | None,
    *,
    feeds: Sequence[str] | Mapping[str, Any] = (),
) -> Samples:
    """Open a source for each input of the model that is given one; no data is read yet.

    Which inputs are needed isn't known here: `Samples.restrict` is told, and asks for those that
    have no source.

    Args:
        spec: What is given. Where that is nothing, random samples are made for every input that
            the model can't be called without.
        inputs: The model's inputs, and behind them the tensors that are fed; None for a model that
            doesn't say what it takes: then each source is an input, called as it is named, or
            "inputs" where nothing has a name.
        feeds: Sources of the tensors that are fed: `NAME=SRC` each, or by name whatever
            `SampleSpec.inputs` takes.

    Raises:
        InputError: With a line for everything about the sources that is wrong.
    """
    faults = Faults()
    fed = parse_feeds(feeds)
    _check_asked(spec, inputs)
    names = {given.name for given in fed if given.name is not None}
    skip = spec.on_error == "skip"
    pairing = Pairing(
        inputs,
        faults,
        named_only=names,
        images=spec.images,
        keep_all=skip,
        follow_links=spec.follow_links,
        external="external" in spec.allowed,
    )
    try:
        for given in (*fed, *spec.given):
            pairing.add(given)
        unmade: dict[str, InputError] = {}
        if not spec.given:
            unmade = _add_random(pairing, spec, inputs or (), names)
        sources = pairing.complete()
        for model_input, source in sources.items():
            check_fit(model_input, source, faults)
        labels = None
        if spec.labels_from_folders:
            with faults.taken():
                labels = read_labels(sources.values())
        faults.raise_if_any()
    except BaseException:
        pairing.close()
        raise
    return Samples(
        sources,
        limit=spec.limit,
        labels=labels,
        keep_going=skip,
        lacking={i: unmade.get(i.name) for i in inputs or () if i not in sources},
    )


def _check_asked(spec: SampleSpec, inputs: Sequence[ModelInput] | None) -> None:
    if inputs is not None and not inputs:
        raise InputError("expected a model that takes samples, received one without inputs")
    if inputs is None and not spec.given:
        raise InputError("expected samples, received none", hint="give some")


def check_there(locations: Iterable[Location]) -> None:
    """Check that the files of sources are there, before it is known what they are for.

    Code isn't run.

    Raises:
        InputError: With a line for everyone that isn't.
    """
    faults = Faults()
    for location in locations:
        path = location.path
        with faults.taken():
            check_here(location.written, InputError)
            if path is None or location.function is not None:
                continue
            # False for a name that the system refuses, too.
            if not os.path.exists(path) and not is_glob(path):  # noqa: PTH110
                faults.add(f"{path}: {EXPECTED}, received a path where there is no file")
    faults.raise_if_any()


def _add_random(
    pairing: Pairing, spec: SampleSpec, inputs: Sequence[ModelInput], fed: set[str]
) -> dict[str, InputError]:
    """Make random rows for every input, and tell why there are none of some."""
    unmade = {}
    rows = DEFAULT_ROWS if spec.random is None else spec.random
    shapes = _find_shapes(pairing, spec, inputs, fed)
    # By its place among all inputs: its rows are the same whichever others are needed.
    for index, model_input in enumerate(inputs):
        if model_input.name in fed or model_input.optional:
            continue
        try:
            made = RandomRows(model_input, index, rows, spec.seed, shapes.get(model_input.name))
            pairing.add_rows(model_input.name, made)
        except InputError as error:
            unmade[model_input.name] = error
    return unmade


def _find_shapes(
    pairing: Pairing, spec: SampleSpec, inputs: Sequence[ModelInput], fed: set[str]
) -> dict[str, tuple[int, ...]]:
    """Give the shape of a random sample of each input of which it is said."""
    shapes = {name: shape[1:] for name, shape in spec.random_shape.items()}
    names = [model_input.name for model_input in inputs if model_input.name not in fed]
    if "" in shapes and len(names) == 1:
        shapes[names[0]] = shapes.pop("")
    if "" in shapes:
        pairing.faults.add(
            f"random samples: expected the name of an input, as there are {len(names)}: "
            f"{list_names(map(str, inputs))}",
            _say_shape(names),
        )
    for name in shapes:
        if name and name not in names:
            pairing.faults.add(
                f"random samples: no input '{name}'; the model's inputs: "
                f"{list_names(map(str, inputs))}",
                suggest_name(name, names, "{}=...") or _say_shape(names),
            )
    return shapes


def _say_shape(names: Sequence[str]) -> Hint | None:
    """Show how the shape of an input's random samples is said, if any input gets some."""
    if not names:
        return None
    said = Setting("random_shape", f"{names[0]}=8,16", python=f'{{"{names[0]}": (8, 16)}}')
    return Hint("say which, for example ", said)
