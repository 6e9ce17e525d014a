"""Check model files by the gate alone: what is wrong with each, and what is inside."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kprobe.architecture.network import count_layers, read_network
from kprobe.errors import KprobeError, ModelError, ShortageError
from kprobe.gate.apart import inspect_apart
from kprobe.gate.findings import Findings, Limits
from kprobe.gate.kinds import read_kinds
from kprobe.gate.names.judge_names import find_name_faults
from kprobe.gate.names.tell import add_lacking, describe_faults
from kprobe.gate.names.would_run import find_what_runs
from kprobe.gate.opened import OpenedFile
from kprobe.gate.rules import RULES, Fault
from kprobe.models.checked import open_model_checkpoint
from kprobe.models.custom import CustomObjects, read_custom_objects
from kprobe.models.custom_names import GivenNames, describe_lacking, read_given_names
from kprobe.models.file import WeightsAloneError, open_model_file, read_opened
from kprobe.models.inner import open_inner
from kprobe.models.weights.checkpoint import find_checkpoint
from kprobe.models.weights.weights_file import find_size_fault, open_shards
from kprobe.shortage import find_shortage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kprobe.gate.findings import Opened
    from kprobe.models.custom import GivenObjects
    from kprobe.models.file import ModelFile

# Of these kprobe opens nothing but by other ways, or nothing at all.
_CHECKED_ALONE = ("tflite", "onnx", "checkpoint")
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
        path: The file, as it was given; for another file of a SavedModel, its `saved_model.pb`.
        accepted: Whether it keeps to all rules but those that were allowed, so that it is opened.
        reasons: Why it isn't.
        size: Its size, in bytes; of a directory that of all files in it.
        format: "keras", "h5", "json", "saved_model", "graph", "tflite" or "onnx"; "weights" or
            "checkpoint" where it holds the weights of a model alone; None where it is none of them.
        keras_version: The Keras that wrote it, such as "3.15.1"; None where it doesn't say.
        layers: How many layers it has, those in nested models, too; None where it isn't told.
        operations: How many operations it has, of a graph or a converted model; None of others.
        weights: How many arrays of weights it has, or of other constants of a converted model; None
            where it isn't told.
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
    operations: int | None = None
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
        custom: The user's own classes and functions, as they were given.
        given: Their names.
    """

    kinds: Collection[str]
    custom: CustomObjects
    given: GivenNames

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
    allowed = _Allowed(read_kinds(allow), custom, read_given_names(custom))
    limits = Limits(max_model_bytes=max_model_bytes, allow=tuple(allowed.kinds))
    return [
        _check(path, allowed, limits) for path in dict.fromkeys(os.fspath(path) for path in paths)
    ]


def _check(text: str, allowed: _Allowed, limits: Limits) -> CheckResult:
    found = Findings()
    faults: list[Fault] = []
    running: list[Fault] = []
    try:
        opened, start = _open(text)
        found = inspect_apart(opened, limits)
        faults = [fault for fault in found.faults if not allowed.ignores(fault)]
        running = [fault for fault in found.faults if fault.rule.startswith(_RUNNING)]
        if not faults and found.format not in _CHECKED_ALONE:
            file = read_opened(opened, start)
            found = _tell_inside(found, file)
            faults = _judge_names(file, allowed)
            running += find_what_runs(file)
            running += [] if faults else _look_inside(file, allowed.kinds, limits)
        if fault := opened.find_change():
            faults.append(fault)
    except ShortageError as error:  # of the file, nothing is known
        error.about = f"{text} can't be checked"
        raise
    except WeightsAloneError:
        found, of_files = _look_at_files(opened, replace(found, format="weights"), limits)
        faults += of_files
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
        reasons=tuple(map(make_reason, dict.fromkeys(faults))),
        size=found.size or None,
        format=found.format,
        keras_version=found.keras_version,
        layers=found.layers,
        operations=found.operations,
        weights=found.weights,
        weight_bytes=found.weight_bytes,
        would_run=tuple(describe_faults(dict.fromkeys(running))),
    )


def _open(text: str) -> tuple[Opened, bytes]:
    """Open a model file, a SavedModel directory or a checkpoint, and give how a file begins."""
    if text == _STDIN:
        raise ModelError("expected a file, received stdin; write it to a file, and check that")
    if not text:
        raise ModelError("expected a file, received an empty text")
    path = Path(text)
    # Of a directory a SavedModel is meant, which has a checkpoint inside.
    prefix = None if path.is_dir() else find_checkpoint(path)
    if prefix is not None and not (prefix == path and path.exists()):
        return open_model_checkpoint(prefix), b""
    return open_model_file(path)


def _look_at_files(opened: Opened, found: Findings, limits: Limits) -> tuple[Findings, list[Fault]]:
    """Look at the files that a `.weights.json` lists, which count as one with it."""
    if not isinstance(opened, OpenedFile):
        return found, []
    faults: list[Fault] = []
    size, weights, weight_bytes = opened.size, 0, 0
    try:
        files = open_shards(opened)
        for file in files:
            own = inspect_apart(file, limits)
            faults += [replace(fault, owner=f"file {file.path.name!r}") for fault in own.faults]
            faults += [fault] if (fault := file.find_change()) else []
            size += file.size
            weights += own.weights or 0
            weight_bytes += own.weight_bytes or 0
    except KprobeError as error:
        return found, [*faults, _make_fault(str(opened.path), "file-type", error.faults[0])]
    if not files:
        return found, faults
    if limits.max_model_bytes is not None and size > limits.max_model_bytes:
        faults.append(find_size_fault(size, limits.max_model_bytes))
    return replace(found, size=size, weights=weights, weight_bytes=weight_bytes), faults


def _tell_inside(found: Findings, file: ModelFile) -> Findings:
    layers = found.layers
    if file.saved is not None and file.config and (network := read_network(file.config)):
        layers = count_layers(network)
    return replace(found, format=file.format, keras_version=file.keras_version, layers=layers)


def _judge_names(file: ModelFile, allowed: _Allowed) -> list[Fault]:
    faults = find_name_faults(
        file.objects,
        allowed.given.names,
        allowed.kinds,
        modules=allowed.given.packages,
        has_graph=file.unsafe_operations is not None,
    )
    run = [Fault(_OPERATIONS, text) for text in file.unsafe_operations or ()]
    faults += [fault for fault in run if not allowed.ignores(fault)]
    return add_lacking(faults, partial(describe_lacking, allowed.custom))


def _look_inside(file: ModelFile, kinds: Collection[str], limits: Limits) -> list[Fault]:
    """Check the models that layers load, and tell what these would run."""
    inside = open_inner(file.path, file.objects, kinds, limits.max_model_bytes)
    return [
        Fault(_OPERATIONS, f"{inner.owner} loads another model: {text}")
        for inner in inside
        for text in inner.runs
    ]


def make_reason(fault: Fault) -> Reason:
    """Make a reason of a fault."""
    rule = RULES[fault.rule]
    return Reason(rule.name, fault.text, fault.owner, rule.damage, rule.kind)


def _make_fault(path: str, rule: str, text: str) -> Fault:
    """Make a fault of what is said of a file that can't be read, or is no model."""
    return Fault(rule, text.removeprefix(path).removeprefix(":").lstrip())
