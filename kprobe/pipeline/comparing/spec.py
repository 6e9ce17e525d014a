"""What is asked for of a comparison, before anything is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.addresses.globs import compile_glob
from kprobe.analysis.comparison.names import count_wild
from kprobe.checks import check_switch
from kprobe.errors import Hint, InputError, KprobeError, Setting, merge_errors
from kprobe.naming import name_nearest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

WAYS = ("exact", "eager", "bfloat16", "batch:N", "training", "weights:FILE")
_BATCH = re.compile(r"[0-9]{1,10}")  # Python refuses to read numbers of thousands of digits
EXPECTED_WAYS = f"{', '.join(WAYS[:-1])} or {WAYS[-1]}"


@dataclass(frozen=True)
class Against:
    """How a model is computed otherwise, to be compared with itself.

    Attributes:
        text: As it was asked for.
        compute: What changes of how it is computed.
        weights: The file of other weights; None for its own.
    """

    text: str
    compute: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None

    @property
    def has_same_layers(self) -> bool:
        """Whether each layer computes the same, and only the way of running them differs."""
        return self.weights is None and not {"training", "precision"} & set(self.compute)


def parse_against(text: str) -> Against:
    """Read how a model is to be computed otherwise.

    Raises:
        KprobeError: It can't be read.
    """
    kind, colon, value = text.partition(":")
    if text in ("exact", "eager", "training"):
        return Against(text, {text: True})
    if text == "bfloat16":
        return Against(text, {"precision": "bfloat16"})
    if kind == "batch" and _BATCH.fullmatch(value) and 0 < int(value) < 2**31:
        return Against(text, {"batch_size": int(value)})
    if kind == "weights" and colon and value:
        return Against(text, weights=value)
    near = "nearest: bfloat16" if text == "bf16" else name_nearest(text, WAYS)
    raise _refuse("against", f"expected {EXPECTED_WAYS}, received {text!r}", near)


def _refuse(name: str, fault: str, near: str | None = None) -> KprobeError:
    """Say what is wrong with a setting, and which one it is."""
    return KprobeError(fault, hint=Hint("mend ", Setting(name), *([f"; {near}"] if near else [])))


@dataclass(frozen=True, kw_only=True, eq=False)
class DiffSpec:
    """How two sides are compared.

    Attributes:
        against: How A is computed otherwise, where there is no B: a text, or None.
        match: What belongs together although it is called otherwise: `OLD=NEW` each, which may be
            patterns, or B's address by A's.
        local: Whether to look at each layer of B by itself; None to do it where that can be done.
        rtol: How large the root mean square of a difference may be, relative to A's standard
            deviation: for all tensors, or by address or pattern, "" standing for all others; None
            for what the number format suggests.
        atol: How large the largest absolute difference may be, whatever the relative one is: as
            `rtol`; None for 0.
        keep: The directory that the dumps of models are kept in; None to keep nothing.
        cosine: Whether the cosine is computed, too.
        ulps: Whether the largest difference in units in the last place is computed, too.
        way: `against`, read.
        matches: `match`, read.

    Raises:
        KprobeError: Something that can't be; all faults are reported.
    """

    against: str | None = None
    match: Any = ()
    local: bool | None = None
    rtol: float | Mapping[str, float] | None = None
    atol: float | Mapping[str, float] | None = None
    keep: str | os.PathLike[str] | None = None
    cosine: bool = False
    ulps: bool = False
    way: Against | None = field(init=False, default=None)
    matches: Sequence[tuple[str, str]] = field(init=False, default=())

    def __post_init__(self) -> None:
        """Check all of it."""
        switches = ["cosine", "ulps", *([] if self.local is None else ["local"])]
        faults = [f for name in switches for f in check_switch(name, getattr(self, name))]
        errors = [KprobeError(fault) for fault in faults]
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            given = value if isinstance(value, Mapping) else {} if value is None else {"": value}
            errors += [_refuse(name, fault) for fault in _check_tolerances(given)]
            object.__setattr__(self, name, given)
        try:
            object.__setattr__(self, "matches", _read_matches(self.match))
            if self.against is not None:
                object.__setattr__(self, "way", parse_against(str(self.against)))
        except KprobeError as error:
            errors.append(error)
        if errors:
            raise merge_errors(errors)

    @property
    def directory(self) -> Path | None:
        """Where dumps are kept."""
        return None if self.keep is None else Path(self.keep)

    def find_rtol(self, addresses: Sequence[str]) -> float | None:
        """Give the relative tolerance that is asked for of a tensor, by its addresses."""
        return _find_tolerance(self.rtol, addresses)

    def find_atol(self, addresses: Sequence[str]) -> float | None:
        """Give the absolute tolerance that is asked for of a tensor, by its addresses."""
        return _find_tolerance(self.atol, addresses)

    def check_tolerances(self, addresses: Sequence[str]) -> None:
        """Check that tolerances are for tensors that there are.

        Raises:
            InputError: One isn't.
        """
        for name in ("rtol", "atol"):
            for pattern in getattr(self, name):
                if pattern and not any(_is_meant(pattern, address) for address in addresses):
                    near = name_nearest(pattern, addresses)
                    raise InputError(
                        f"expected a tolerance for what is compared, received {pattern!r}",
                        hint=Hint("mend ", Setting(name), f"; {near}")
                        if near
                        else Hint("leave this ", Setting(name), " out"),
                    )


def _is_meant(pattern: str, address: str) -> bool:
    return pattern == address or compile_glob(pattern).fullmatch(address) is not None


def _find_tolerance(given: Any, addresses: Sequence[str]) -> float | None:
    for pattern, value in given.items():
        if pattern and any(_is_meant(pattern, address) for address in addresses):
            return float(value)
    return float(given[""]) if "" in given else None


def _check_tolerances(given: Mapping[Any, Any]) -> Iterator[str]:
    for owner, value in given.items():
        if not isinstance(owner, str):
            yield f"expected tolerances by address or pattern, received {owner!r}"
            continue
        of = f" for {owner!r}" if owner else ""
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not number >= 0:
            yield f"expected a tolerance from 0 on{of}, received {value!r}"


def _read_matches(given: Any) -> list[tuple[str, str]]:
    """Read what belongs together.

    Raises:
        KprobeError: It isn't of that form, or has other patterns on one side than on the other.
    """
    if isinstance(given, Mapping):
        pairs = [(str(old), str(new)) for old, new in given.items()]
    else:
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise _refuse("match", f"expected OLD=NEW, received {given!r}")
        pairs = []
        for text in texts:
            old, equals, new = text.partition("=")
            if not (old and equals and new):
                raise _refuse("match", f"expected OLD=NEW, received {text!r}")
            pairs.append((old, new))
    for old, new in pairs:
        if count_wild(old) != count_wild(new):
            raise _refuse("match", f"expected as many * and ? on both sides, received {old}={new}")
    return pairs
