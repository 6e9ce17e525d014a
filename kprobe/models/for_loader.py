"""Give a Keras what was checked: the open file itself, and no copy of it."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

from kprobe.compat.archive_reading import read_in_place
from kprobe.compat.endings import EndingName
from kprobe.compat.keras_names import LOAD_OLD_MODEL, SAFE_MODE
from kprobe.compat.late_reading import read_late
from kprobe.errors import ShortageError
from kprobe.gate.files.archive import list_assets
from kprobe.gate.opened import OpenedFile
from kprobe.hdf5 import open_for_reading
from kprobe.models.weights.archive import open_weights_member, unpack_assets
from kprobe.scratch import make_scratch
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from kprobe.models.file import ModelFile


@contextlib.contextmanager
def given_to(
    library: ModuleType, file: ModelFile, *, unsafe: bool
) -> Iterator[tuple[Callable[..., Any], Any]]:
    """Let a Keras load a file, which it reads by the descriptor that was checked.

    Weights are read one by one as they are assigned, where they lie. Those that are compressed in
    an archive are unpacked where temporary files are kept, as are the files of its layers.

    Args:
        library: The Keras.
        file: A file or directory with weights.
        unsafe: Whether it may run code of its own.

    Yields:
        What loads it, as `keras.models.load_model` does; and what that is to be given.

    Raises:
        ModelError: The archive holds no weights.
        ShortageError: There is no room for temporary files.
    """
    load = library.models.load_model
    with contextlib.ExitStack() as stack:
        if file.format == "h5":
            if library.__name__ == "keras":
                load = _load_old
                # Not all releases look at `safe_mode` for the functions in an HDF5 file.
                stack.enter_context(SAFE_MODE.find(library)(not unsafe))
            stack.enter_context(read_late(library, file.keras_version, file.backend))
            yield load, stack.enter_context(open_for_reading(file.name, shown=file.path))
        elif file.format == "keras":
            yield load, stack.enter_context(_give_archive(library, file))
        else:
            yield load, file.name


def _load_old(file: Any, **settings: Any) -> Any:
    """Load an open HDF5 file, as `keras.models.load_model` does by a name."""
    load = LOAD_OLD_MODEL.find()
    known = inspect.signature(load).parameters
    return load(file, **{name: value for name, value in settings.items() if name in known})


@contextlib.contextmanager
def _give_archive(library: ModuleType, file: ModelFile) -> Iterator[str]:
    """Give an archive under a name that ends as the loaders demand."""
    name = EndingName(file.name, ".keras")
    with (
        open_weights_member(file.opened) as weights,
        _unpack_assets(file) as assets,
        read_in_place(library, name, weights, assets),
    ):
        yield name


@contextlib.contextmanager
def _unpack_assets(file: ModelFile) -> Iterator[str | None]:
    """Give a folder with the files of an archive's layers; None where they have none."""
    if not isinstance(file.opened, OpenedFile) or not list_assets(file.opened):
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(make_scratch("kprobe-assets-"))
            unpack_assets(file.opened, folder)
        except OSError as error:
            raise find_shortage(error) or ShortageError(
                f"{file.path}: can't be loaded without a folder for temporary files: "
                f"{error.strerror}",
                hint="set TMPDIR to one",
            ) from None
        yield str(folder / "assets")
