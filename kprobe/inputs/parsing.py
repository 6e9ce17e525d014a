"""What the user gave, told apart without opening anything: texts, or what a Python user has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.locating import parse_location
from kprobe.inputs.python.given_batches import is_indexed
from kprobe.inputs.python.tensors import is_array_like, is_sparse_matrix
from kprobe.inputs.python.values import name_kind, open_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.inputs.sources.container import Container
    from kprobe.inputs.sources.source import Source, Unfitted

_EXPECTED = (
    "expected a text, an array, a list of them, a tf.data.Dataset, or what gives batches: an "
    "iterator, a function, a PyDataset"
)


class Given:
    """One thing that the user gave, for an input or for whichever it fits.

    Attributes:
        name: The input that it is for; None where the user didn't say, or a text may.
        value: A text or a path; a list of such for one input; or what a Python user has.
    """

    def __init__(self, name: str | None, value: Any) -> None:
        self.name = name
        self.value = os.fspath(value) if isinstance(value, os.PathLike) else value
        self._is_path = isinstance(value, os.PathLike)
        self._opened: Source | Unfitted | Container | None = None

    def __repr__(self) -> str:
        return f"Given({self.name!r}, {self.describe()!r})"

    @property
    def are_texts(self) -> bool:
        """Whether it is a list of texts: sources, or samples of an input that takes texts."""
        return isinstance(self.value, list) and _are_texts(self.value)

    @property
    def are_paths(self) -> bool:
        """Whether it is a list of texts of which one is a path, and none can be a sample."""
        return self.are_texts and any(isinstance(each, os.PathLike) for each in self.value)

    @property
    def text(self) -> str | None:
        """The text that says where samples are; None for anything else."""
        return self.value if isinstance(self.value, str) else None

    @property
    def may_name(self) -> bool:
        """Whether the text may begin with the name of an input, `NAME=SRC`."""
        return self.text is not None and self.name is None and not self._is_path

    def split(self) -> list[Given]:
        """Take a list of texts as sources, one after another."""
        return [Given(self.name, each) for each in self.value]

    def describe(self) -> str:
        """What messages and row identities call it."""
        if isinstance(self.value, str):
            return self.value if self.name is None else f"{self.name}={self.value}"
        kind = name_kind(self.value)
        return kind if self.name is None else f"{kind}:{self.name}"

    def open(self, find_rank: Callable[[str], int | None]) -> Source | Unfitted | Container:
        """Open what a Python user has; what gives its samples once is opened once.

        Args:
            find_rank: As for `open_dataset`.

        Raises:
            InputError: No samples can be read from it.
        """
        if self._opened is not None:
            return self._opened
        opened = open_value(self.value, self.describe(), find_rank)
        if isinstance(self.value, Iterator):
            self._opened = opened
        return opened


def parse_inputs(inputs: Any) -> tuple[Given, ...]:
    """Tell apart what is given for which input, without opening anything.

    Args:
        inputs: A text or a path; a sequence of them; what a Python user has; or such things by
            input name. None, or an empty tuple, for nothing.

    Raises:
        InputError: Something is nothing that samples can be read from, a line each.
    """
    if inputs is None:
        return ()
    if isinstance(inputs, list) and not inputs:
        raise InputError(
            "inputs: expected samples, received an empty list",
            hint=Hint("leave ", Setting("inputs"), " out for random ones"),
        )
    # SciPy has sparse matrices that are mappings, too.
    if not isinstance(inputs, Mapping) or is_sparse_matrix(inputs):
        if isinstance(inputs, list | tuple) and _are_texts(inputs):
            return tuple(Given(None, each) for each in inputs)
        named = [Given(None, inputs)]
    elif inputs:
        named = [
            Given(str(name), list(value) if isinstance(value, tuple) else value)
            for name, value in inputs.items()
        ]
    else:
        raise InputError("inputs: expected samples by input name, received an empty mapping")
    faults = [fault for given in named if (fault := _find_fault(given))]
    if faults:
        raise InputError(*faults)
    return tuple(named)


def parse_feeds(feeds: Sequence[str] | Mapping[str, Any]) -> tuple[Given, ...]:
    """Tell apart what is given for which tensor: `NAME=SRC` each, or anything by name."""
    if isinstance(feeds, Mapping):
        return parse_inputs(feeds) if feeds else ()
    pairs = (text.partition("=") for text in feeds)
    return tuple(Given(name, source) for name, _, source in pairs)


def list_given_names(inputs: Any) -> set[str]:
    """List the names of inputs that the user gave, without opening anything."""
    names = set()
    for given in parse_inputs(inputs):
        name = given.name
        if given.may_name and given.text is not None:
            name = parse_location(given.text, ()).name
        names |= set() if name is None else {name}
    return names


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str | os.PathLike) for value in values)


def _find_fault(given: Given) -> str | None:
    value, where = given.value, "inputs" if given.name is None else f"inputs: {given.name}"
    if isinstance(value, list | tuple) and not value:
        return f"{where}: expected samples, received an empty list"
    if is_sparse_matrix(value):
        return None
    knows = isinstance(value, Iterable) or callable(value) or is_array_like(value)
    if isinstance(value, Mapping | bytes) or not (knows or is_indexed(value)):
        return f"{where}: {_EXPECTED}; received {type(value).__name__}"
    return None
