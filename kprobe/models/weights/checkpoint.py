"""Find a checkpoint of TensorFlow, and read what it holds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.elsewhere import check_here
from kprobe.errors import ModelError
from kprobe.gate.graphs.checkpoint_index import TRAINING
from kprobe.gate.opened_checkpoint import DATA, INDEX
from kprobe.gate.opened_directory import open_inside
from kprobe.gate.rules import Fault
from kprobe.models.checked import SAVE_AGAIN
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from kprobe.gate.opened_checkpoint import OpenedCheckpoint

_DATA_AT_END = re.compile(rf"(?:{DATA.pattern})\Z", re.ASCII)
# The file in which TensorFlow notes the latest checkpoint of a directory.
_LATEST = "checkpoint"
_LATEST_PATH = re.compile(r'^model_checkpoint_path: "([^"\n]*)"', re.MULTILINE)
_LATEST_BYTES = 1 << 20
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"


@dataclass(frozen=True)
class CheckpointReader:
    """An open checkpoint.

    Attributes:
        opened: Its files, which the gate has let pass.
        reader: TensorFlow's.
        all_shapes: The shape of each array, by its key.
        objects: The objects that were saved, with their parts, as
            `kprobe.gate.graphs.saved_model_proto` has them; none in a checkpoint of TensorFlow 1.
    """

    opened: OpenedCheckpoint
    reader: Any
    all_shapes: Mapping[str, list[int]]
    objects: list[Any]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array that isn't of the training, by its key."""
        return {
            key: tuple(shape) for key, shape in self.all_shapes.items() if not TRAINING.search(key)
        }

    def name_keys(self) -> dict[str, str]:
        """Give the key of each array by the name that its variable had, where only one has it."""
        named = [*self._list_named()] or [(key, key) for key in self.shapes]
        keys: dict[str, str | None] = {}
        for name, key in named:
            keys[name] = None if name in keys and keys[name] != key else key
        return {name: key for name, key in keys.items() if key is not None}

    def _list_named(self) -> Iterator[tuple[str, str]]:
        for node in self.objects:
            for attribute in node.attributes:
                if attribute.full_name and attribute.checkpoint_key in self.shapes:
                    yield attribute.full_name, attribute.checkpoint_key

    def find_key(self, number: int) -> str | None:
        """Give the key of an object's own value, if it is a variable."""
        for attribute in self.objects[number].attributes:
            if attribute.name == _VALUE and attribute.checkpoint_key in self.shapes:
                return str(attribute.checkpoint_key)
        return None

    def list_parts(self, number: int) -> dict[str, int]:
        """Give the numbers of an object's parts by their names, those with weights first."""
        parts = [
            (child.local_name, child.node_id)
            for child in self.objects[number].children
            if 0 <= child.node_id < len(self.objects)
        ]
        # tf_keras counts layers twice: all of them, and those with weights.
        return dict(sorted(parts, key=lambda part: not part[0].startswith("layer_with_weights-")))

    def read(self, key: str) -> npt.NDArray[Any]:
        """Read an array.

        Raises:
            ModelError: It is damaged.
        """
        try:
            array: npt.NDArray[Any] = self.reader.get_tensor(key)
        except Exception as error:  # it has no common class
            raise _explain(self.opened, error, f"{key}: ") from None
        return array


def read_checkpoint(opened: OpenedCheckpoint) -> CheckpointReader:
    """Read what a checkpoint holds, but for its arrays.

    Args:
        opened: Its files, which the gate has let pass: TensorFlow makes room for what the index
            declares before it looks.

    Raises:
        ModelError: It is damaged.
    """
    import tensorflow as tf

    from kprobe.gate.graphs.saved_model_proto import parse

    try:
        reader = tf.train.load_checkpoint(opened.name)
        shapes = reader.get_variable_to_shape_map()
        objects = []
        if _OBJECTS in shapes:
            objects = [*parse("TrackableObjectGraph", reader.get_tensor(_OBJECTS)).nodes]
    # What TensorFlow raises has no common class.
    except Exception as error:
        raise _explain(opened, error) from None
    return CheckpointReader(opened, reader, shapes, objects)


def _explain(opened: OpenedCheckpoint, error: Exception, what: str = "") -> ModelError:
    said = (str(error) or type(error).__name__).splitlines()[0].replace(opened.name, "it")
    return ModelError(f"{opened.path} is a damaged checkpoint: {what}{said}", hint=SAVE_AGAIN)


def find_checkpoint(path: str | os.PathLike[str]) -> Path | None:
    """Find the checkpoint that a path means: what the names of its files begin with.

    Args:
        path: What the files of a checkpoint begin with, one of these files, or a directory: its
            latest checkpoint, its only one, or that of a SavedModel.

    Returns:
        None for any other path.

    Raises:
        ModelError: It is a directory with no checkpoint in it, or with several; or an address of
            the web.
    """
    check_here(os.fspath(path), ModelError)
    if not os.fspath(path):  # which isn't the working directory
        return None
    path = Path(path)
    if path.is_dir():
        return _find_in(path)
    if _exists(path):
        return path
    name = path.name.removesuffix(INDEX) if path.name.endswith(INDEX) else None
    if data := _DATA_AT_END.search(path.name):
        name = path.name[: data.start()]
    if name and _exists(path.with_name(name)):
        return path.with_name(name)
    return None


def _exists(prefix: Path) -> bool:
    try:
        return bool(prefix.name) and Path(f"{prefix}{INDEX}").is_file()
    except ValueError:  # a NUL byte
        return False


def _find_in(folder: Path) -> Path:
    if _exists(folder / "variables" / "variables"):
        return folder / "variables" / "variables"
    latest = _LATEST_PATH.search(_read_note(folder))
    # It may tell where the directory was when it was written.
    if latest and _exists(folder / Path(latest[1]).name):
        return folder / Path(latest[1]).name
    found = sorted(item.name.removesuffix(INDEX) for item in folder.glob(f"*{INDEX}"))
    if len(found) == 1:
        return folder / found[0]
    if not found:
        raise ModelError(f"weights: {folder} is a directory without a checkpoint")
    raise ModelError(
        f"weights: {folder} holds several checkpoints: {list_names(found)}",
        hint=f"give one of them, for example {folder / found[-1]}",
    )


def _read_note(folder: Path) -> str:
    """Read what a directory notes of its latest checkpoint: nothing if it is no regular file."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return ""
    try:
        note = open_inside(descriptor, _LATEST, folder / _LATEST)
        content = b"" if isinstance(note, Fault) else note.read(_LATEST_BYTES)
        return content.decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
