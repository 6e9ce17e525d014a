"""What is asked of a dump's file: its place, what is stored, and what may be replaced for it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from numbers import Real
from operator import index
from pathlib import Path
from typing import Any, Literal, get_args

from kprobe.checks import check_choice, check_count, check_switch
from kprobe.dumps.shard import Shard, read_shard
from kprobe.errors import DumpError

StoredDtype = Literal["float16", "float32", "as-is"]


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """What is asked of a dump's file.

    Attributes:
        path: The finished dump. It may be given as a text or anything that stands for a path, and
            is a `Path` from then on.
        dtype: What floating-point tensors are stored as; "as-is" for what they are computed in.
        overwrite: Whether a dump of this name, or an earlier run's part of it, may be replaced.
        resume: Whether to continue what an earlier run of the same kind has written.
        stop_after: After how many seconds of running to stop, with what is written committed;
            None for never.
        max_bytes: How many bytes of activations and weights there may be, from 1 to 2**63 - 1;
            None for as many as are free on the disk.
        shard: Which part of a dump in ranges is to be written, such as "2/4": then `path` is a
            directory, to which other processes write the other parts. None for a dump of one file.

    Raises:
        DumpError: Any of these is of another kind, or out of range; it lists all that are.
    """

    path: Path
    dtype: StoredDtype = "as-is"
    overwrite: bool = False
    resume: bool = False
    stop_after: float | None = None
    max_bytes: int | None = None
    shard: Shard | None = None

    def __post_init__(self) -> None:
        """Check all fields, and bring them to their types."""
        faults: list[str] = []
        try:
            self._set("path", read_output(self.path))
        except DumpError as error:
            faults += error.faults
        faults += check_choice("dtype", self.dtype, get_args(StoredDtype))
        faults += check_switch("overwrite", self.overwrite)
        faults += check_switch("resume", self.resume)
        seconds: Any = self.stop_after
        if seconds is not None:
            is_number = isinstance(seconds, Real) and not isinstance(seconds, bool)
            if is_number and 0 < seconds < math.inf:
                self._set("stop_after", float(seconds))
            else:
                faults.append(f"stop_after: expected seconds above 0, received {seconds!r}")
        if (
            not (found := [*check_count("max_bytes", self.max_bytes)])
            and self.max_bytes is not None
        ):
            self._set("max_bytes", index(self.max_bytes))
        faults += found
        if self.shard is not None:
            try:
                self._set("shard", read_shard(self.shard))
            except DumpError as error:
                faults += error.faults
            if isinstance(self.path, Path) and self.path.suffix in (".h5", ".hdf5"):
                faults.append(
                    f"{self.path}: expected the name of a directory for a shard, such as "
                    f"{self.path.stem}.dump, received that of a file"
                )
            if self.overwrite is True:
                faults.append("overwrite: expected no shard, whose ranges are written once")
        if faults:
            raise DumpError(*faults)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def read_output(name: str | os.PathLike[str]) -> Path:
    """Take the name of a dump as the user wrote it.

    Raises:
        DumpError: It is no text and no path, is empty, ends with a slash, which a `Path` would
            drop, or holds a NUL.
    """
    try:
        text: object = os.fspath(name)
    except TypeError:
        text = name
    if not isinstance(text, str):
        raise DumpError(f"the output: expected the name of a file, received {name!r}")
    if not text:
        raise DumpError("the output: expected the name of a file, received an empty text")
    if text.endswith(os.sep):
        raise DumpError(f"{text}: expected the name of a file, received one that ends with a slash")
    if "\0" in text:
        raise DumpError(f"{text!r}: expected the name of a file, received one with a NUL in it")
    return Path(text)
