"""What samples a job asks for, before anything is opened."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.image_options import ImageOptions

if TYPE_CHECKING:
    from kprobe.inputs.given import Given

OnError = Literal["stop", "skip"]

# What HDF5 and TensorFlow count with.
_MOST = 2**63 - 1


# Not comparable: whether two arrays or generators give the same can't be told.
@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSpec:
    """Which samples are taken, and what is made of them. It checks itself.

    Attributes:
        inputs: Where samples come from: a text, `SRC` or `NAME=SRC`, or a path; a sequence of
            texts; an array, a tensor, nested lists of numbers, or a list of arrays that differ in
            shape, one a sample; a `tf.data.Dataset` of batches or of samples; an iterator, a
            function or a `keras.utils.PyDataset` that gives batches; each of `(inputs, targets)`
            too, as training takes them; or any of these by the name of the input. Axis 0 is that
            of samples. Empty or None for random samples. By name, a list of texts is the samples of
            an input that takes texts, and several sources of any other.
        random: How many random samples to make, 1 or more; None leaves it to `inputs`.
        seed: What random samples follow from, 0 or more.
        limit: How many samples to take at the most, 1 or more; None for all.
        preprocessing: What is done with the values of each input, a `kprobe.Preprocessing` by its
            name; under "" for the only one.
        images: How images become rows, by input name; under "" for all inputs.
        labels_from_folders: Whether the samples are to have labels, after the folders that their
            images lie in.
        on_error: What becomes of a sample that can't be read: "stop" ends the run; "skip" keeps
            its row, without values, and goes on.
        given: What `inputs` say, each thing told apart.

    Raises:
        InputError: With a line for everything that can't be meant.
    """

    inputs: Any = ()
    random: int | None = None
    seed: int = 0
    limit: int | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, ImageOptions] = field(default_factory=dict)
    labels_from_folders: bool = False
    on_error: OnError = "stop"
    given: tuple[Given, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check all of it."""
        # It needs numpy, and whoever only prints a help page doesn't.
        from kprobe.inputs.given import parse_inputs

        faults = [
            *_check_number("random", self.random, 1),
            *_check_number("seed", self.seed, 0),
            *_check_number("limit", self.limit, 1),
        ]
        if self.seed is None:
            faults.append(f"seed: expected a number from 0 to {_MOST}, received None")
        if not isinstance(self.labels_from_folders, bool):
            faults.append(
                "labels from folders: expected True or False, received "
                f"{self.labels_from_folders!r}"
            )
        if self.on_error not in get_args(OnError):
            faults.append(
                f"on_error: expected {' or '.join(map(repr, get_args(OnError)))}, received "
                f"{self.on_error!r}"
            )
        faults += _check_mapping("images", self.images, ImageOptions)
        faults += _check_mapping("preprocessing", self.preprocessing, object)
        hint = None
        try:
            given = parse_inputs(self.inputs)
        except InputError as error:
            faults += error.faults
            given = ()
        object.__setattr__(self, "given", given)
        if given and self.random is not None:
            texts = ", ".join(each.describe() for each in given)
            faults.append(
                f"expected inputs or random samples, received both: {texts} and {self.random} "
                "random rows"
            )
            hint = Hint("leave ", Setting("inputs"), " or ", Setting("random"), " out")
        if faults:
            raise InputError(*faults, hint=hint)

    @property
    def texts(self) -> list[str] | None:
        """What is given as the command line takes it; None where that can't say it."""
        if any(each.text is None for each in self.given):
            return None
        return [each.describe() for each in self.given]


def _check_number(name: str, value: Any, least: int) -> list[str]:
    if value is None:
        return []
    try:
        if not isinstance(value, bool) and least <= operator.index(value) <= _MOST:
            return []
    except TypeError:  # no whole number
        pass
    return [f"{name}: expected a number from {least} to {_MOST}, received {value!r}"]


def _check_mapping(name: str, given: Any, kind: type) -> list[str]:
    if not isinstance(given, Mapping):
        return [f"{name}: expected a mapping by input name, received {type(given).__name__}"]
    return [
        f"{name}: expected {kind.__name__} for each input, received {type(value).__name__} "
        f"for {owner!r}"
        for owner, value in given.items()
        if not isinstance(value, kind)
    ]
