"""Read what a model file says about itself, without TensorFlow and without its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kprobe.architecture.keras_version import judge_version
from kprobe.architecture.old_configs import adapt_config
from kprobe.elsewhere import check_content, check_here
from kprobe.errors import Hint, ModelError, Setting
from kprobe.gate.files.archive import CONFIG, METADATA, list_members, read_member
from kprobe.gate.files.config_json import MAX_BYTES, parse_config
from kprobe.gate.opened_directory import OpenedDirectory
from kprobe.hdf5 import OpenForWritingError, open_for_reading
from kprobe.models.checked import (
    GIVE_SAVED,
    SAVE_AGAIN,
    check_opened,
    check_unchanged,
    make_error,
    open_model,
    open_model_directory,
)

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from kprobe.gate.findings import Opened
    from kprobe.gate.opened import OpenedFile
    from kprobe.models.inner import InnerModel
    from kprobe.models.saved_model import SavedModel
    from kprobe.models.spec import ModelSpec


Format: TypeAlias = Literal["keras", "h5", "json", "saved_model", "graph"]

DUMP_FORMAT = "kprobe dump"
SAVED_MODEL = "saved_model.pb"
# What the index of a checkpoint is called.
_INDEX = ".index"
# What is looked at to tell what a file is.
_START_BYTES = 64


class WeightsAloneError(ModelError):
    """A file holds the weights of a model, and not what the model is."""


@dataclass(frozen=True)
class ModelFile:
    """A model file's description of its model.

    Attributes:
        opened: The file, or the directory, open: what is read of it is what was checked.
        format: "keras" for the zip archive, "h5" for HDF5, "json" for an architecture alone,
            whatever the file is called; "saved_model" for the directory; "graph" for a frozen
            graph.
        keras_version: The version that wrote the file, e.g. "3.15.1"; None where it doesn't say.
        keras_major: 3 for the library `keras`, 2 for `tf_keras` (2 and older).
        config: The model's config: `class_name`, `config`, and with Keras 3 `module` and so on.
            Of a Keras before 2.2, as Keras 2.2 would write it. Empty for a SavedModel without a
            Keras model.
        adapted: Whether `config` isn't what the file has.
        backend: What an HDF5 file of Keras 2 says its Keras ran on, e.g. "theano".
        saved: What a SavedModel directory holds, or a frozen graph as one; None for another file.
        signature: The signature that is to be run as it is, not a Keras model; None for that.
        inner: The SavedModels that its layers load, where that is allowed, once they were checked.
    """

    opened: Opened
    format: Format
    keras_version: str | None
    keras_major: int
    config: dict[str, Any]
    adapted: bool = False
    backend: str | None = None
    saved: SavedModel | None = None
    signature: str | None = None
    inner: Sequence[InnerModel] = ()

    @property
    def path(self) -> Path:
        """The file, as the user named it."""
        return self.opened.path

    @property
    def name(self) -> str:
        """A name under which libraries open what was checked."""
        return self.opened.name

    @property
    def objects(self) -> dict[str, Any]:
        """The configs of all objects that a loader builds."""
        if self.signature is not None:
            return {}
        return self.config if self.saved is None else self.saved.describe_objects()

    @property
    def unsafe_operations(self) -> Sequence[str] | None:
        """What the graphs of a SavedModel do besides computing; None for other files."""
        return None if self.saved is None else self.saved.unsafe_operations


def read_specified(spec: ModelSpec) -> ModelFile:
    """Read the file of a model that is asked for: see `read_model_file`."""
    allow = None if spec.unsafe else spec.allowed
    return read_model_file(spec.model, allow=allow, max_model_bytes=spec.max_model_bytes)


def read_model_file(
    path: str | os.PathLike[str],
    *,
    allow: Container[str] | None = (),
    max_model_bytes: int | None = None,
) -> ModelFile:
    """Read a model's config and its Keras version from a file or a SavedModel directory.

    The content decides which of them it is, not the file's name. The gate looks at it first.

    Args:
        path: The model file, or the directory.
        allow: Kinds of `kprobe.gate.rules.KINDS` that it may have; None for a file that the user
            trusts, of which only damage counts.
        max_model_bytes: How large it may be; None for any size.

    Returns:
        What the file says; its weights are left unread.

    Raises:
        UnsafeModelError: It breaks a rule of the gate, whatever its config says.
        ModelError: If the file is missing, isn't a model, holds weights only, is a dump that
            kprobe wrote, or is damaged.
    """
    opened, start = open_model_file(path)
    check_opened(opened, allow=allow, max_model_bytes=max_model_bytes)
    model_file = read_opened(opened, start)
    check_unchanged(opened)
    return model_file


def open_model_file(path: str | os.PathLike[str]) -> tuple[Opened, bytes]:
    """Open a model file, or a SavedModel directory, and read nothing but how it begins.

    Args:
        path: The model file, or the directory; or its `saved_model.pb`.

    Returns:
        It, open; and the first bytes of a file, none of a directory.

    Raises:
        ModelError: It is missing, or isn't a model, as far as its first bytes and its name tell.
    """
    check_here(os.fspath(path), ModelError)
    path = Path(path)
    if path.name == SAVED_MODEL:
        path = path.parent
    if _is_saved_model(path):
        directory = open_model_directory(path)
        if (main := directory.open_member(SAVED_MODEL)) is not None:
            check_content(path / SAVED_MODEL, main.read(_START_BYTES), ModelError)
        return directory, b""
    opened = open_model(path)
    try:
        start = opened.read(_START_BYTES)
    except OSError as error:  # of the disk, or of a file that isn't one
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    _check_start(path, start)
    return opened, start


def read_opened(opened: Opened, start: bytes) -> ModelFile:
    """Read what was checked: see `read_model_file`.

    Args:
        opened: The file, or the directory.
        start: What the file begins with.
    """
    if isinstance(opened, OpenedDirectory):
        return _read_saved_model(opened)
    if start.startswith(b"PK\x03\x04"):
        return _read_archive(opened)
    if start.lstrip().startswith(b"{"):
        return _read_json(opened)
    if opened.path.suffix.lower() == _INDEX:
        raise _make_weights_error(opened.path)
    # The import takes about 0.1 s, which a file that is no model shouldn't cost.
    import h5py

    if h5py.is_hdf5(opened.name):
        return _read_hdf5(opened)
    # It takes 0.03 s, which other model files shouldn't cost.
    from kprobe.models.frozen_graph import read_frozen_graph

    if saved := read_frozen_graph(opened, start):
        return ModelFile(opened, "graph", None, 2, {}, saved=saved)
    for kind, ending, is_one in (
        ("a TensorFlow Lite", ".tflite", start[4:8] == b"TFL3"),
        ("an ONNX", ".onnx", False),
    ):
        if is_one or opened.path.suffix.lower() == ending:
            raise ModelError(
                f"{opened.path}: expected a Keras model or a TensorFlow graph, received {kind} "
                "model, which is checked and not opened",
                hint=f"`kprobe check {opened.path}` tells whether it is safe",
            )
    raise ModelError(
        f"{opened.path} is not a model file: neither a .keras archive nor HDF5, nor a whole "
        "frozen graph",
        hint=GIVE_SAVED,
    )


def choose_signature(model_file: ModelFile, name: str | None) -> ModelFile:
    """Choose what of a SavedModel is to be run.

    Args:
        model_file: The file, or directory.
        name: A signature; None for the Keras model, and where there is none for the signature
            "serving_default", or the only one.

    Returns:
        The same, its `signature` chosen.

    Raises:
        ModelError: There is no such signature, or none at all, or it isn't clear which; lists
            those there are.
    """
    path, saved = model_file.path, model_file.saved
    if saved is None:
        if name is not None:
            raise ModelError(
                f"{path} has no signature {name!r}: it isn't a SavedModel directory",
                hint=Hint("leave ", Setting("signature"), " out"),
            )
        return model_file
    if name is None and saved.is_keras:
        return model_file
    there = ", ".join(saved.signatures)
    if not there:
        raise ModelError(
            f"{path} has no signatures, and holds no Keras model",
            hint="save it with `tf.saved_model.save(model, directory, signatures=...)`",
        )
    if name is not None and name not in saved.signatures:
        raise ModelError(f"{path} has no signature {name!r}; it has {there}")
    if name is None and len(saved.signatures) > 1 and "serving_default" not in saved.signatures:
        raise ModelError(
            f"{path} has several signatures: {there}",
            hint=Hint("choose with `", Setting("signature", "NAME"), "`"),
        )
    only = next(iter(saved.signatures)) if len(saved.signatures) == 1 else "serving_default"
    return replace(model_file, signature=name or only)


def _is_saved_model(path: Path) -> bool:
    """Tell whether a directory is meant.

    Raises:
        ModelError: It is one, but no SavedModel.
    """
    try:
        if (path / SAVED_MODEL).is_file():
            return True
        is_directory = path.is_dir()
    except (OSError, ValueError):  # ValueError: a NUL byte in it; opening tells what is wrong
        return False
    if is_directory:
        raise ModelError(
            f"{path} is a directory without saved_model.pb, so no SavedModel",
            hint="name the model files in it, or save the model again as one file: "
            "`model.save('model.keras')`",
        )
    return False


def _check_start(path: Path, start: bytes) -> None:
    """Check that a file is one that may be a model, as far as its first bytes and its name tell."""
    if not start:
        raise ModelError(f"{path} is empty, not a model file", hint=SAVE_AGAIN)
    check_content(path, start, ModelError)


def _read_saved_model(opened: OpenedDirectory) -> ModelFile:
    # It takes 0.03 s, which other model files shouldn't cost.
    from kprobe.models.saved_model import read_saved_model

    saved = read_saved_model(opened)
    if not saved.is_keras:
        return ModelFile(opened, "saved_model", None, 2, {}, saved=saved)
    root = saved.keras[0]
    config = {"class_name": root.class_name, "config": root.config or {}}
    return ModelFile(opened, "saved_model", root.keras_version, 2, config, saved=saved)


def _read_json(opened: OpenedFile) -> ModelFile:
    config = _parse_config(opened, opened.read(MAX_BYTES + 1))
    return _describe(opened, "json", _text(config.get("keras_version")), config)


def _read_archive(opened: OpenedFile) -> ModelFile:
    members = list_members(opened)
    if CONFIG not in members:
        raise ModelError(
            f"{opened.path} is not a model file: a zip archive without {CONFIG}", hint=GIVE_SAVED
        )
    config = _parse_config(opened, read_member(opened, members[CONFIG]))
    version = None
    if METADATA in members:
        metadata, _ = parse_config(read_member(opened, members[METADATA]), METADATA)
        version = _text((metadata or {}).get("keras_version"))
    return _describe(opened, "keras", version, config)


def _read_hdf5(opened: OpenedFile) -> ModelFile:
    path = opened.path
    try:
        with open_for_reading(opened.name, shown=path) as file:
            if _text(file.attrs.get("format")) == DUMP_FORMAT:
                raise ModelError(
                    f"{path} is a dump of activations that kprobe wrote, not a model file",
                    hint="give the model file; `kprobe.open_dump` reads dumps",
                )
            content = file.attrs.get("model_config")
            if content is None:
                _refuse_without_config(path, file)
            version = _text(file.attrs.get("keras_version"))
            backend = _text(file.attrs.get("backend"))
            text = _text(content)
    except (ModelError, OpenForWritingError):
        raise
    except Exception as error:  # HDF5 reports damage as OSError, RuntimeError, KeyError ...
        raise ModelError(
            f"{path} is a truncated or damaged HDF5 file: {_first_line(error)}",
            hint=SAVE_AGAIN,
        ) from None
    written = (text or "").encode("utf-8", "surrogateescape")
    model_file = _describe(opened, "h5", version, _parse_config(opened, written))
    if model_file.keras_major >= 3:
        return model_file
    config = adapt_config(model_file.config, model_file.keras_version)
    adapted = config != model_file.config
    return replace(model_file, config=config, adapted=adapted, backend=backend)


def _refuse_without_config(path: Path, file: Any) -> None:
    groups = set(file)
    if (
        {"layer_names", "layer_names0"} & set(file.attrs)
        or {"model_weights", "vars", "_layer_checkpoint_dependencies"} & groups
        or ("layers" in groups and hasattr(file["layers"], "keys"))
    ):
        raise _make_weights_error(path)
    raise ModelError(
        f"{path} is not a model file: HDF5 without model_config",
        hint=GIVE_SAVED,
    )


def _make_weights_error(path: Path) -> WeightsAloneError:
    return WeightsAloneError(
        f"{path} holds weights only: it doesn't say what the model is",
        hint="build the model, load these weights, then `model.save('model.keras')`",
    )


def _parse_config(opened: OpenedFile, content: bytes) -> dict[str, Any]:
    config, faults = parse_config(content)
    if config is None:
        raise make_error(opened.path, faults[0])
    if "weight_map" in config and "class_name" not in config:
        raise _make_weights_error(opened.path)
    if not isinstance(config.get("class_name"), str) or not isinstance(
        config.get("config"), dict | list
    ):
        raise ModelError(
            f"{opened.path}: its model config: expected an object with the class_name and config "
            "of a Keras model, received an object without valid ones",
            hint=GIVE_SAVED,
        )
    return config


def _describe(
    opened: Opened, file_format: Format, version: str | None, config: dict[str, Any]
) -> ModelFile:
    version, major = judge_version(version, config, default=2 if file_format == "h5" else 3)
    return ModelFile(opened, file_format, version, major, config)


def _text(value: object) -> str | None:
    """Turn an HDF5 attribute, str or bytes depending on who wrote it, into text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
