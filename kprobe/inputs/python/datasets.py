"""Datasets of TensorFlow: those in a folder, and those that Python users have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kprobe.errors import InputError
from kprobe.inputs.python.generated import open_batches, open_unnamed
from kprobe.inputs.python.given_batches import Batches
from kprobe.inputs.python.user_code import call_user

if TYPE_CHECKING:
    from pathlib import Path

    from kprobe.inputs.sources.container import Container
    from kprobe.inputs.sources.source import Unfitted

_BATCH = 32


def open_saved(folder: Path, label: str, identity: dict[str, Any]) -> Unfitted | Container:
    """Open what `tf.data.Dataset.save` wrote, an element a sample.

    Args:
        folder: The folder.
        label: What messages and row identities call it.
        identity: What its sources are to report of it.

    Raises:
        InputError: It can't be read, or its elements are of several shapes.
    """
    import tensorflow as tf

    def load() -> Any:
        return tf.data.Dataset.load(str(folder))

    try:
        loaded = load()
        rows = int(loaded.cardinality())
    except Exception as error:  # what it says of damage has no common class
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{label}: can't be read: {lines[0]}") from None
    if rows < 1:
        raise InputError(f"{label}: expected samples, received a dataset without any")
    declared = _declare(_list_specs(loaded.element_spec), batched=False)
    batches = Batches(lambda: _batch(load()), label, rows, declared=declared)
    return open_batches(batches, identity)


def _batch(dataset: Any) -> Any:
    """Put samples into batches, so that Python isn't called for every one."""
    specs = sys.modules["tensorflow"].nest.flatten(dataset.element_spec)
    ranks = [spec.shape.rank for spec in specs]
    # Those that differ in shape make ragged batches, of which the rank must be known.
    return dataset.batch(_BATCH) if None in ranks else dataset.ragged_batch(_BATCH)


def _declare(specs: Mapping[str, Any], *, batched: bool) -> dict[str, tuple[int | None, ...]]:
    """Give the shapes of rows that specs tell."""
    shapes = {key: spec.shape for key, spec in specs.items() if hasattr(spec, "shape")}
    return {
        key: tuple(shape)[1:] if batched else tuple(shape)
        for key, shape in shapes.items()
        if shape.rank is not None
    }


def is_saved(folder: Path) -> bool:
    """Tell a folder that `tf.data.Dataset.save` wrote."""
    return (folder / "dataset_spec.pb").is_file()


def is_dataset(value: Any) -> bool:
    """Tell a `tf.data.Dataset`."""
    # If there is one, it has been imported.
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(value, tf.data.Dataset)


def open_dataset(
    dataset: Any, label: str, find_rank: Callable[[str], int | None]
) -> Unfitted | Container:
    """Open a dataset of batches, as training takes them, or of samples.

    Its elements are batches where they have as many axes as the model's input, and samples where
    they have one less. Where the model doesn't say what it takes, they are samples if one of their
    parts, such as the target, is a single value.

    Args:
        dataset: The `tf.data.Dataset`; its elements are inputs, or `(inputs, targets)`.
        label: What messages and row identities call it.
        find_rank: Gives the number of axes, that of samples too, of the input that an array of
            that name or place is for; None where nobody knows. "" is the name of a lone one.

    Raises:
        InputError: It fails, or is empty.
    """
    specs = _list_specs(dataset.element_spec)
    count = int(call_user(label, dataset.cardinality))
    identity = {"source": label, "type": "tf.data.Dataset"}
    if _holds_samples(dataset.element_spec, specs, find_rank):
        rows = count if count >= 0 else None  # negative: endless, or not known
        declared = _declare(specs, batched=False)
        batches = Batches(lambda: _batch(dataset), label, rows, declared=declared)
        return open_unnamed(batches, identity)
    sizes = {spec.shape[0] for spec in specs.values() if spec.shape.rank}
    size = sizes.pop() if len(sizes) == 1 else None
    rows = count * size if size is not None and count >= 0 else None
    declared = _declare(specs, batched=True)
    return open_unnamed(Batches(lambda: dataset, label, rows, declared=declared), identity)


def _list_specs(element: Any) -> dict[str, Any]:
    """Give the specs of the inputs by name or place, as `Batches` names them."""
    inputs = element[0] if isinstance(element, tuple) and len(element) in (1, 2, 3) else element
    if isinstance(inputs, Mapping):
        return {str(key): spec for key, spec in inputs.items()}
    if isinstance(inputs, tuple | list):
        return {str(place): spec for place, spec in enumerate(inputs)}
    return {"": inputs}


def _holds_samples(
    element: Any, specs: Mapping[str, Any], find_rank: Callable[[str], int | None]
) -> bool:
    tf = sys.modules["tensorflow"]
    for key, spec in specs.items():
        expected, rank = find_rank(key), spec.shape.rank
        if expected is not None and rank in (expected - 1, expected):
            return bool(rank == expected - 1)
    return any(spec.shape.rank == 0 for spec in tf.nest.flatten(element))
