"""From what the user gave to samples for every input of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.faults import Faults
from kprobe.inputs.files import EXPECTED
from kprobe.inputs.fitting import check_fit
from kprobe.inputs.image_files import is_glob
from kprobe.inputs.labels import read_labels
from kprobe.inputs.locating import parse_location
from kprobe.inputs.matching import Matches
from kprobe.inputs.npy_header import check_plain
from kprobe.inputs.random_rows import DEFAULT_ROWS, RandomRows
from kprobe.inputs.samples import Samples
from kprobe.inputs.source import UNKNOWN_ROWS, ArraySource, Source
from kprobe.inputs.uneven import UnevenArrays

if TYPE_CHECKING:
    from kprobe.inputs.image_options import ImageOptions
    from kprobe.inputs.model_input import ModelInput

# More than any disk takes, and few enough for the numbers of HDF5.
_MAX_RANDOM_ROWS = UNKNOWN_ROWS - 1


def open_sources(
    texts: Sequence[str],
    inputs: Sequence[ModelInput],
    *,
    feeds: Sequence[str] = (),
    random_rows: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    images: Mapping[str, ImageOptions] | None = None,
    labels_from_folders: bool = False,
) -> Samples:
    """Open a source for every input of the model; no data is read yet.

    Args:
        texts: `SRC` or `NAME=SRC` each. SRC is a .npy, .npz or HDF5 file, `FILE:KEY` for one
            array of a file, or `-` for a .npy array on standard input; or an image, a folder of
            images, or a .txt file with the path of an image a line; or `FILE:KEY` for a feature
            of a TFRecord file or a column of a Parquet file; a folder that
            `tf.data.Dataset.save` wrote; `FILE.py:FUNCTION` or `MODULE:FUNCTION` that gives
            batches; or a pattern for files that are read one after another. Empty: random
            samples.
        inputs: The model's inputs, those among them that are fed.
        feeds: `NAME=SRC` for those that are fed.
        random_rows: How many random samples to make, instead of `texts`; 8 if there are none.
        seed: The seed of the random samples.
        limit: Use the first so many rows only.
        images: How images become rows, by input; under "" for all inputs.
        labels_from_folders: Whether the samples are to have labels, after the folders that their
            images lie in.

    Raises:
        InputError: With a line for everything about the sources that is wrong.
    """
    faults = Faults()
    _check_numbers(texts, inputs, random_rows, seed, limit, faults)
    fed = {text.partition("=")[0] for text in feeds}
    matches = Matches(inputs, faults, named_only=fed, images=images)
    try:
        for text in (*feeds, *texts):
            matches.add_text(text)
        others = [model_input for model_input in inputs if model_input.name not in fed]
        if others and not texts:
            faults.raise_if_any()
            _add_random(matches, others, DEFAULT_ROWS if random_rows is None else random_rows, seed)
            faults.raise_if_any()
        return _finish(matches, limit, labeled=labels_from_folders)
    except BaseException:
        matches.close()
        raise


def check_there(sources: Sequence[str]) -> None:
    """Check that the files of sources are there, before it is known what they are for.

    Raises:
        InputError: With a line for everyone that isn't.
    """
    faults = Faults()
    for source in sources:
        parsed = parse_location(source, ())
        path = parsed.path
        if path is None or parsed.function is not None:
            continue
        if not path.exists() and not is_glob(path):
            faults.add(f"{source}: {EXPECTED}, and there is no such file")
    faults.raise_if_any()


def open_arrays(
    given: Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any],
    inputs: Sequence[ModelInput],
    *,
    limit: int | None = None,
) -> Samples:
    """Take samples from arrays in memory.

    Args:
        given: An array for each of the model's inputs by name, or the array for its only one,
            each of shape (rows, *sample shape); or a sequence of arrays, one a sample, of several
            shapes.
        inputs: The model's inputs.
        limit: Use the first so many rows only.

    Raises:
        InputError: With a line for everything about the arrays that is wrong.
    """
    faults = Faults()
    _check_numbers((), inputs, None, 0, limit, faults)
    matches = Matches(inputs, faults)
    named = given if isinstance(given, Mapping) else {None: given}
    for name, values in named.items():
        label = "array" if name is None else f"array:{name}"
        with faults.taken():
            arrays = _take_apart(values)
            if len({array.shape for array in arrays}) > 1:
                matches.add_source(name, UnevenArrays(arrays, label), label)
                continue
            array = np.stack(arrays) if arrays else np.asarray(values)
            if array.dtype.hasobject and not all(isinstance(v, str | bytes) for v in array.flat):
                raise InputError(f"{label}: expected numbers or strings, received objects")
            check_plain(array.dtype, array.shape, label)
            matches.add_source(name, ArraySource(array, label), label)
    return _finish(matches, limit)


def _take_apart(values: Any) -> list[npt.NDArray[Any]]:
    """Give the arrays of a sequence of them; none of anything else."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return []
    arrays = list(values) if isinstance(values, Sequence | np.ndarray) else []
    are_arrays = all(isinstance(value, np.ndarray) and value.dtype != object for value in arrays)
    return arrays if are_arrays else []


def _check_numbers(
    texts: Sequence[str],
    inputs: Sequence[ModelInput],
    random_rows: int | None,
    seed: int,
    limit: int | None,
    faults: Faults,
) -> None:
    if not inputs:
        faults.add("expected a model that takes samples, received one without inputs")
    if random_rows is not None:
        if texts:
            faults.add(
                f"expected --input or --random, received both: {', '.join(texts)} and "
                f"{random_rows} random rows",
                "leave one of them out",
            )
        if random_rows < 1:
            faults.add(f"--random expects at least 1 row, received {random_rows}")
        if random_rows > _MAX_RANDOM_ROWS:
            faults.add(f"--random expects fewer than 10^12 rows, received {random_rows}")
    if seed < 0:
        faults.add(f"--seed expects 0 or more, received {seed}")
    if limit is not None and limit < 1:
        faults.add(f"--limit expects at least 1 row, received {limit}")


def _add_random(matches: Matches, inputs: Sequence[ModelInput], rows: int, seed: int) -> None:
    for index, model_input in enumerate(inputs):
        with matches.faults.taken():
            source = RandomRows(model_input, index, rows, seed)
            matches.add_source(model_input.name, source, "random")


def _finish(matches: Matches, limit: int | None, *, labeled: bool = False) -> Samples:
    """Check what was matched as a whole, and report every fault found until here."""
    sources = matches.complete()
    for model_input, source in sources.items():
        check_fit(model_input, source, matches.faults)
    _check_same_rows(list(sources.values()), matches.faults)
    of_rows = None
    if labeled:
        with matches.faults.taken():
            of_rows = read_labels(sources.values())
    matches.faults.raise_if_any()
    return Samples(sources, limit=limit, labels=of_rows)


def _check_same_rows(sources: Sequence[Source], faults: Faults) -> None:
    if len({source.rows for source in sources} - {UNKNOWN_ROWS}) > 1:
        counts = ", ".join(f"{source.rows} from {source.label}" for source in sources)
        faults.add(f"expected as many rows for every input, received {counts}")
