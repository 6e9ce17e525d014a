"""`K.function` for every Keras: arrays in, a dict of arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.engines.engine import FetchSpec
from kprobe.errors import AddressError, Hint, InputError, ModelError, Setting
from kprobe.graphdef.replacement import parse_replacement
from kprobe.inputs.python.tensors import check_unmasked
from kprobe.pipeline.planning.axes import name_fetches
from kprobe.subgraph.feeding import check_used, choose_fetches, find_feeds
from kprobe.subgraph.reductions import parse_requests
from kprobe.subgraph.selection import list_addresses, read_unit
from kprobe.trace.recording.model_inputs import list_optional, takes_any_size

if TYPE_CHECKING:
    from collections.abc import Collection

    from kprobe.session.session import Session
    from kprobe.subgraph.reductions import Request
    from kprobe.subgraph.unit import Unit


class Function:
    """A sub-graph of a model, called with arrays.

    Attributes:
        feeds: The names of the arguments, in their order: the feeds, then those inputs of the
            model that the layers depend on all the same.
        optional: Those of them that may be left out.
        addresses: The keys of what a call gives, in their order.
    """

    @eagerly
    def __init__(
        self,
        session: Session,
        layers: Any,
        feeds: Any = (),
        replace: Mapping[str, str] | None = None,
        *,
        gradients_of: Any = None,
        unit: Any = None,
        reduce: Any = (),
    ) -> None:
        """Cut the sub-graph.

        Args:
            session: The model.
            layers: The addresses to compute, or layers themselves; a text may hold several
                addresses, with commas. None for every layer call.
            feeds: Addresses whose values are supplied, or layers.
            replace: By address, what the value of a tensor is replaced by.
            gradients_of: The address, or the layer, whose gradients are given, too.
            unit: Which of its values they are taken of, as `kprobe.subgraph.selection.Selection`
                takes it.
            reduce: What is left of which tensors in their place, as `Selection` takes it.

        Raises:
            AddressError: Addresses that name nothing, or several things, or can't be replaced; or
                there is no such gradient, or no such reduction.
        """
        self._session = session
        if not isinstance(replace, Mapping | None):
            raise AddressError(
                f"replace: expected zero, mean or noise:STD by address, received {replace!r}"
            )
        if isinstance(feeds, Mapping):
            raise AddressError(
                "feeds: expected addresses, whose values are given with each call, received values",
                hint=Hint("give ", Setting("feeds", True, python=repr(list(feeds)))),
            )
        self._layers = None if layers is None else list_addresses(layers)
        self._fed = list_addresses(feeds)
        self._replace = dict(replace or {})
        self._gradients = (gradients_of, read_unit(gradients_of, unit))
        self._requests = parse_requests(reduce)
        self._rows = 0
        full = self._cut(session)
        # A model computes something else where an optional input isn't there: another trace.
        self._parts: dict[Any, _Part] = {(frozenset(), ()): full}
        self._left_out = list_optional(session.model) & set(session.traced.inputs)
        # What is fed comes first among the arguments.
        self._known = full.known
        self.feeds: Sequence[str] = full.feeds
        self.optional: Sequence[str] = [name for name in self.feeds if name in self._left_out]
        self.addresses: Sequence[str] = full.addresses

    def __repr__(self) -> str:
        model = self._session.model
        arguments = ", ".join(f"{n}=None" if n in self.optional else n for n in self.feeds)
        results = ", ".join(self.addresses)
        return f"<Function of {type(model).__name__} {model.name}: ({arguments}) -> {results}>"

    @eagerly
    def __call__(
        self,
        *arrays: npt.ArrayLike | Mapping[str, npt.ArrayLike | None] | None,
        **named: npt.ArrayLike | None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Run the sub-graph.

        Args:
            *arrays: An array for each of `feeds`, in their order, batch axis first; or one
                mapping of them by name, which may hold inputs that aren't needed, too. Any
                dtype that numpy casts safely or within its kind. Optional inputs may be None,
                or not there at all; without them the model is traced once more, when that is
                first called.
            **named: Arrays by name.

        Returns:
            An array for each of `addresses`, in the tensor's own dtype (bfloat16 as float32).

        Raises:
            InputError: Too many or too few arrays, or one of the wrong shape or dtype.
            ModelError: The model fails on them.
        """
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            placed: dict[str, Any] = dict(arrays[0])
        elif len(arrays) > len(self.feeds):
            raise InputError(f"expected {self._list_feeds()}, received {len(arrays)} arrays")
        else:
            placed = dict(zip(self.feeds, arrays, strict=False))
        if twice := [name for name in named if name in placed]:
            raise InputError(f"expected one array for {', '.join(twice)}, received two")
        given: dict[str, Any] = {**placed, **named}
        given = {
            n: array for n, array in given.items() if array is not None or n not in self._known
        }
        if unknown := [name for name in given if name not in self._known]:
            raise InputError(f"expected {self._list_feeds()}, received {', '.join(unknown)}")
        part = self._choose_part(self._left_out - set(given), given)
        if missing := [name for name in part.feeds if name not in given]:
            raise self._explain_missing(part, missing)
        ready = {name: _fit(name, given[name], part.specs[name]) for name in part.feeds}
        lengths = {name: len(array) for name, array in ready.items() if array.ndim}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{length} of {name}" for name, length in lengths.items())
            raise InputError(f"expected as many rows for every input, received {told}")
        results = part.run(ready, self._rows)
        self._rows += max(lengths.values(), default=0)
        return results

    def _choose_part(self, left_out: Collection[str], given: Mapping[str, Any]) -> _Part:
        """Give what runs without some optional inputs, and on samples of the sizes given.

        It is made when it is first asked for.
        """
        part = self._make_part(left_out, {})
        sizes = part.find_other_sizes(given) if takes_any_size(self._session.model) else {}
        if not sizes:
            return part
        try:
            return self._make_part(left_out, {name: [None] * len(s) for name, s in sizes.items()})
        except ModelError:  # its code asks for the sizes
            return self._make_part(left_out, sizes)

    def _make_part(self, left_out: Collection[str], sizes: Mapping[str, Sequence[Any]]) -> _Part:
        key = frozenset(left_out), tuple((name, *shape) for name, shape in sizes.items())
        if key not in self._parts:
            session = self._session.leave_out(left_out) if left_out else self._session
            session = session.resize(sizes) if sizes else session
            self._parts[key] = self._cut(session)
        return self._parts[key]

    def _cut(self, session: Session) -> _Part:
        return _Part(
            session, self._layers, self._fed, self._replace, self._gradients, self._requests
        )

    def _list_feeds(self) -> str:
        return f"an array for {', '.join(self.feeds)}" if self.feeds else "no array"

    def _explain_missing(self, part: _Part, missing: Sequence[str]) -> InputError:
        specs = [part.specs[name] for name in missing]
        told = [
            f"{name} {tuple(spec.shape)} {spec.dtype.name}"
            for name, spec in zip(missing, specs, strict=True)
        ]
        hint: list[str | Setting] = ["give it by its name: " if len(missing) == 1 else "give "]
        for name in missing:
            hint += ([", "] if len(hint) > 1 else []) + [Setting(name, "...", python="...")]
        return InputError(
            "expected an array for every input that these layers need, received none for "
            f"{', '.join(told)}",
            hint=Hint(*hint),
        )


class _Part:
    """The sub-graph over one trace of the model.

    Attributes:
        known: The tensors that can be given, by name.
        feeds: The names of those that are needed.
        specs: Shape and dtype of each of these.
        addresses: The keys of the results.
    """

    def __init__(
        self,
        session: Session,
        layers: Sequence[Any] | None,
        feeds: Sequence[Any],
        replace: Mapping[str, str],
        gradients: tuple[Any, Unit],
        requests: Sequence[Request],
    ) -> None:
        asked = session.find(layers)
        fed = find_feeds(session.traced, session.name_layers(feeds), several=True)
        replaced = {}
        for address, text in replace.items():
            by = parse_replacement(text) if isinstance(text, str) else None
            if by is None:
                raise AddressError(
                    f"replace: expected zero, mean or noise:STD for {address}, received {text}"
                )
            for fetch in find_feeds(session.traced, [address], several=True):
                replaced[fetch.name] = (fetch, by)
        changed = [*fed, *(fetch for fetch, _ in replaced.values())]
        chosen = choose_fetches(session.traced, asked, changed)
        session, fetches, _ = session.differentiate(chosen, *gradients, changed)
        axes = name_fetches(session.traced.calls, fetches) if requests else {}
        session, fetches, _ = session.reduce(fetches, requests, axes)
        given = {fetch.name: fetch.tensor for fetch in fed}
        self.known = {**given, **session.traced.inputs}
        # What no argument changes isn't computed, but read in every call.
        self._weights = {fetch.name: fetch for fetch in fetches if fetch.is_weight}
        computed = [fetch for fetch in fetches if not fetch.is_weight]
        self._computed = [fetch.name for fetch in computed]
        # Not frozen: nobody knows how often it will be called, and its weights may be changed.
        self._engine = session.feed(
            given, {name: (fetch.tensor, by) for name, (fetch, by) in replaced.items()}
        ).make_engine([FetchSpec(f.address, f.tensor, own=f.own) for f in computed], frozen=False)
        self.specs = dict(zip(self._engine.feeds, self._engine.specs, strict=True))
        used = {*self.specs, *self._engine.replaced}
        check_used(used, changed)
        self.feeds = [name for name in self.known if name in self.specs]
        self.addresses = [fetch.name for fetch in fetches]
        self._inputs = set(session.traced.inputs) - set(given)

    def find_other_sizes(self, arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Give the shapes of samples that aren't as the model's inputs were traced, by input."""
        found = {}
        for name in self._inputs & set(self.feeds) & set(arrays):
            shape, spec = getattr(arrays[name], "shape", ()), self.specs[name].shape
            if len(shape) == spec.rank and not spec[1:].is_compatible_with(shape[1:]):
                found[name] = tuple(shape[1:])
        return found

    def run(self, arrays: Mapping[str, npt.NDArray[Any]], row: int) -> dict[str, npt.NDArray[Any]]:
        """Run it on an array for each of `feeds`."""
        tensors = {name: fetch.read() for name, fetch in self._weights.items()}
        if self._computed:
            tensors |= zip(self._computed, self._engine(arrays, row), strict=True)
        return {address: _to_array(tensors[address]) for address in self.addresses}


def _fit(name: str, value: npt.ArrayLike, spec: tf.TensorSpec) -> npt.NDArray[Any]:
    check_unmasked(value, name)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name}: expected rows of one shape, received several") from None
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    if not spec.shape.is_compatible_with(array.shape):
        raise InputError(f"{name}: expected shape {tuple(spec.shape)}, received {array.shape}")
    if wanted.kind != "O" and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise InputError(f"{name}: expected {wanted.name}, received {array.dtype.name}")
    if wanted.kind in "iu" and array.size and not np.can_cast(array.dtype, wanted):
        low, high, limits = int(array.min()), int(array.max()), np.iinfo(wanted)
        if low < limits.min or high > limits.max:
            raise InputError(
                f"{name}: expected {wanted.name}, from {limits.min} to {limits.max}, received "
                f"values from {low} to {high}"
            )
    return array.astype(wanted, copy=False)


def _to_array(tensor: tf.Tensor) -> npt.NDArray[Any]:
    return np.asarray(tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor)
