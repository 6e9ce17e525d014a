"""Let a Keras read what a `.keras` archive holds where it lies, and not from a copy of it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from kprobe.compat.keras_names import (
    IS_MEMORY_SUFFICIENT,
    MAKE_ASSET_STORE,
    MAKE_WEIGHT_STORE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@contextlib.contextmanager
def read_in_place(
    library: ModuleType, archive: str, weights: Any, assets: str | None
) -> Iterator[None]:
    """Give a Keras an archive's weights and the files of its layers, in the block.

    By itself, Keras 3 reads the weights as a whole, or unpacks them beside the archive, and
    tf_keras seeks in them by `zipfile`, which goes through all that is before each time. Where
    layers have files of their own, both unpack the whole archive (`DiskIOStore` in
    keras/src/saving/saving_lib.py and tf_keras/src/saving/saving_lib.py).

    Args:
        library: The Keras that loads the archive.
        archive: Its name, under which nothing else is loaded: others may load theirs meanwhile.
        weights: The HDF5 file in it, a binary file that can seek.
        assets: A folder with what is in the archive's `assets/`; None where there is none.
    """
    make_weights = MAKE_WEIGHT_STORE.find(library)
    make_assets = MAKE_ASSET_STORE.find(library)

    def open_weights(store: Any, path: Any, archive: Any = None, mode: str = "r") -> None:
        make_weights(store, path, _Weights(weights) if is_meant(archive) else archive, mode)

    def open_assets(store: Any, path: Any, archive: Any = None, mode: str | None = None) -> None:
        if assets is not None and is_meant(archive):
            path, archive = assets, None
        make_assets(store, path, archive, mode)

    def is_meant(opened: Any) -> bool:
        return getattr(opened, "filename", None) == archive

    with contextlib.ExitStack() as stack:
        stack.enter_context(MAKE_WEIGHT_STORE.patched(open_weights, library))
        stack.enter_context(MAKE_ASSET_STORE.patched(open_assets, library))
        if library.__name__ == "keras":
            stack.enter_context(_asking_for_the_archive())
        yield


@contextlib.contextmanager
def _asking_for_the_archive() -> Iterator[None]:
    """Keep Keras 3 from making a copy: where it can't, it opens the weights in the archive."""
    is_sufficient = IS_MEMORY_SUFFICIENT.find()
    thread = threading.get_ident()

    def decide(model: Any) -> bool:
        if threading.get_ident() == thread:
            raise OSError("the weights are read where they lie")
        return bool(is_sufficient(model))

    with IS_MEMORY_SUFFICIENT.patched(decide):
        yield


class _Weights:
    """An archive with one member that is open already."""

    def __init__(self, weights: Any) -> None:
        self._weights = weights

    def open(self, _name: str, _mode: str) -> Any:
        return self._weights
