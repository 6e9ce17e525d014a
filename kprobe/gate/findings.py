"""What an inspection may cost, and what it finds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeAlias

from kprobe.gate.opened import OpenedFile
from kprobe.gate.opened_directory import OpenedDirectory
from kprobe.gate.rules import RULES, Fault

Opened: TypeAlias = OpenedFile | OpenedDirectory
# A file with more faults than this is told no better by listing them all.
MOST_FAULTS = 100


@dataclass(frozen=True)
class Limits:
    """What an inspection may cost. For larger files time grows with their size.

    Attributes:
        cpu_seconds: How long it may compute.
        wall_seconds: How long it may take.
        memory_bytes: How much memory it may take.
        max_model_bytes: How large the file may be; None for any size.
        allow: Kinds of faults, of `kprobe.gate.rules.KINDS`, behind which it goes on.
    """

    cpu_seconds: float = 10
    wall_seconds: float = 60
    memory_bytes: int = 2 * 10**9
    max_model_bytes: int | None = None
    allow: tuple[str, ...] = ()

    def fit(self, size: int) -> Limits:
        """Give the limits for a file of `size` bytes.

        All of it is read for its checksums: at 1 GB/s or more of computing, and as slowly as a
        network gives it.
        """
        return replace(
            self,
            cpu_seconds=self.cpu_seconds * (1 + size / 1e9),
            wall_seconds=self.wall_seconds * (1 + size / 300e6),
        )


@dataclass(frozen=True)
class Findings:
    """What an inspection finds.

    Attributes:
        faults: How it breaks the rules, but for those of the names in its config, which depend on
            what the user gives: `kprobe.gate.refuse` judges these.
        size: The size of the file, or of all files of the directory, in bytes.
        format: "keras", "h5", "json", "saved_model", "checkpoint", "graph", "tflite" or "onnx";
            None where it is none of them.
        keras_version: The Keras that wrote it, such as "3.15.1"; None where it doesn't say.
        layers: How many layers it has, those in nested models, too; None where it isn't told.
        operations: How many operations it has, of a graph or a converted model; None of others.
        weights: How many arrays of weights it has; None where it isn't told.
        weight_bytes: How many bytes their values take; None where it isn't told.
        shortage: What the system is short of, so that nothing is known of the file; or None.
    """

    faults: tuple[Fault, ...] = ()
    size: int = 0
    format: str | None = None
    keras_version: str | None = None
    layers: int | None = None
    operations: int | None = None
    weights: int | None = None
    weight_bytes: int | None = None
    shortage: str | None = None

    def to_json(self) -> bytes:
        """Write it for `from_json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Findings:
        """Read what `to_json` wrote, and believe nothing of it: the file may have broken that.

        Raises:
            ValueError: It is something else.
        """
        try:
            found = json.loads(text)
            faults = tuple(_read_fault(**fault) for fault in found.pop("faults"))
            kinds = dict.fromkeys(("format", "keras_version", "shortage"), str)
            for name, value in found.items():
                if not isinstance(value, kinds.get(name, int) | None):
                    raise ValueError(name)
            if found.keys() != {each.name for each in fields(cls)} - {"faults"}:
                raise ValueError("other fields")
            return cls(faults, **found)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from None


def _read_fault(rule: Any, text: Any, owner: Any) -> Fault:
    if rule not in RULES or not isinstance(text, str) or not isinstance(owner, str):
        raise ValueError("no fault")
    return Fault(rule, text, owner)
