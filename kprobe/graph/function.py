"""`K.function` for every Keras: arrays in, a dict of arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kprobe.errors import AddressError, InputError
from kprobe.graph.address import split_addresses
from kprobe.graph.feeding import check_used, find_feeds
from kprobe.graph.fetch import find_fetches
from kprobe.graph.mode import eagerly
from kprobe.graph.replacement import parse_replacement
from kprobe.graph.signature import arrange_inputs, read_signature
from kprobe.graph.subgraph import Subgraph
from kprobe.graph.trace import trace


class Function:
    """A sub-graph of a model, called with arrays.

    Attributes:
        feeds: The names of the arguments, in their order: the feeds, then those inputs of the
            model that the layers depend on all the same.
        addresses: The keys of what a call gives, in their order.
    """

    @eagerly
    def __init__(
        self,
        model: Any,
        layers: str | Sequence[str],
        feeds: str | Sequence[str] = (),
        *,
        replace: Mapping[str, str],
        exact: bool,
        training: bool,
        stateful: bool,
        seed: int,
    ) -> None:
        signature = read_signature(model)

        def arrange(tensors: Mapping[str, tf.Tensor]) -> Any:
            return arrange_inputs(model, tensors)

        traced = trace(model, signature, arrange, training=training)
        fetches = find_fetches(traced, _split(layers))
        fed = find_feeds(traced, _split(feeds), several=True)
        replaced = {}
        for address, text in replace.items():
            replacement = parse_replacement(text)
            if replacement is None:
                raise AddressError(f"expected zero, mean or noise:STD, received {text}")
            for fetch in find_feeds(traced, [address], several=True):
                replaced[fetch.name] = (fetch, replacement)
        known = {fetch.name: fetch.tensor for fetch in fed} | dict(traced.inputs)
        self._known = set(known)
        # What no argument changes isn't computed, but read in every call.
        self._weights = {fetch.name: fetch for fetch in fetches if fetch.is_weight}
        computed = [fetch for fetch in fetches if not fetch.is_weight]
        self._computed = [fetch.name for fetch in computed]
        self._subgraph = Subgraph(
            traced,
            known,
            [fetch.tensor for fetch in computed],
            replaced={name: (fetch.tensor, by) for name, (fetch, by) in replaced.items()},
            exact=exact,
            stateful=stateful,
            seed=seed,
        )
        self._subgraph.names = [fetch.address for fetch in fetches]
        check_used(self._subgraph, [*fed, *(fetch for fetch, _ in replaced.values())])
        self._rows = 0
        self.feeds: Sequence[str] = self._subgraph.feeds
        self.addresses: Sequence[str] = [fetch.name for fetch in fetches]

    @eagerly
    def __call__(
        self, *arrays: npt.ArrayLike, **named: npt.ArrayLike
    ) -> dict[str, npt.NDArray[Any]]:
        """Run the sub-graph.

        Args:
            *arrays: An array for each of `feeds`, in their order, batch axis first; or one
                mapping of them by name, which may hold inputs that aren't needed, too. Any
                dtype that numpy casts safely or within its kind.
            **named: Arrays by name.

        Returns:
            An array for each of `addresses`, in the tensor's own dtype (bfloat16 as float32).

        Raises:
            InputError: Too many or too few arrays, or one of the wrong shape or dtype.
        """
        given: dict[str, Any] = dict(named)
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            given |= arrays[0]
        elif len(arrays) > len(self.feeds):
            raise self._mismatch(f"{len(arrays)} arrays")
        else:
            given |= dict(zip(self.feeds, arrays, strict=False))
        if not set(self.feeds) <= set(given) <= self._known:
            raise self._mismatch(", ".join(given) or "nothing")
        ready = {
            name: _fit(name, given[name], spec)
            for name, spec in zip(self.feeds, self._subgraph.specs, strict=True)
        }
        tensors = {name: fetch.read() for name, fetch in self._weights.items()}
        if self._computed:
            results = self._subgraph(ready, self._rows)
            tensors |= zip(self._computed, results, strict=True)
        self._rows += max((len(array) for array in ready.values() if array.ndim), default=0)
        return {address: _to_array(tensors[address]) for address in self.addresses}

    def _mismatch(self, received: str) -> InputError:
        expected = f"an array for {', '.join(self.feeds)}" if self.feeds else "no array"
        return InputError(f"expected {expected}, received {received}")


def _split(addresses: str | Sequence[str]) -> Sequence[str]:
    return split_addresses(addresses) if isinstance(addresses, str) else addresses


def _fit(name: str, value: npt.ArrayLike, spec: tf.TensorSpec) -> npt.NDArray[Any]:
    array = np.asarray(value)
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    if not spec.shape.is_compatible_with(array.shape):
        raise InputError(f"{name}: expected shape {tuple(spec.shape)}, received {array.shape}")
    if wanted.kind != "O" and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise InputError(f"{name}: expected {wanted.name}, received {array.dtype.name}")
    return array.astype(wanted, copy=False)


def _to_array(tensor: tf.Tensor) -> npt.NDArray[Any]:
    return np.asarray(tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor)
