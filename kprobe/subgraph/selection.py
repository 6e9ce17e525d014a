"""What is asked for of a model: the tensors to give, and those that are given in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kprobe.addresses.grammar import names_weight, split_addresses
from kprobe.errors import AddressError, Hint, KprobeError, Setting, merge_errors
from kprobe.graphdef.replacement import Replacement, parse_replacement
from kprobe.subgraph.reductions import Request, parse_requests
from kprobe.subgraph.unit import Unit, parse_unit

Method = Literal["grad-cam", "grad-cam++", "cam"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """What is asked for of a model, its texts read.

    Attributes:
        layers: Addresses, or layers of a model in memory; a text may hold several addresses, with
            commas. None for every layer call.
        feeds: The values of inner tensors, upstream of which nothing is run: `ADDRESS=SRC` each, or
            by address what `kprobe.inputs.spec.SampleSpec.inputs` takes. A source may also be
            `zero`, `mean` or `noise:STD`, made from the tensor's own value.
        ragged: Addresses among the layers of which each sample has a tensor of its own shape: for
            those whose first samples don't show it.
        gradients_of: The address of the tensor, or the layer, whose gradients are given, too, with
            regard to each of the layers; None for no gradients. Where addresses among the layers
            name gradients (`conv:gradient`), only those.
        unit: Which value of that a gradient is taken of: a number, several for an index, "max" for
            the largest of each sample, or "sum". None for "max".
        cam: How class activation maps are made, which are given in the place of the layer: see
            `kprobe.subgraph.cam`. Which layer, and what the gradients are of, may be left open
            then: None. None for no maps.
        reduce: What is left of tensors, in their place, as `kprobe.subgraph.reductions` has it:
            `[ADDRESS=]NAME[,NAME…]` or several, or `NAME[,NAME…]` by address; texts with all that
            was left open from then on.
        of_unit: The unit, read.
        requests: What is left of which tensors, read.
        sources: What is read for the feeds, by address.
        replaced: What the values of the other feeds are replaced by, by address.

    Raises:
        AddressError: Nothing is asked for, or a feed isn't of that form or given twice; all faults
            are reported.
    """

    layers: Any
    feeds: Any = ()
    ragged: Any = ()
    gradients_of: Any = None
    unit: Any = None
    cam: Method | None = None
    reduce: Any = ()
    of_unit: Unit = field(init=False)
    requests: tuple[Request, ...] = field(init=False)
    sources: Mapping[str, Any] = field(init=False)
    replaced: Mapping[str, Replacement] = field(init=False)

    def __post_init__(self) -> None:
        """Read the texts."""
        errors: list[KprobeError] = []
        for name, value in (("layers", self.layers), ("ragged", self.ragged)):
            if value is not None:
                object.__setattr__(self, name, list_addresses(value))
        if odd := [address for address in self.ragged if not isinstance(address, str)]:
            errors.append(AddressError(f"ragged: expected addresses, received {odd[0]!r}"))
        if self.cam is not None:
            errors += self._check_cam()
        elif self.layers is not None and not self.layers:
            every = Setting("every", True, "None", "layers")
            hint = Hint("name some with ", Setting("layers"), ", or ", every)
            errors.append(AddressError("no layers are asked for", hint=hint))
        try:
            object.__setattr__(self, "of_unit", self._read_unit())
        except AddressError as error:
            errors.append(error)
        try:
            object.__setattr__(self, "requests", parse_requests(self.reduce))
            object.__setattr__(self, "reduce", tuple(str(request) for request in self.requests))
        except AddressError as error:
            errors.append(error)
        sources: dict[str, Any] = {}
        replaced: dict[str, Replacement] = {}
        for address, source in _list_feeds(self.feeds, errors):
            try:
                if address in sources or address in replaced:
                    raise AddressError(f"the feed {address} is given twice")
                replacement = parse_replacement(source) if isinstance(source, str) else None
                if replacement is None:
                    sources[address] = source
                else:
                    replaced[address] = replacement
            except AddressError as error:
                errors.append(error)
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "replaced", replaced)
        if errors:
            raise merge_errors(errors)

    def _read_unit(self) -> Unit:
        if self.cam is None:
            return read_unit(self.gradients_of, self.unit)
        if self.gradients_of is not None:
            _check_single("of", self.gradients_of)
        return parse_unit(self.unit)

    def _check_cam(self) -> list[KprobeError]:
        faults = []
        if self.cam not in get_args(Method):
            told = ", ".join(get_args(Method))
            faults.append(f"method: expected one of {told}, received {self.cam!r}")
        if len(self.layers or ()) > 1:
            faults.append(f"layer: expected one address, received {len(self.layers)}")
        return [AddressError(fault) for fault in faults]

    @property
    def only_weights(self) -> bool:
        """Whether weights alone are asked for, as far as their addresses tell."""
        return bool(self.layers) and all(
            isinstance(layer, str) and names_weight(layer) for layer in self.layers
        )


def read_unit(gradients_of: Any, unit: Any) -> Unit:
    """Read which value of a target gradients are taken of.

    Args:
        gradients_of: The target, or None.
        unit: As `Selection` takes it.

    Raises:
        AddressError: It is no unit, or no target is given; or the target is no single address.
    """
    if unit is not None and gradients_of is None:
        hint = Hint("say of which tensor with ", Setting("gradients_of", "predictions"))
        raise AddressError("unit: it is that of gradients, and none are asked for", hint=hint)
    if gradients_of is not None:
        _check_single("gradients_of", gradients_of)
    return parse_unit(unit)


def _check_single(setting: str, target: Any) -> None:
    several = list_addresses(target)
    if len(several) != 1 or not several[0]:
        raise AddressError(f"{setting}: expected the address of one tensor, received {target!r}")


def list_addresses(value: Any) -> tuple[Any, ...]:
    """Give the addresses, or layers, that are asked for; a text may hold several, with commas."""
    if isinstance(value, str):
        return tuple(split_addresses(value))
    if isinstance(value, Sequence | Set | Iterator):
        return tuple(value)
    to_list = getattr(value, "tolist", None)
    if isinstance(value, Iterable) and callable(to_list):  # an array
        return list_addresses(to_list())
    return (value,)


def _list_feeds(feeds: Any, errors: list[KprobeError]) -> Iterator[tuple[str, Any]]:
    """Give each feed's address and source."""
    texts = [feeds] if isinstance(feeds, str) else feeds
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        received = type(texts).__name__
        errors.append(
            AddressError(f"feeds: expected texts, or sources by address, received {received}")
        )
        return
    if isinstance(texts, Mapping):
        yield from texts.items()
        return
    for text in texts:
        address, _, source = text.partition("=")
        if not address or not source:
            errors.append(AddressError(f"a feed: expected ADDRESS=SRC, received {text}"))
        else:
            yield address, source
