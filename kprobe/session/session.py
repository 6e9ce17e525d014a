"""A model that is loaded, built and traced: whatever is asked for is cut out of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.addresses.calls import DroppedCall
from kprobe.engines.eager import EagerEngine
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.errors import AddressError
from kprobe.naming import list_names
from kprobe.subgraph.cam import add_map
from kprobe.subgraph.cut import Cut, cut_out
from kprobe.subgraph.gradients import differentiate
from kprobe.subgraph.reduce import reduce
from kprobe.trace.fetch import Fetch, find_fetches
from kprobe.trace.recording.run_symbolically import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kprobe.engines.compute import Compute
    from kprobe.engines.engine import Engine, FetchSpec
    from kprobe.graphdef.replacement import Replacement
    from kprobe.session.loading import Loaded
    from kprobe.session.parts import Part
    from kprobe.subgraph.reductions import Request
    from kprobe.subgraph.selection import Method, Selection
    from kprobe.subgraph.unit import Unit
    from kprobe.trace.trace import Trace

# Freezing costs up to a second, which fewer rows don't win back.
_FREEZE_ROWS = 256
_FREEZE_WEIGHT_BYTES = 200 << 20


@dataclass(frozen=True, eq=False)
class Session:
    """A model that is loaded, built and traced: whatever is asked for is cut out of it.

    Attributes:
        loaded: The model.
        compute: How it is to be computed.
        traced: Its trace, or the record of its eager run on a sample.
        signature: Shape (batch axis first) and dtype of what each input takes, by name.
        specs: The same of the data that are given for the inputs.
        arrange: Gives, from a tensor for each input, the model's first argument.
        feeds: The tensors that will be supplied, by name.
        replaced: The tensors whose values are replaced, by name.
        notes: What the user should know about the model, a line each.
        called: Whether the model was called on a sample, to build it or to learn what it takes.
        parts: The parts that its own call doesn't run, and that were run by themselves.
    """

    loaded: Loaded
    compute: Compute
    traced: Trace
    signature: Mapping[str, tf.TensorSpec]
    specs: Mapping[str, tf.TensorSpec]
    arrange: Callable[[Mapping[str, tf.Tensor]], Any]
    feeds: Mapping[str, tf.Tensor]
    replaced: Mapping[str, tuple[tf.Tensor, Replacement]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    called: bool = False
    parts: Sequence[Part] = ()

    @property
    def model(self) -> Any:
        """The model itself."""
        return self.loaded.model

    def find(self, layers: Iterable[Any] | None) -> list[Fetch]:
        """Look up what addresses name, or layers that are given themselves.

        Args:
            layers: The addresses and layers; None for the outputs of every layer call.

        Raises:
            AddressError: Some name nothing, or several things; all are reported.
        """
        addresses = None if layers is None else self.name_layers(layers)
        return find_fetches(self.traced, addresses)

    def name_layers(self, layers: Iterable[Any]) -> list[str]:
        """Give the addresses of layers that are given themselves, among addresses.

        Raises:
            AddressError: One isn't called in the model, or several times.
        """
        return [one if isinstance(one, str) else self._find_address(one) for one in layers]

    def _find_address(self, layer: Any) -> str:
        """Give the address of a layer that is called once."""
        calls = [call.address for call in self.traced.calls if call.layer is layer]
        name = getattr(layer, "name", None)
        if not calls:
            missed = [call for call in self.traced.dropped if call.layer is layer]
            if missed:
                raise AddressError(f"{missed[0].address!r} {missed[0].reason}")
            shown = f"the layer {name!r}" if isinstance(name, str) else repr(layer)
            raise AddressError(
                f"{shown} isn't called in this model", hint="give an address, or a layer of it"
            )
        if len(calls) > 1:
            raise AddressError(
                f"the layer {name!r} is called {len(calls)} times: {list_names(calls, 8)}",
                hint="give the addresses of the calls",
            )
        return calls[0]

    def feed(
        self,
        feeds: Mapping[str, tf.Tensor],
        replaced: Mapping[str, tuple[tf.Tensor, Replacement]],
    ) -> Session:
        """Give the same with some tensors fed and some replaced."""
        return replace(self, feeds={**self.feeds, **feeds}, replaced=replaced)

    def differentiate(
        self, fetches: Sequence[Fetch], target: Any, unit: Unit, fed: Iterable[Fetch]
    ) -> tuple[Session, Sequence[Fetch], Sequence[str]]:
        """Add gradients to what is asked for, as `kprobe.subgraph.gradients` says.

        Args:
            fetches: What is asked for.
            target: The address of what is differentiated, or a layer; None for nothing.
            unit: Which of its values.
            fed: What is fed or replaced.

        Returns:
            The session to go on with; what is asked for, with the gradients; and what has none
            among what patterns named, each with the reason.

        Raises:
            AddressError: There is no such gradient.
        """
        address = None if target is None else self.name_layers([target])[0]
        stops = {id(fetch.tensor) for fetch in fed}
        done = differentiate(self.traced, fetches, address, unit, stops)
        return replace(self, traced=done.trace), done.fetches, done.left_out

    def reduce(
        self,
        fetches: Sequence[Fetch],
        requests: Sequence[Request],
        axes: Mapping[int, tuple[str | None, ...]],
    ) -> tuple[Session, Sequence[Fetch], Sequence[str]]:
        """Put what is left of tensors in their place, as `kprobe.subgraph.reduce` says.

        Args:
            fetches: What is asked for.
            requests: What is to be left of which.
            axes: The names of the axes of their tensors, by the tensors' ids.

        Returns:
            The session to go on with; what is asked for, reduced; and what can't be among what
            patterns named, each with the reason.

        Raises:
            AddressError: Something can't be reduced so.
        """
        done = reduce(self.traced, fetches, requests, axes)
        notes = [*self.notes, *done.notes]
        return replace(self, traced=done.trace, notes=notes), done.fetches, done.left_out

    def add_map(
        self,
        selection: Selection,
        method: Method,
        axes: Mapping[int, tuple[str | None, ...]],
    ) -> tuple[Session, Sequence[Fetch]]:
        """Add class activation maps, as `kprobe.subgraph.cam` says.

        Args:
            selection: Of which layer, and of which score.
            method: How they are made.
            axes: The names of the axes of tensors, by the tensors' ids.

        Returns:
            The session to go on with; and the maps, the units and the scores.

        Raises:
            AddressError: There is no such map.
        """
        layers = self.find(selection.layers or ())
        if len(layers) > 1:
            names = list_names([fetch.address for fetch in layers], 8)
            raise AddressError(
                f"{selection.layers[0]} stands for {len(layers)} tensors: {names}",
                hint="choose one",
            )
        target = selection.gradients_of
        address = None if target is None else self.name_layers([target])[0]
        layer = layers[0] if layers else None
        done = add_map(self.traced, layer, address, selection.of_unit, method, axes)
        return replace(self, traced=done.trace, notes=[*self.notes, *done.notes]), done.fetches

    def leave_out(self, inputs: Collection[str]) -> Session:
        """Give the same without some optional inputs, traced anew; nothing is fed or replaced.

        Raises:
            ModelError: The model can't be called without them.
        """
        return self._retrace({n: spec for n, spec in self.specs.items() if n not in inputs})

    def resize(self, sizes: Mapping[str, Sequence[int | None]]) -> Session:
        """Give the same for samples of other shapes, traced anew; nothing is fed or replaced.

        Args:
            sizes: The shape of a sample for each of these inputs, None for sizes that differ.

        Raises:
            ModelError: The model can't be called on them.
        """
        changed = {n: tf.TensorSpec([None, *s], self.specs[n].dtype) for n, s in sizes.items()}
        return self._retrace({**self.specs, **changed})

    def _retrace(self, specs: Mapping[str, tf.TensorSpec]) -> Session:
        traced = trace(self.model, specs, self.arrange, training=self.compute.training)
        traced.dropped.extend(drop_inputs(set(self.signature) - set(specs)))
        return replace(self, specs=specs, traced=traced, feeds=traced.inputs, replaced={})

    def recompute(self, **changes: Any) -> Session:
        """Give the same, to be computed otherwise; what was traced stays."""
        return replace(self, compute=replace(self.compute, **changes))

    def cut(self, fetches: Sequence[Fetch | FetchSpec]) -> Cut:
        """Cut out what gives some tensors of the trace."""
        return cut_out(
            self.traced,
            self.feeds,
            [fetch.tensor for fetch in fetches],
            own={number for number, fetch in enumerate(fetches) if fetch.own},
            replaced=self.replaced,
            stateful=self.compute.stateful,
        )

    def list_needed(self, fetches: Sequence[Fetch | FetchSpec]) -> Mapping[str, tf.TensorSpec]:
        """Give which of the inputs and feeds some tensors depend on, with shape and dtype."""
        if self.compute.eager:
            return self.specs
        return self.cut(fetches).specs

    def make_engine(
        self, fetches: Sequence[FetchSpec], *, rows: float = 0, frozen: bool | None = None
    ) -> Engine:
        """Give what computes some tensors: the one place where engines are made.

        Args:
            fetches: The tensors.
            rows: How many rows it will be run on, at most.
            frozen: Whether to turn variables into constants, where that may be; None to do it where
                so many rows win back what it costs.
        """
        if self.compute.eager:
            return EagerEngine(self.model, self.specs, self.arrange, fetches, self.compute)
        cut = self.cut(fetches)
        if frozen is None:
            frozen = rows >= _FREEZE_ROWS and cut.weight_bytes <= _FREEZE_WEIGHT_BYTES
        return TensorFlowEngine(cut, fetches, self.compute, frozen=frozen)


def drop_inputs(names: Collection[str]) -> list[DroppedCall]:
    """Answer that optional inputs aren't given, where they are asked for."""
    return [
        DroppedCall(
            steps=((name, None),),
            class_name="InputLayer",
            is_input=True,
            reason="is an optional input, and none is given",
        )
        for name in sorted(names)
    ]
