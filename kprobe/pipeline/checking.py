"""Check model files by the gate alone: what is wrong with each, and what is inside."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kprobe.errors import KprobeError, ModelError, ShortageError
from kprobe.gate.apart import inspect_apart
from kprobe.gate.findings import Findings, Limits
from kprobe.gate.kinds import read_kinds
from kprobe.gate.names.judge_names import find_name_faults
from kprobe.gate.names.tell import describe_faults
from kprobe.gate.names.would_run import find_what_runs
from kprobe.gate.rules import RULES, Fault
from kprobe.importing import list_defined_names
from kprobe.models.checked import open_model_checkpoint
from kprobe.models.custom import read_custom_objects
from kprobe.models.file import open_model_file, read_opened
from kprobe.models.inner import open_inner
from kprobe.models.weights.checkpoint import find_checkpoint
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kprobe.gate.findings import Opened
    from kprobe.models.custom import GivenObjects
    from kprobe.models.file import ModelFile

_SAVED_MODEL = "saved_model.pb"
# What is loaded must be what was checked, and nothing can be loaded from there.
_STDIN = "-"
# What breaks these would run, or would let run what is the user's own.
_OPERATIONS = "savedmodel-operations"
_RUNNING = ("code-", "names-", _OPERATIONS, "tflite-operations", "onnx-operations")


@dataclass(frozen=True)
class Reason:
    """Why a file isn't accepted.

    Attributes:
        rule: The name of the rule that it breaks: `kprobe help safety` lists them.
        text: What is wrong, in a few words.
        owner: What of the file has it, such as "layer 'dense'"; "" for the whole file.
        damage: Whether the file is damaged, or no model, rather than dangerous.
        allow: What `allow` takes to accept it; None where nothing narrow does.
    """

    rule: str
    text: str
    owner: str
    damage: bool
    allow: str | None


@dataclass(frozen=True)
class CheckResult:
    """What the gate says of a model file. It is true where the file is accepted.

    Attributes:
        path: The file, as it was given.
        accepted: Whether it keeps to all rules but those that were allowed, so that it is opened.
        reasons: Why it isn't.
        size: Its size, in bytes; of a directory that of all files in it.
        format: "keras", "h5", "json", "saved_model", "checkpoint", "graph", "tflite" or "onnx";
            None where it is none of them.
        keras_version: The Keras that wrote it, such as "3.15.1"; None where it doesn't say.
        layers: How many layers it has, those in nested models, too; None where it isn't told.
        weights: How many arrays of weights it has; None where it isn't told.
        weight_bytes: How many bytes their values take; None where it isn't told.
        would_run: What would run that isn't Keras's or TensorFlow's own, whatever is allowed; of a
            file that is refused, as far as it was read.
    """

    path: str
    accepted: bool
    reasons: tuple[Reason, ...] = ()
    size: int | None = None
    format: str | None = None
    keras_version: str | None = None
    layers: int | None = None
    weights: int | None = None
    weight_bytes: int | None = None
    would_run: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.accepted

    @property
    def verdict(self) -> Literal["accepted", "refused", "unreadable"]:
        """One of "accepted"; "refused"; and "unreadable", of what is damaged or no model."""
        if self.accepted:
            return "accepted"
        return "unreadable" if all(reason.damage for reason in self.reasons) else "refused"

    @property
    def lines(self) -> list[str]:
        """What is wrong and which rule it breaks, once for all layers that have it."""
        by_rule: dict[str, list[Fault]] = {}
        for each in self.reasons:
            fault = Fault(each.rule, each.text, each.owner)
            by_rule.setdefault(each.rule, []).append(fault)
        return [
            f"{line} [{rule}]"
            for rule, faults in by_rule.items()
            for line in describe_faults(faults)
        ]

    def to_json(self) -> dict[str, Any]:
        """Give it as what JSON can hold."""
        return {"path": self.path, "verdict": self.verdict, **asdict(self)}


@dataclass(frozen=True)
class _Allowed:
    """What the user opts in to.

    Attributes:
        kinds: Kinds of faults, of `kprobe.gate.rules.KINDS`.
        names: The names of the user's own classes and functions, and of modules.
    """

    kinds: Collection[str]
    names: frozenset[str]

    def ignores(self, fault: Fault) -> bool:
        """Tell whether a file may have a fault."""
        return RULES[fault.rule].kind in self.kinds


def check_models(
    paths: Iterable[str | os.PathLike[str]],
    *,
    custom_objects: GivenObjects = (),
    allow: str | Sequence[str] = (),
    max_model_bytes: int | None = None,
) -> list[CheckResult]:
    """Check model files, without TensorFlow: see `kprobe.check`."""
    custom = read_custom_objects(custom_objects)
    names = {*custom.names}
    for source in custom.sources:
        names |= list_defined_names(source) if source.endswith(".py") else {source}
    allowed = _Allowed(read_kinds(allow), frozenset(names))
    limits = Limits(max_model_bytes=max_model_bytes, allow=tuple(allowed.kinds))
    return [
        _check(path, allowed, limits) for path in dict.fromkeys(os.fspath(path) for path in paths)
    ]


def _check(text: str, allowed: _Allowed, limits: Limits) -> CheckResult:
    found = Findings()
    faults: list[Fault] = []
    running: list[Fault] = []
    try:
        if text == _STDIN:
            raise ModelError("expected a file, received stdin; write it to a file, and check that")
        opened, start = _open(Path(text))
        found = inspect_apart(opened, limits)
        faults = [fault for fault in found.faults if not allowed.ignores(fault)]
        running = [fault for fault in found.faults if fault.rule.startswith(_RUNNING)]
        if not faults and found.format not in ("checkpoint", "tflite", "onnx"):
            file = read_opened(opened, start)
            found = replace(found, format=file.format, keras_version=file.keras_version)
            faults = _judge_names(file, allowed)
            running += find_what_runs(file)
            running += [] if faults else _look_inside(file, allowed.kinds, limits)
        if fault := opened.find_change():
            faults.append(fault)
    except ShortageError as error:  # of the file, nothing is known
        error.about = f"{text} can't be checked"
        raise
    except KprobeError as error:
        rule = error.rule if isinstance(error, ModelError) else None
        faults.append(_make_fault(text, rule or "file-type", error.faults[0]))
    except OSError as error:
        if (shortage := find_shortage(error)) is not None:
            shortage.about = f"{text} can't be checked"
            raise shortage from None
        faults.append(_make_fault(text, "file-type", f"can't be read: {error.strerror}"))
    return CheckResult(
        path=text,
        accepted=not faults,
        reasons=tuple(map(_make_reason, dict.fromkeys(faults))),
        size=found.size or None,
        format=found.format,
        keras_version=found.keras_version,
        layers=found.layers,
        weights=found.weights,
        weight_bytes=found.weight_bytes,
        would_run=tuple(describe_faults(dict.fromkeys(running))),
    )


def _open(path: Path) -> tuple[Opened, bytes]:
    """Open a model file, a SavedModel directory or a checkpoint, and give how a file begins."""
    if path.name == _SAVED_MODEL:
        path = path.parent
    # Of a directory a SavedModel is meant, which has a checkpoint inside.
    prefix = None if path.is_dir() else find_checkpoint(path)
    if prefix is not None and not (prefix == path and path.exists()):
        return open_model_checkpoint(prefix), b""
    return open_model_file(path)


def _judge_names(file: ModelFile, allowed: _Allowed) -> list[Fault]:
    faults = find_name_faults(
        file.objects,
        allowed.names,
        allowed.kinds,
        modules=allowed.names,
        has_graph=file.unsafe_operations is not None,
    )
    run = [Fault(_OPERATIONS, text) for text in file.unsafe_operations or ()]
    return faults + [fault for fault in run if not allowed.ignores(fault)]


def _look_inside(file: ModelFile, kinds: Collection[str], limits: Limits) -> list[Fault]:
    """Check the models that layers load, and tell what these would run."""
    inside = open_inner(file.path, file.objects, kinds, limits.max_model_bytes)
    return [
        Fault(_OPERATIONS, f"{inner.owner} loads another model: {text}")
        for inner in inside
        for text in inner.runs
    ]


def _make_reason(fault: Fault) -> Reason:
    rule = RULES[fault.rule]
    return Reason(rule.name, fault.text, fault.owner, rule.damage, rule.kind)


def _make_fault(path: str, rule: str, text: str) -> Fault:
    """Make a fault of what is said of a file that can't be read, or is no model."""
    return Fault(rule, text.removeprefix(path).removeprefix(":").lstrip())
