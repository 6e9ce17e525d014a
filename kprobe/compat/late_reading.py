"""Let tf_keras read an HDF5 file's large weights one by one, as it assigns them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.compat.keras_names import READ_NAMES_OF_OLD_WEIGHTS, READ_OLD_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# Smaller ones are read at once, as tf_keras does, and may be converted in any way.
_LARGE_BYTES = 16 << 20


@contextlib.contextmanager
def read_late(library: ModuleType, version: str | None, backend: str | None) -> Iterator[None]:
    """Let Keras hold one large weight of an HDF5 file at a time, besides the model's own.

    `load_weights_from_hdf5_group` in tf_keras/src/saving/legacy/hdf5_format.py reads them all
    before it assigns the first, so that loading takes twice the memory of the model. An h5py
    dataset in the place of an array is read when it is assigned. That is as good where nothing
    is converted: not in files of Keras 1 or of Theano, and not for recurrent layers.

    Args:
        library: The Keras that loads the file.
        version: Of the Keras that wrote it; None where the file doesn't say.
        backend: What the file says its Keras ran on; None where it doesn't.
    """
    version = version or "1"
    if library.__name__ != "tf_keras" or version.startswith("1"):
        yield
        return
    if backend not in (None, "tensorflow"):
        yield
        return
    original = READ_OLD_WEIGHTS.find()
    read_names = READ_NAMES_OF_OLD_WEIGHTS.find()

    def load(group: Any) -> list[Any]:
        names = read_names(group, "weight_names")
        if any("recurrent_kernel" in name for name in names):
            return list(original(group))
        stored = [group[name] for name in names]
        return [item if item.nbytes >= _LARGE_BYTES else np.asarray(item) for item in stored]

    with READ_OLD_WEIGHTS.patched(load):
        yield
