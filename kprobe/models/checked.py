"""Open a model's file, and let the gate look at it before anything else does."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from kprobe.errors import Hint, ModelError, Setting, ShortageError, UnsafeModelError
from kprobe.gate.apart import begin
from kprobe.gate.findings import Limits
from kprobe.gate.names.tell import UNSAFE_HINT
from kprobe.gate.opened import Identity, OpenedFile, identify, open_file
from kprobe.gate.opened_checkpoint import OpenedCheckpoint, open_checkpoint
from kprobe.gate.opened_directory import OpenedDirectory, open_directory
from kprobe.gate.rules import KINDS, RULES, Fault
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable
    from pathlib import Path

    from kprobe.gate.findings import Findings, Opened

# What is said of files that are damaged, made by something else, or of another kind.
SAVE_AGAIN = "copy or save the model file again"
_Kind = TypeVar("_Kind", OpenedFile, OpenedDirectory, OpenedCheckpoint)
# Of files that refer to others, or to themselves.
KEEP_INSIDE = "save the model again, with all values in its own file"
_REFERRING = ("hdf5-links", "hdf5-external")
# Of these faults, no reader of archives here takes any, whatever is allowed.
_UNREAD = ("archive-layout", "archive-compression")
GIVE_SAVED = "give the file that `model.save(...)` wrote, .keras or .h5"
# Within this time file systems may give two changes the same time: the coarsest has 2 s.
_TICK_NS = 4 * 10**9
# What HDF5 files begin with, and archives, which have one in them.
_READ_BY_H5PY = (b"\x89HDF", b"PK\x03\x04")
# A loader asks for these itself, where it knows what the user allows.
_AT_LOADING = ("savedmodel-operations",)
# These hold of files that the user trusts, too.
_EVEN_IF_TRUSTED = ("file-size", "file-changed")


def open_model(path: Path) -> OpenedFile:
    """Open a file, of which nothing is to be believed before `check_opened`.

    Raises:
        ModelError: It isn't there, can't be read, or isn't a regular file.
    """
    return _open(path, open_file)


def open_model_directory(path: Path) -> OpenedDirectory:
    """Open a directory, of which nothing is to be believed before `check_opened`.

    Raises:
        ModelError: It isn't there, or can't be read.
    """
    return _open(path, open_directory)


def open_model_checkpoint(prefix: Path) -> OpenedCheckpoint:
    """Open a checkpoint, of which nothing is to be believed before `check_opened`.

    Args:
        prefix: What the names of its files begin with.

    Raises:
        ModelError: It can't be read.
    """
    return _open(prefix, open_checkpoint)


def _open(path: Path, opens: Callable[[Path], _Kind | Fault]) -> _Kind:
    try:
        if path.is_fifo():  # it isn't opened: somebody waits for one who reads all of it
            raise make_error(path, Fault("file-kind", "expected a regular file, received a pipe"))
        opened = opens(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file", hint="check the model's path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        if (shortage := find_shortage(error)) is not None:
            raise shortage from None
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{path} can't be read: {reason}") from None
    if isinstance(opened, Fault):
        raise make_error(path, opened)
    return opened


@dataclass(frozen=True)
class _Known:
    """Files that were found to break no rule, which needn't be inspected again."""

    most: int = 64
    keys: OrderedDict[Hashable, Findings] = field(default_factory=OrderedDict)

    def find(self, opened: Opened) -> Findings | None:
        return self.keys.get(_make_key(opened))

    def add(self, opened: Opened, findings: Findings) -> None:
        """Note a file whose last change is so long ago that another would have another time."""
        newest = max(max(each[3:]) for each in _identify(opened))
        if not findings.faults and newest < time.time_ns() - _TICK_NS:
            self.keys[_make_key(opened)] = findings
            while len(self.keys) > self.most:
                self.keys.popitem(last=False)


def _make_key(opened: Opened) -> Hashable:
    return (opened.path.name, *_identify(opened))


def _identify(opened: Opened) -> list[Identity]:
    if isinstance(opened, OpenedFile):
        return [opened.identity]
    return [identify(os.fstat(opened.descriptor)), *(each.identity for each in opened.members)]


_known = _Known()


def check_opened(
    opened: Opened, *, allow: Container[str] | None = (), max_model_bytes: int | None = None
) -> Findings:
    """Check that the gate lets pass what is open.

    Args:
        opened: The file or the directory.
        allow: Kinds of `kprobe.gate.rules.KINDS` that it may have; None for a file that the user
            trusts, of which only damage counts.
        max_model_bytes: How large it may be; None for any size.

    Returns:
        What was found.

    Raises:
        UnsafeModelError: It breaks a rule of the gate.
        ModelError: It is damaged.
        ShortageError: It can't be checked, since the system is short of something.
    """
    findings = _known.find(opened) if max_model_bytes is None else None
    if findings is None:
        kinds = tuple(kind for kind in KINDS if allow is None or kind in allow)
        findings = _inspect(opened, Limits(max_model_bytes=max_model_bytes, allow=kinds))
        _known.add(opened, findings)
    for fault in findings.faults:
        if not _is_allowed(fault.rule, allow):
            raise make_error(opened.path, fault)
    return findings


def _is_allowed(name: str, allow: Container[str] | None) -> bool:
    rule = RULES[name]
    if allow is None:
        return not rule.damage and name not in _EVEN_IF_TRUSTED
    return rule.kind in allow or name in _AT_LOADING


def _inspect(opened: Opened, limits: Limits) -> Findings:
    try:
        finish = begin(opened, limits)
        if isinstance(opened, OpenedFile) and opened.read(4) in _READ_BY_H5PY:
            # What reads the file takes long to import, and would have to wait for the findings.
            import h5py  # noqa: F401
        return finish()
    except ShortageError as error:
        error.about = f"{opened.path} can't be checked"
        raise


def check_unchanged(opened: Opened) -> None:
    """Check that what was opened is still what was checked.

    Raises:
        UnsafeModelError: It isn't.
    """
    if fault := opened.find_change():
        raise make_error(opened.path, fault)


def make_error(path: Path, fault: Fault) -> ModelError:
    """Make the error that says how a file breaks a rule."""
    error = _choose_error(path, fault)
    error.rule = fault.rule
    return error


def _choose_error(path: Path, fault: Fault) -> ModelError:
    text = f"{path}: {fault.owner}: {fault.text}" if fault.owner else f"{path}: {fault.text}"
    if fault.rule == "file-kind":
        return ModelError(text, hint="write what is in it to a file, and give that")
    if fault.rule == "file-type":
        return ModelError(text, hint=f"{GIVE_SAVED}, with its ending")
    if RULES[fault.rule].damage:
        return ModelError(text, hint=SAVE_AGAIN)
    if fault.rule == "file-size":
        return UnsafeModelError(text, hint=Hint("`", Setting("max_model_bytes"), "` sets it"))
    if fault.rule == "file-changed":
        return UnsafeModelError(text, hint="try again when nothing writes to it")
    if fault.rule in _UNREAD:
        return UnsafeModelError(text, hint=SAVE_AGAIN)
    if fault.rule in _REFERRING:
        # Keras 3 itself reads no such files, as all archives are, whatever is allowed.
        others = () if path.suffix.lower() == ".keras" else ("; of Keras 2 ", UNSAFE_HINT)
        return UnsafeModelError(text, hint=Hint(KEEP_INSIDE, *others))
    return UnsafeModelError(text, hint=UNSAFE_HINT)
