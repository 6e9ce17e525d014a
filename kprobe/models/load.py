"""Load a model with the Keras that saved it."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.errors import ModelError
from kprobe.models.custom import find_custom_objects
from kprobe.models.file import ModelFile, choose_signature, read_model_file
from kprobe.models.legacy import restore_behaviour
from kprobe.models.safety import check_safe, list_registered_names
from kprobe.saved_signature import SavedSignature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


def load_model(
    path: str | os.PathLike[str] | ModelFile,
    *,
    keras: int | None = None,
    custom_objects: Sequence[str] = (),
    unsafe: bool = False,
    signature: str | None = None,
) -> Any:
    """Load a saved model, uncompiled, with the Keras that saved it.

    Args:
        path: A `.keras` or HDF5 model file of Keras 3, or of Keras 2 and older; or a SavedModel
            directory.
        keras: The major version to load with, 2 (tf_keras) or 3; None for the file's own.
        custom_objects: Python files or modules whose classes and functions the model uses.
        unsafe: Whether the file may run code of its own.
        signature: Which signature of a SavedModel; None for the Keras model in it, or where it
            holds none for "serving_default" or the only one.

    Returns:
        A `keras.Model` or `tf_keras.Model`, or a `kprobe.saved_signature.SavedSignature`.

    Raises:
        UnsafeModelError: The file would run code of its own.
        ModelError: The file is missing, isn't a model, or needs classes that aren't there.
    """
    file = path
    if not isinstance(file, ModelFile):
        file = choose_signature(read_model_file(file), signature)
    major = keras or file.keras_major
    if file.saved is not None and major > 2:
        raise ModelError(
            f"{file.path}: Keras 3 doesn't load SavedModels", hint="leave --keras 3 out"
        )
    if not custom_objects and not unsafe:
        check_safe(file)
    if file.signature is not None:
        if not unsafe:
            check_safe(file)
        return _load_signature(file, file.signature)
    library = import_keras(major)
    objects = find_custom_objects(custom_objects)
    for name in list_registered_names(file):
        # What isn't found under its full name is looked for in the module that the file names.
        if name.rpartition(">")[2] in objects:
            objects.setdefault(name, objects[name.rpartition(">")[2]])
    if not unsafe:
        check_safe(file, registered=objects)
    with _named_for_loader(file) as name, _legacy_lambdas(library, unsafe):
        try:
            if file.adapted and major < 3:
                model = _load_adapted(file, library, objects)
            else:
                model = library.models.load_model(
                    name, custom_objects=objects, compile=False, safe_mode=not unsafe
                )
            if file.format == "h5" and major < 3:
                restore_behaviour(model, file)
            return model
        # What a loader raises on a file that doesn't fit it has no common class.
        except Exception as error:
            raise _explain(error, file, library) from error


def _load_signature(file: ModelFile, name: str) -> SavedSignature:
    import tensorflow as tf

    tags = file.saved.tags if file.saved else None
    try:
        loaded = tf.saved_model.load(str(file.path), tags=tags or None)
        function = loaded.signatures[name]
    # What the loader raises on a damaged directory has no common class.
    except Exception as error:
        raise ModelError(
            f"{file.path} can't be loaded by tensorflow {tf.__version__}: {_describe(error)}",
            hint="-v shows the traceback",
        ) from error
    # `tf.nest` sorts the keys of a dict, and so are the function's results.
    return SavedSignature(name, function, loaded, sorted(function.structured_outputs))


def import_keras(major: int) -> ModuleType:
    """Import keras (3 and later) or tf_keras (2 and before), on TensorFlow.

    Raises:
        ModelError: keras is set to run on another backend.
    """
    if "tensorflow" not in sys.modules and major < 3:
        # Custom objects of the time expect Keras 2 under `tensorflow.keras`.
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    if major < 3:
        return importlib.import_module("tf_keras")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"keras runs on {keras.backend.backend()} here, expected tensorflow",
            hint="set KERAS_BACKEND=tensorflow before keras is imported",
        )
    return keras


@contextlib.contextmanager
def _named_for_loader(file: ModelFile) -> Iterator[str]:
    """Give the file under a name that ends as the loaders demand."""
    endings = {"keras": (".keras",), "h5": (".h5", ".hdf5"), "saved_model": ("",)}[file.format]
    if str(file.path).endswith(endings):
        yield str(file.path)
        return
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory) / f"model{endings[0]}"
        link.symlink_to(file.path.resolve())
        yield str(link)


def _load_adapted(file: ModelFile, library: ModuleType, objects: dict[str, Any]) -> Any:
    """Load as `load_model_from_hdf5` of tf_keras does, with another config than the file's."""
    import h5py

    model = library.models.model_from_config(file.config, custom_objects=objects)
    with h5py.File(file.path, "r", locking=False) as root:
        library.src.saving.legacy.hdf5_format.load_weights_from_hdf5_group(
            root["model_weights"], model
        )
    return model


@contextlib.contextmanager
def _legacy_lambdas(library: ModuleType, unsafe: bool) -> Iterator[None]:
    """Let Keras 3 open the lambdas of an HDF5 file too: there `safe_mode` doesn't reach them."""
    if not unsafe or library.__name__ != "keras":
        yield
        return
    with library.src.saving.serialization_lib.SafeModeScope(False):
        yield


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" + ("…" if len(text) > 300 else "")


def _explain(error: Exception, file: ModelFile, library: ModuleType) -> ModelError:
    text = " ".join(str(error).split())
    fault = (
        f"{file.path} can't be loaded by {library.__name__} {library.__version__}: "
        + _describe(error)
    )
    if any(sign in text for sign in ("Unknown layer", "Could not locate", "Unknown object")):
        return ModelError(fault, hint="pass --custom-objects FILE.py that defines what is missing")
    if isinstance(error, EOFError | ValueError) and any(
        sign in text for sign in ("bad marshal data", "EOF read where object expected")
    ):
        return ModelError(
            f"{file.path} has a function as bytecode of another version of Python",
            hint="load it in the Python that saved it, or pass --custom-objects FILE.py with a "
            "class of the layer's class name, such as Lambda, that takes its place",
        )
    if file.saved is not None:
        return ModelError(
            fault, hint="`--signature NAME` runs one of its signatures, without layers"
        )
    other = 2 if library.__name__ == "keras" else 3
    return ModelError(
        fault, hint=f"`--keras {other}` tries the other Keras; -v shows the traceback"
    )
