r"""The grammar of addresses. Pure text: knows no model and no TensorFlow.

    address   = [ alias "=" ] tensor [ ":own" | ":gradient" ]
              own: as computed, where it is fed; gradient: the one with regard to the tensor
    tensor    = path [ ":" port ] [ "[" index "]" ]   a layer's output, or another port of it
              | path ":" weight                       a weight of a layer
              | path "//" operation [ ":" number ]    a tensor inside a layer
              | "//" operation [ ":" number ]         a tensor by its name in the graph
    path      = step { "/" step }      step = ( name | glob | place ) [ "@" ( number | "*" ) ]
              | "type:" class  |  "at:" position in model.layers
              | "re:" regex    (full match on the path; reaches to the end of the argument)
    place     = "at:" number           a layer inside another, by its place there
    port      = "in" | "out" | "mask" | "scores"      scores: those of attention
    weight    = its name, or the last steps of its path where one name fits several; or a glob
    index     = Python index or slice into several outputs, or the key of a dict output

Globs know `*` and `?`, which stay within a step, and `**`, any number of steps: `**/bn` is
every bn, `encoder/**` all that is inside encoder. In a weight, `*` crosses steps: `lstm:*` is
every weight of lstm.
Commas separate addresses, but not inside brackets, and not after `re:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from kprobe.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Collection

Port = Literal["in", "out", "mask", "scores"]
Index = int | slice | str | None


@dataclass(frozen=True)
class Step:
    """A step of a path: a name or glob, and which of its calls.

    Attributes:
        name: The layer's name, or a glob.
        call: The call's number, "*" for all of them, or None where none was given.
    """

    name: str
    call: int | Literal["*"] | None = None

    @property
    def is_glob(self) -> bool:
        """Whether the name has wildcards."""
        return "*" in self.name or "?" in self.name


@dataclass(frozen=True)
class Address:
    """An address, taken apart. Exactly one of steps, type, position and regex is given.

    Attributes:
        text: The address as written, without its alias.
        alias: The name its dataset shall have, or None.
        steps: The path, from the top of the model inwards; empty for `//operation`.
        type: A layer class.
        position: A position in `model.layers`; negative ones count from the end.
        regex: A pattern for the whole path.
        port: Which of the layer's tensors.
        index: Which of several, or None for all.
        operation: The name or glob of an operation inside the layer, or None.
        number: Which of the operation's outputs, or None for its only one.
        weight: The name or glob of a weight of the layer, or None.
        own: Whether the tensor is meant as computed, where it is fed.
        gradient: Whether the gradient with regard to the tensor is meant.
    """

    text: str
    alias: str | None = None
    steps: tuple[Step, ...] | None = None
    type: str | None = None
    position: int | None = None
    regex: re.Pattern[str] | None = None
    port: Port = "out"
    index: Index = None
    operation: str | None = None
    number: int | None = None
    weight: str | None = None
    own: bool = False
    gradient: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether it names whatever fits, rather than one thing."""
        globs = [
            *(step.name for step in self.steps or ()),
            self.operation or "",
            self.weight or "",
        ]
        return self.steps is None or any("*" in glob or "?" in glob for glob in globs)


def split_addresses(argument: str) -> list[str]:
    """Split a list of addresses at its commas, leaving those in brackets and regexes alone."""
    if _ALIAS.sub("", argument.strip()).startswith("re:"):
        return [argument.strip()]
    parts = re.findall(r"(?:\[[^\]]*\]|[^,])+", argument)
    return [part.strip() for part in parts if part.strip()]


def split_known(argument: str, known: Collection[str]) -> list[str]:
    """Split a list of addresses, but for those with commas in them that are known."""
    if argument in known:
        return [argument]
    parts, found = split_addresses(argument), []
    while parts:
        ends = range(len(parts), 1, -1)
        end = next((end for end in ends if ",".join(parts[:end]) in known), 1)
        found.append(",".join(parts[:end]))
        parts = parts[end:]
    return found


def split_alias(text: str) -> tuple[str | None, str]:
    """Split `alias=place` into the alias, None where there is none, and the place."""
    match = _ALIAS.match(text)
    return (match[1], text[match.end() :]) if match else (None, text)


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        AddressError: It doesn't follow the grammar; says where, and what would.
    """
    alias, place = split_alias(text)
    if place.endswith(_OWN) and not place.startswith("re:"):
        return replace(_parse_fed(place), text=place, alias=alias, own=True)
    if place.endswith(_GRADIENT) and not place.startswith("re:"):
        return replace(_parse_differentiated(place), text=place, alias=alias, gradient=True)
    return replace(_parse_tensor(place), alias=alias)


def names_weight(text: str) -> bool:
    """Tell whether an address names weights, as far as its text tells."""
    try:
        return parse_address(text).weight is not None
    except AddressError:
        return False


_OWN = ":own"
_GRADIENT = ":gradient"
_ALIAS = re.compile(r"^\s*([^\W\d][\w.\-]*)=(?!=)")
# As many digits as a position can have, and not all that `isdigit` takes: ² is no number.
_NUMBER = re.compile(r"[0-9]{1,18}")
_INDEX = re.compile(r"^(.*)\[([^\[\]]*)\]$", re.DOTALL)
# A path to a layer by its place: `at:1` alone is read as a position in the model.
_PLACED = re.compile(r".*/at:[0-9]{1,18}(@([0-9]{1,18}|\*))?", re.DOTALL)
_SLICE = re.compile(r"^(-?[0-9]{1,18})?:(-?[0-9]{1,18})?(?::(-?[0-9]{1,18})?)?$")


def _parse_fed(place: str) -> Address:
    fed = _parse_tensor(place.removesuffix(_OWN))
    if fed.weight is not None:
        own = f":{fed.weight}" == _OWN
        what = f"one {_OWN} is enough" if own else "weights aren't computed"
        raise AddressError(f"{place!r}: {what}", hint=f"write {fed.text}")
    return fed


def _parse_differentiated(place: str) -> Address:
    tensor = _parse_tensor(place.removesuffix(_GRADIENT))
    if tensor.weight is not None:
        raise AddressError(
            f"{place!r}: {_GRADIENT} stands behind a tensor that layers compute",
            hint=f"write {tensor.text}",
        )
    return tensor


def _parse_tensor(place: str) -> Address:
    if place.startswith("re:"):
        try:
            return Address(place, regex=re.compile(place[3:]))
        except (re.error, OverflowError, RecursionError) as error:
            raise AddressError(f"{place!r} is not a regular expression: {error}") from None
    path, slashes, operation = place.partition("//")
    if slashes:
        return _parse_operation(place, path, operation)
    path, index = _parse_index(place)
    path, port = _parse_port(place, path)
    address = replace(_parse_path(place, path), index=index)
    if port in get_args(Port):
        return replace(address, port=cast("Port", port))
    if index is not None:
        if f":{port}" == _OWN:
            raise AddressError(
                f"{place!r}: {_OWN} stands at the end",
                hint=f"write {path}{place[place.rindex('[') :]}{_OWN}",
            )
        raise AddressError(
            f"{place!r}: brackets choose among outputs, and a weight has no parts",
            hint=f"write {place[: place.rindex('[')]}",
        )
    return replace(address, weight=port)


def _parse_operation(place: str, path: str, operation: str) -> Address:
    name, colon, number = operation.rpartition(":")
    if not colon:
        name, number = operation, ""
    if not name or (colon and not _NUMBER.fullmatch(number)):
        raise AddressError(
            f"{place!r}: expected an operation and the number of its output after '//', "
            f"received {operation!r}",
            hint="for example conv1//BiasAdd:0",
        )
    inside = _parse_path(place, path) if path else Address(place, steps=())
    return replace(inside, operation=name, number=int(number) if number else None)


def _parse_path(place: str, path: str) -> Address:
    if path.startswith("type:"):
        return Address(place, type=path[5:])
    if path.startswith("at:") and "/" not in path:
        try:
            return Address(place, position=int(path[3:]))
        except ValueError:
            raise AddressError(
                f"{place!r}: expected a whole number after 'at:', received {path[3:]!r}"
            ) from None
    return Address(place, steps=_parse_steps(place, path))


def _parse_index(place: str) -> tuple[str, Index]:
    match = _INDEX.match(place)
    if not match:
        if "[" in place or "]" in place:
            raise AddressError(
                f"{place!r}: brackets hold an index and stand at the end",
                hint="for example ROI[0], ROI[0:2] or ROI['boxes']",
            )
        return place, None
    path, text = match[1], match[2].strip()
    part = _SLICE.match(text)
    if part:
        return path, slice(*(int(number) if number else None for number in part.groups()))
    if _NUMBER.fullmatch(text.removeprefix("-")):
        return path, int(text)
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    if not key:
        raise AddressError(f"{place!r}: expected an index, a slice or a key in the brackets")
    return path, key


def _parse_port(place: str, path: str) -> tuple[str, str]:
    if _PLACED.fullmatch(path):
        return path, "out"
    prefix = re.match(r"(type:|at:)?", path)
    body = path[prefix.end() :] if prefix else path
    name, colon, port = body.rpartition(":")
    if not colon:
        return path, "out"
    head = path[: len(path) - len(body)] + name
    if _NUMBER.fullmatch(port):
        layer, _, operation = name.rpartition("/")
        if layer:
            raise AddressError(
                f"{place!r} is the name of a graph tensor, not of a layer",
                hint=f"write {layer}//{operation}:{port} for that operation inside {layer}",
            )
        raise AddressError(
            f"{place!r}: a layer's outputs are numbered in brackets",
            hint=f"write {head} or {head}[{port}]",
        )
    if not all(port.split("/")):
        raise AddressError(
            f"{place!r}: expected :in, :out, :mask, :scores, :own or the name of a weight, "
            f"received :{port}"
        )
    return head, port


def _parse_steps(place: str, path: str) -> tuple[Step, ...]:
    steps = []
    for text in path.split("/"):
        name, at, call = text.rpartition("@")
        if not at or not (call == "*" or _NUMBER.fullmatch(call)):
            name, call = text, ""
        if not name:
            raise AddressError(f"{place!r}: expected a layer's name between the slashes")
        steps.append(Step(name, "*" if call == "*" else int(call) if call else None))
    return tuple(steps)
