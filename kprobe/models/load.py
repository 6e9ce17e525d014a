"""Load a model with the Keras that saved it."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from kprobe.architecture.network import read_network
from kprobe.compat.bounded_weights import weights_bounded
from kprobe.compat.kept_names import names_kept
from kprobe.compat.keras_names import LOAD_OLD_WEIGHTS, SAFE_MODE
from kprobe.compat.quick_initializers import initialized_quickly
from kprobe.errors import Hint, ModelError, Setting
from kprobe.gate.names.walk import list_registered_names
from kprobe.gate.names.would_run import list_what_runs
from kprobe.gate.networks.weight_shapes import MAX_SURPLUS
from kprobe.gate.opened import OpenedFile
from kprobe.gate.refuse import check_safe
from kprobe.gate.rules import Fault
from kprobe.models.checked import check_unchanged, make_error
from kprobe.models.code import Code, is_model_of, make_model
from kprobe.models.custom import read_custom_objects
from kprobe.models.custom_import import find_aliases, find_custom_objects, find_lambda
from kprobe.models.custom_names import describe_lacking
from kprobe.models.failed_load import describe_cause, explain_load
from kprobe.models.file import ModelFile, choose_signature, read_specified
from kprobe.models.for_loader import given_to
from kprobe.models.frozen_graph import load_frozen_graph
from kprobe.models.inner import open_inner
from kprobe.models.layer_names import name_as_in_file, settle_unnamed
from kprobe.models.legacy import restore_behaviour
from kprobe.models.spec import ModelSpec
from kprobe.models.weights.stored_weights import holds_weights, open_weights
from kprobe.models.weights.weights_file import WeightsFile
from kprobe.saved_signature import SavedSignature

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping
    from contextlib import AbstractContextManager
    from types import ModuleType

    from kprobe.models.custom import CustomObjects, GivenObjects

_log = logging.getLogger(__name__)
# Above all levels that the command line switches off.
_SAID = logging.CRITICAL + 10

# Multiplications for the orthogonal matrices of a model without weights: they take some seconds.
_ORTHOGONAL = 2 * 10**10
# What the libraries refuse in their safe mode, by themselves.
_REFUSED_BY_KERAS = frozenset({"files", "lambda", "savedmodel", "torch"})


def find_source(spec: ModelSpec) -> ModelFile | Code:
    """Give where a model comes from: its file, which is read, or its code, which isn't run.

    Args:
        spec: A model that isn't in memory.

    Raises:
        UnsafeModelError: It breaks a rule of the gate, or a model does that one of its layers
            loads.
        ModelError: The file isn't one of a model, or has no such signature.
    """
    if spec.code is not None:
        return spec.code
    file = choose_signature(read_specified(spec), spec.signature)
    allow = None if spec.unsafe else spec.allowed
    return replace(file, inner=open_inner(file.path, file.objects, allow, spec.max_model_bytes))


def load_source(
    source: str | os.PathLike[str] | ModelFile | Code,
    *,
    keras: int | None = None,
    custom_objects: GivenObjects | CustomObjects = (),
    unsafe: bool = False,
    allow: Collection[str] = (),
    signature: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    around: Callable[[], AbstractContextManager[Any]] | None = None,
) -> Any:
    """Load a saved model, uncompiled, with the Keras that saved it; or make one by running code.

    Args:
        source: A `.keras` or HDF5 model file of Keras 3, or of Keras 2 and older; a SavedModel
            directory; a JSON file of the architecture alone, whose weights are random; or code,
            `FILE.py:CALLABLE` or `package.module:CALLABLE`.
        keras: The major version to load with, 2 (tf_keras) or 3; None for the file's own.
        custom_objects: Python files or modules whose classes and functions the model uses; or
            these classes and functions by name; or a sequence of both.
        unsafe: Whether the file may run code of its own.
        allow: The kinds of things that the file may hold besides, of `kprobe.gate.rules.KINDS`.
        signature: Which signature of a SavedModel; None for the Keras model in it, or where it
            holds none for "serving_default" or the only one.
        arguments: What the code is called with, by keyword.
        around: For code, as for `make_model`.

    Returns:
        A `keras.Model` or `tf_keras.Model`, or a `kprobe.saved_signature.SavedSignature`. A
        subclassed model may not be built, and is without the file's weights then.

    Raises:
        UnsafeModelError: The file would run code of its own, or was changed meanwhile.
        ModelCodeError: The code raised.
        ModelError: The file is missing, isn't a model, or needs classes that aren't there.
    """
    custom = read_custom_objects(custom_objects)
    if not isinstance(source, ModelFile | Code):
        source = find_source(
            ModelSpec(
                model=source,
                keras=keras,
                signature=signature,
                allow=tuple(allow),
                unsafe=unsafe,
                custom_objects=custom.parts,
                arguments=arguments or {},
            )
        )
    if isinstance(source, Code):
        return _load_code(source, keras, custom, arguments or {}, around)
    try:
        return _load_file(source, keras, custom, None if unsafe else frozenset(allow))
    finally:
        # It goes before whatever a loader has found wrong with it.
        for opened in (source.opened, *(inner.opened for inner in source.inner)):
            check_unchanged(opened)


def _load_code(
    code: Code,
    keras: int | None,
    custom: CustomObjects,
    arguments: Mapping[str, Any],
    around: Callable[[], AbstractContextManager[Any]] | None,
) -> Any:
    prepare_import(keras)
    find_custom_objects(custom)
    model = make_model(code, arguments, around)
    library = "keras" if is_model_of("keras", model) else "tf_keras"
    if keras is not None and library != ("keras" if keras >= 3 else "tf_keras"):
        raise ModelError(
            f"{code}: expected a model of Keras {keras}, received one of {library} "
            f"{sys.modules[library].__version__}",
            hint=Hint("leave ", Setting("keras"), " out, or import that Keras in the code"),
        )
    return model


def _load_file(
    file: ModelFile, keras: int | None, custom: CustomObjects, allow: frozenset[str] | None
) -> Any:
    """Load a file that may hold what is allowed; whatever it likes where `allow` is None."""
    major = keras or file.keras_major
    if file.saved is not None and major > 2:
        raise ModelError(
            f"{file.path}: Keras 3 doesn't load SavedModels",
            hint=Hint("leave ", Setting("keras", major), " out"),
        )
    if not custom and allow is not None:
        check_safe(file, allow=allow)
    if file.signature is not None:
        if allow is not None:
            check_safe(file, allow=allow)
        _say_what_runs(file, allow)
        return _load_signature(file, file.signature)
    library = import_keras(major)
    names = list_registered_names(file)
    wanted = {name.rpartition(">")[2] for name in names}
    objects = {
        **find_aliases(library, wanted),
        **find_custom_objects(custom, library, wanted),
        **find_lambda(custom, file),
    }
    for name in names:
        # What isn't found under its full name is looked for in the module that the file names.
        if name.rpartition(">")[2] in objects:
            objects.setdefault(name, objects[name.rpartition(">")[2]])
    if allow is not None:
        check_safe(file, objects, allow, partial(describe_lacking, custom))
    _say_what_runs(file, allow, objects)
    unsafe = allow is None or not _REFUSED_BY_KERAS.isdisjoint(allow)
    objects_of_saved = {} if file.saved is None else file.saved.keras
    saved = {number: found.name for number, found in objects_of_saved.items()}
    with names_kept(library, saved):
        model = _build_model(file, library, major, objects, unsafe)
    settle_unnamed(model)
    return model


def _say_what_runs(
    file: ModelFile, allow: frozenset[str] | None, registered: Container[str] = ()
) -> None:
    """Say on stderr what a file runs of its own, of which something is allowed or all is."""
    if allow is not None and not allow:
        return
    lines = [(file.path, line) for line in list_what_runs(file, registered)]
    lines += [(inner.opened.path, line) for inner in file.inner for line in inner.runs]
    for path, line in lines:
        _log.log(_SAID, "%s: %s", path, line)


def _build_model(
    file: ModelFile, library: ModuleType, major: int, objects: dict[str, Any], unsafe: bool
) -> Any:
    if not holds_weights(file):
        return _make_architecture(file, library, objects, unsafe)
    with (
        given_to(library, file, unsafe=unsafe) as (load_model, given),
        # A layer of the user's own may keep what an initializer gives as something else.
        contextlib.nullcontext() if objects or unsafe else initialized_quickly(library),
        weights_bounded(library, _count_allowed(file, trusted=unsafe or bool(objects))) as made,
    ):
        try:
            if file.adapted and major < 3:
                model = _load_adapted(file, library, objects, given)
            else:
                model = load_model(
                    given, custom_objects=objects, compile=False, safe_mode=not unsafe
                )
            name_as_in_file(model, file)
            if file.format == "h5" and major < 3:
                restore_behaviour(model, file.keras_version, file.backend)
            return model
        # What a loader raises on a file that doesn't fit it has no common class.
        except Exception as error:
            if made.is_too_much:
                text = f"makes weights of {made.count:.3g} numbers or more, and holds fewer"
                raise make_error(file.path, Fault("weights-shapes", text)) from error
            if read_network(file.config) is None:
                # tf_keras can't build every subclassed model from its config.
                with contextlib.suppress(ModelError):
                    return _make_architecture(file, library, objects, unsafe)
            raise explain_load(error, file, library, str(given)) from error


def _count_allowed(file: ModelFile, *, trusted: bool) -> int:
    """Count the numbers that a model's weights may have at most, for what its file holds of them.

    Args:
        file: The file.
        trusted: Whether classes of the user's own may make others.
    """
    if trusted or file.format not in ("keras", "h5") or not isinstance(file.opened, OpenedFile):
        return sys.maxsize
    with open_weights(WeightsFile(file.opened)) as stored:
        held = sum(prod(shape) for group in stored.groups.values() for shape in group.values())
    # Packed, as many as eight are one; what a file's layers share may be there once.
    return 8 * held + MAX_SURPLUS


def _load_signature(file: ModelFile, name: str) -> SavedSignature:
    import tensorflow as tf

    if file.saved is not None and isinstance(file.opened, OpenedFile):
        graph = load_frozen_graph(file.opened, file.saved)
        return SavedSignature(name, graph, graph, sorted(graph.structured_outputs))
    tags = file.saved.tags if file.saved else None
    try:
        loaded = tf.saved_model.load(file.name, tags=tags or None)
        function = loaded.signatures[name]
    # What the loader raises on a damaged directory has no common class.
    except Exception as error:
        cause = describe_cause(error, {file.name: str(file.path)})
        raise ModelError(
            f"{file.path} can't be loaded by tensorflow {tf.__version__}: {cause}"
        ) from error
    # `tf.nest` sorts the keys of a dict, and so are the function's results.
    return SavedSignature(name, function, loaded, sorted(function.structured_outputs))


def _make_architecture(
    file: ModelFile, library: ModuleType, objects: dict[str, Any], unsafe: bool
) -> Any:
    """Make a model of a file's config alone: with random weights, and a subclassed one unbuilt."""
    left_out = {"build_config"} if read_network(file.config) is None else set()
    # Compiling would make what `check_safe` doesn't look at.
    left_out |= {"compile_config"}
    config = {key: value for key, value in file.config.items() if key not in left_out}
    with SAFE_MODE.find(library)(not unsafe), initialized_quickly(library, _ORTHOGONAL):
        try:
            if "module" in config:
                return library.saving.deserialize_keras_object(
                    config, custom_objects=objects, safe_mode=not unsafe
                )
            return library.models.model_from_json(json.dumps(config), custom_objects=objects)
        except Exception as error:
            raise explain_load(error, file, library, file.name) from error


def choose_keras(source: ModelFile | Code, keras: int | None) -> int | None:
    """Give the major version to load with; None where code chooses."""
    return keras or (None if isinstance(source, Code) else source.keras_major)


def prepare_import(major: int | None) -> None:
    """Set what TensorFlow and Keras read when they are imported, and never again.

    Args:
        major: The Keras that `tensorflow.keras` is to be; None leaves it to the environment.
    """
    if "tensorflow" not in sys.modules and major is not None:
        # TensorFlow then imports that Keras, and no other, by itself.
        os.environ["TF_USE_LEGACY_KERAS"] = "1" if major < 3 else "0"
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"


def import_keras(major: int) -> ModuleType:
    """Import keras (3 and later) or tf_keras (2 and before), on TensorFlow.

    Raises:
        ModelError: keras is set to run on another backend.
    """
    prepare_import(major)
    if major < 3:
        return importlib.import_module("tf_keras")
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"expected Keras to run on tensorflow, received the backend {keras.backend.backend()}",
            hint="set KERAS_BACKEND=tensorflow before keras is imported",
        )
    return keras


def _load_adapted(file: ModelFile, library: ModuleType, objects: dict[str, Any], root: Any) -> Any:
    """Load as `load_model_from_hdf5` of tf_keras does, with another config than the file's."""
    model = library.models.model_from_config(file.config, custom_objects=objects)
    LOAD_OLD_WEIGHTS.find(library)(root["model_weights"], model)
    return model
