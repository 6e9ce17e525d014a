"""What samples a job asks for, before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args

from kprobe.checks import check_choice, check_count, check_switch
from kprobe.errors import Hint, InputError, ModelError, Setting
from kprobe.gate.kinds import read_kinds
from kprobe.image_options import ImageOptions
from kprobe.preprocessing import Preprocessing

if TYPE_CHECKING:
    from kprobe.inputs.parsing import Given

OnError = Literal["stop", "skip"]


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
            of samples. None or an empty tuple for random samples. By name, a list of texts is the
            samples of an input that takes texts, and several sources of any other.
        random: How many random samples to make, 1 or more; None leaves it to `inputs`.
        random_shape: The shape of the random samples of each input, the axis of samples first, by
            its name; under "", or by itself, for the only one. An input of which nothing is said
            gets its own shape, and lengths for the sizes that it leaves open.
        seed: What random samples follow from, 0 or more.
        limit: How many samples to take at most, 1 or more; None for all.
        preprocessing: What is done with the values of each input, a `kprobe.Preprocessing` by its
            name; under "", or by itself, for the only one.
        images: How images become rows, by input name; under "", or by itself, for all inputs.
        labels_from_folders: Whether the samples are to have labels, after the folders that their
            images lie in.
        on_error: What becomes of a sample that can't be read: "stop" ends the run; "skip" keeps
            its row, without values, and continues.
        follow_links: Whether links in a folder of samples, or among files that fit a pattern, are
            followed where they lead out of it.
        allow: What files may hold that they mostly have no business with, as for the model:
            "external" lets HDF5 name other files that values lie in; the other kinds say nothing of
            samples.
        given: What `inputs` say, each thing told apart.
        allowed: The kinds that `allow` gives.

    Raises:
        InputError: With a line for everything that can't be meant.
    """

    inputs: Any = ()
    random: int | None = None
    random_shape: Mapping[str, Any] | Any = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    preprocessing: Mapping[str, Any] | Any = field(default_factory=dict)
    images: Mapping[str, ImageOptions] | Any = field(default_factory=dict)
    labels_from_folders: bool = False
    on_error: OnError = "stop"
    follow_links: bool = False
    allow: str | Sequence[str] = ()
    given: tuple[Given, ...] = field(init=False, repr=False)
    allowed: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        """Check all of it."""
        for name in ("preprocessing", "images", "random_shape"):
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                object.__setattr__(self, name, {"": value})
        # It needs numpy, and a help page doesn't.
        from kprobe.inputs.parsing import parse_inputs

        faults = [
            *check_count("random", self.random),
            *check_count("seed", self.seed, least=0, optional=False),
            *check_count("limit", self.limit),
            *check_switch("labels_from_folders", self.labels_from_folders),
            *check_switch("follow_links", self.follow_links),
            *check_choice("on_error", self.on_error, get_args(OnError)),
        ]
        faults += _check_each("images", self.images, ImageOptions)
        faults += _check_each("preprocessing", self.preprocessing, Preprocessing)
        faults += self._check_random_shape()
        hint: Hint | None = None
        try:
            given = parse_inputs(self.inputs)
        except InputError as error:
            faults += error.faults
            hint = error.remedy
            given = ()
        object.__setattr__(self, "given", given)
        try:
            object.__setattr__(self, "allowed", read_kinds(self.allow))
        except ModelError as error:
            faults += error.faults
        if given and self.random is not None:
            texts = ", ".join(each.describe() for each in given)
            faults.append(
                f"expected inputs or random samples, received both: {texts} and {self.random} "
                "random rows"
            )
            hint = Hint("leave ", Setting("inputs"), " or ", Setting("random"), " out")
        if faults:
            raise InputError(*faults, hint=hint)
        for name in ("random", "seed", "limit"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, index(value))  # of numpy, too

    def _check_random_shape(self) -> list[str]:
        """Check the shapes of random samples, and let them say how many there are."""
        faults: list[str] = []
        shapes = {}
        for name, given in self.random_shape.items():
            of = f" for {name!r}" if name else ""
            sizes = list(given) if isinstance(given, Sequence) else []
            wrong = [fault for size in sizes for fault in check_count("", size, optional=False)]
            if wrong or not sizes or isinstance(given, str):
                faults.append(
                    "random samples: expected sizes of 1 or more, the number of samples first"
                    f"{of}, received {given!r}"
                )
            else:
                shapes[name] = tuple(map(index, sizes))
        counts = {shape[0]: name for name, shape in shapes.items()}
        if counts and isinstance(self.random, SupportsIndex):
            counts.setdefault(index(self.random), "random")
        if len(counts) > 1:
            faults.append(
                "random samples: expected as many samples everywhere, received "
                + " and ".join(map(str, counts))
                + " (the first size of a shape is their number)"
            )
        if not faults and counts:
            object.__setattr__(self, "random_shape", shapes)
            object.__setattr__(self, "random", next(iter(counts)))
        return faults

    @property
    def texts(self) -> list[str] | None:
        """What is given as the command line takes it; None where that can't say it."""
        if any(each.text is None for each in self.given):
            return None
        return [each.describe() for each in self.given]

    def fill_batches(self, size: int | None) -> SampleSpec:
        """Let random samples that nobody counted fill their last batch.

        Args:
            size: Of a batch; None for any.
        """
        if self.given or self.random is not None or size is None:
            return self
        from kprobe.inputs.sources.random_rows import DEFAULT_ROWS

        return replace(self, random=-(-DEFAULT_ROWS // size) * size)


def _check_each(name: str, given: Mapping[str, Any], kind: type) -> list[str]:
    return [
        f"{name}: expected {kind.__name__}{f' for {owner!r}' if owner else ''}, received "
        f"{type(value).__name__}"
        for owner, value in given.items()
        if not isinstance(value, kind)
    ]
