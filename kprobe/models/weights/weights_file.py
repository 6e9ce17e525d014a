"""Open the weights that are given by themselves, and let the gate look at them before all else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.elsewhere import check_content
from kprobe.errors import Hint, ModelError, Setting, UnsafeModelError
from kprobe.gate.files.config_json import MAX_BYTES, parse_config
from kprobe.gate.opened import OpenedFile, describe_mode
from kprobe.gate.opened_checkpoint import INDEX, OpenedCheckpoint
from kprobe.gate.opened_directory import open_inside
from kprobe.gate.rules import Fault
from kprobe.gate.shown import is_plain_name
from kprobe.models.checked import (
    check_opened,
    check_unchanged,
    make_error,
    open_model,
    open_model_checkpoint,
)
from kprobe.models.weights.checkpoint import find_checkpoint
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

# What is looked at to tell what a file is.
START_BYTES = 64


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """Weights that are given by themselves, open and checked.

    Attributes:
        opened: The file; of several the one that lists them, `.weights.json`; or a checkpoint.
        shards: The files that it lists; none for another one.
    """

    opened: OpenedFile | OpenedCheckpoint
    shards: Sequence[OpenedFile] = ()

    def list_files(self) -> list[OpenedFile]:
        """List all files of it, open: of a checkpoint the index, then the data.

        Raises:
            ModelError: One isn't there any more.
        """
        if isinstance(self.opened, OpenedFile):
            return [self.opened, *self.shards]
        names = [member.name for member in self.opened.members]
        found = [self.opened.open_member(name) for name in _sort(names)]
        files = [each for each in found if each is not None]
        if len(files) < len(found):
            self.check_unchanged()
        return files

    def check_unchanged(self) -> None:
        """Check that all of it is what was checked.

        Raises:
            UnsafeModelError: It isn't.
        """
        for each in (self.opened, *self.shards):
            check_unchanged(each)


def _sort(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (not name.endswith(INDEX), name))


def open_weights_file(
    path: str | os.PathLike[str],
    *,
    allow: Container[str] | None = (),
    max_model_bytes: int | None = None,
) -> WeightsFile:
    """Open weights, and check that the gate lets them pass.

    Args:
        path: A weights file, or the file of a whole model; of several files the one that lists
            them, `.weights.json`; or a checkpoint: its prefix, one of its files or its directory.
        allow: Kinds of `kprobe.gate.rules.KINDS` that they may have; None for weights that the
            user trusts, of which only damage counts.
        max_model_bytes: How large all of their files may be together; None for any size.

    Raises:
        UnsafeModelError: They break a rule of the gate.
        ModelError: They are missing or damaged.
    """
    try:
        return _open(path, allow, max_model_bytes)
    except UnsafeModelError as error:
        if error.rule not in ("file-size", "file-changed"):
            # What may be allowed of a model, honest weights don't have.
            error.remedy = Hint("save the weights again, or leave ", Setting("weights"), " out")
        raise


def list_named_files(path: str | os.PathLike[str]) -> list[Path]:
    """List the files that weights are in, as far as they tell, without judging them."""
    try:
        if (prefix := find_checkpoint(path)) is not None:
            members = open_model_checkpoint(prefix).members
            return [prefix.with_name(member.name) for member in members]
        path = Path(path)
        shards = _list_shards(open_model(path), missing=True)
    except (ModelError, OSError):  # what is wrong is told where they are opened
        return [Path(path)]
    return [path, *(path.with_name(name) for name in shards)]


def _open(
    path: str | os.PathLike[str], allow: Container[str] | None, most: int | None
) -> WeightsFile:
    if (prefix := find_checkpoint(path)) is not None:
        checkpoint = open_model_checkpoint(prefix)
        check_opened(checkpoint, allow=allow, max_model_bytes=most)
        return WeightsFile(checkpoint)
    if not _is_there(path):
        raise ModelError(f"weights: there is no file {os.fspath(path)}", hint="check the path")
    path = Path(path)
    opened = open_model(path)
    check_content(path, opened.read(START_BYTES), ModelError)
    check_opened(opened, allow=allow, max_model_bytes=most)
    shards = open_shards(opened)
    size = sum(each.size for each in (opened, *shards))
    if most is not None and size > most:
        raise make_error(path, find_size_fault(size, most))
    for shard in shards:
        check_content(shard.path, shard.read(START_BYTES), ModelError)
        check_opened(shard, allow=allow)
    return WeightsFile(opened, shards)


def find_size_fault(size: int, most: int) -> Fault:
    """Say that all files of some weights take more bytes than are allowed."""
    text = f"takes {size:,} bytes with all its files, above the limit of {most:,}"
    return Fault("file-size", text)


def open_shards(opened: OpenedFile) -> list[OpenedFile]:
    """Open the files that a `.weights.json` says the weights are in; none of another file.

    Args:
        opened: The file, in which the gate found no fault.

    Raises:
        ModelError: One isn't there, isn't beside it, or is no regular file.
    """
    return [_open_beside(opened, name) for name in _list_shards(opened)]


def _is_there(path: str | os.PathLike[str]) -> bool:
    try:
        return Path(path).exists() and bool(os.fspath(path))
    except (OSError, ValueError):  # ValueError: a NUL byte
        return False


def _list_shards(opened: OpenedFile, *, missing: bool = False) -> list[str]:
    """List the files that a `.weights.json` of Keras 3 says the weights are in; none of others.

    Args:
        opened: The file.
        missing: Whether some may not be there.

    Raises:
        ModelError: One isn't there, or isn't beside it.
    """
    if not opened.read(START_BYTES).lstrip().startswith(b"{"):
        return []
    path = opened.path
    config, _ = parse_config(opened.read(MAX_BYTES + 1))
    places = (config or {}).get("weight_map")
    if not isinstance(places, dict):
        return []
    held = [[each] if isinstance(each, str) else each for each in places.values()]
    if not all(isinstance(each, list) for each in held):
        return []
    named = [name for each in held for name in each]
    if not all(isinstance(name, str) and is_plain_name(name) for name in named):
        raise ModelError(f"{path} names files that aren't beside it, which Keras doesn't do")
    names = [*dict.fromkeys(named)]
    gone = [name for name in names if not os.path.lexists(path.with_name(name))]
    if gone and not missing:
        raise ModelError(
            f"{path}: its weights are in {len(names)} files, and {list_names(gone)} isn't there",
            hint="put all of them beside it",
        )
    return names


def _open_beside(opened: OpenedFile, name: str) -> OpenedFile:
    """Open a file that another one names, through no link: who names that knows nothing of it.

    Raises:
        ModelError: It isn't a regular file, or can't be read.
    """
    path = opened.path.with_name(name)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            if path.is_symlink() or path.is_fifo():
                kind = describe_mode(path.lstat().st_mode)
                found: OpenedFile | Fault = Fault(
                    "file-kind", f"expected a regular file, received {kind}"
                )
            else:
                found = open_inside(folder, name, path)
        finally:
            os.close(folder)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    if isinstance(found, Fault):
        raise make_error(path, found)
    return found
