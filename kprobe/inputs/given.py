"""Samples for a model that doesn't say what it takes: the sources say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.files import open_location
from kprobe.inputs.locating import parse_location
from kprobe.inputs.model_input import ModelInput
from kprobe.inputs.npy_header import check_plain
from kprobe.inputs.samples import Samples
from kprobe.inputs.source import ArraySource, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What the only input is called where nobody names it.
ONLY_INPUT = "inputs"


def open_given(given: Sequence[str] | Mapping[str, Any] | Any, *, limit: int | None) -> Samples:
    """Open what the user gave, each source as an input of its own.

    Args:
        given: Sources, `SRC` or `NAME=SRC`; or arrays by input name, or one array.
        limit: Use the first so many rows only.

    Returns:
        Samples of inputs that have the names given, those of the arrays in a file, or "inputs".

    Raises:
        InputError: Nothing is given, or it can't be read.
    """
    sources: dict[ModelInput, Source] = {}
    try:
        for name, source in _open_each(given):
            model_input = ModelInput(name, (None, *source.shape), _name_dtype(source))
            if name in {other.name for other in sources}:
                source.close()
                raise InputError(
                    f"expected one source for the input {name}, received {source.label}, too",
                    hint="name the inputs: --input NAME=SRC for each",
                )
            sources[model_input] = source
        _check_rows(list(sources.values()))
    except BaseException:
        for source in sources.values():
            source.close()
        raise
    return Samples(sources, limit=limit)


def list_given_names(given: Sequence[str] | Mapping[str, Any] | Any) -> set[str]:
    """List the names of inputs that the user gave, without opening anything."""
    if isinstance(given, Mapping):
        return set(given)
    if not isinstance(given, list | tuple):
        return set()
    names = (parse_location(text, ()).name for text in given if isinstance(text, str))
    return {name for name in names if name is not None}


def _open_each(
    given: Sequence[str] | Mapping[str, Any] | Any,
) -> Iterator[tuple[str, Source]]:
    if isinstance(given, Mapping):
        for name, array in given.items():
            yield name, _take_array(array, f"array:{name}")
    elif not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        yield ONLY_INPUT, _take_array(given, "array")
    else:
        for text in given:
            yield from _open_text(text)


def _take_array(values: Any, label: str) -> Source:
    array = np.asarray(values)
    if not array.ndim:
        raise InputError(f"{label}: expected rows of samples, received a single {array.dtype}")
    check_plain(array.dtype, array.shape, label)
    return ArraySource(array, label)


def _open_text(text: str) -> Iterator[tuple[str, Source]]:
    location = parse_location(text, ())
    opened = open_location(location)
    if isinstance(opened, Source):
        yield location.name or ONLY_INPUT, opened
        return
    if location.key is not None:
        yield location.name or ONLY_INPUT, opened.open(location.key)
        return
    keys = opened.keys()
    if not keys or (location.name is not None and len(keys) > 1):
        raise InputError(f"{text}: expected one array, received {', '.join(keys) or 'none'}")
    for key in keys:
        yield location.name or key, opened.open(key)


def _name_dtype(source: Source) -> str:
    return "string" if source.dtype.kind in "OSU" else source.dtype.name


def _check_rows(sources: Sequence[Source]) -> None:
    if not sources:
        raise InputError("expected samples, received none", hint="give them with --input")
    if len({source.rows for source in sources}) > 1 or not sources[0].rows:
        counts = ", ".join(f"{source.rows} from {source.label}" for source in sources)
        raise InputError(f"expected as many rows for every input, 1 or more, received {counts}")
