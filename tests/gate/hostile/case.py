"""One file of the collection that the gate is tried on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A file that somebody could send.

    Attributes:
        name: What it is called, also in the test's name: "hdf5-external-storage".
        make: Writes it, and returns its path. It is given an empty folder of its own, and the path
            of a marker: a payload does no more than make that file. Seeded and quick, under 2 MB
            on disk but for sparse files; no TensorFlow unless there is no other way.
        rule: The rule that it breaks, of `kprobe.gate.rules.RULES`; None for a file that must be
            opened.
        source: Where it is known from: an advisory (CVE-2025-1550), or a few words.
        arguments: What kprobe is called with besides.
        weights: Whether it is given as the weights of an honest model.
        loads: Whether a Keras loads it, if it is opened: what only the gate looks at isn't whole.
    """

    name: str
    make: Callable[[Path, Path], Path]
    rule: str | None
    source: str = ""
    arguments: tuple[str, ...] = field(default=())
    weights: bool = False
    loads: bool = True
