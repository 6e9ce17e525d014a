"""Cut out of a trace the part between some tensors and others, as a function."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import AddressError, UnevenError
from kprobe.graph.compiler import BFLOAT16, SAFE, UNCHANGED, compiling, set_options
from kprobe.graph.computation import Computation
from kprobe.graph.extract import extract, find_updates, find_written
from kprobe.graph.freeze import freeze
from kprobe.graph.lift import find_lifted, lift, nodes_run
from kprobe.graph.random import find_draws, seed_draws
from kprobe.graph.replace import replace
from kprobe.graph.state import State, holds_seed, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.graph.lift import Entry
    from kprobe.graph.replacement import Replacement
    from kprobe.graph.trace import Trace


# What random numbers are drawn with.
_KEY = "kprobe_key"


_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class Subgraph(Computation):
    """What computes some tensors of a trace from others: `K.function`, for every Keras.

    Nothing that the fetches don't depend on is run, or kept. Of the tensors to supply, `feeds` has
    those that the fetches need.

    Attributes:
        names: What errors call the fetches.
        replaced: The names of the tensors that are replaced: of those given, the ones needed.
    """

    def __init__(
        self,
        trace: Trace,
        feeds: Mapping[str, tf.Tensor],
        fetches: Sequence[tf.Tensor],
        *,
        replaced: Mapping[str, tuple[tf.Tensor, Replacement]] | None = None,
        dtypes: Sequence[tf.DType] | None = None,
        exact: bool = False,
        bfloat16: bool = False,
        stateful: bool = False,
        seed: int = 0,
    ) -> None:
        """Cut the sub-graph.

        Args:
            trace: The model's trace.
            feeds: The tensors that will be supplied, by name; any tensors of the trace.
            fetches: The tensors to compute. An input or a fed tensor comes back as it went in.
            replaced: The tensors whose values are replaced on the way, by name.
            dtypes: What to cast each fetch to; None for the dtypes they have.
            exact: Whether results must be those of the layers run one by one, bit for bit.
            bfloat16: Whether the graph compiler may compute in bfloat16 what it holds safe.
            stateful: Whether a batch begins with the state that the last one left: that of
                stateful RNNs, and whatever else the model's variables hold.
            seed: What random numbers follow from, with the row that a batch begins with.

        Raises:
            AddressError: The fetches depend on an input of the model that isn't fed, or lie in a
                function that runs in several places.
        """
        # Variables delete their storage when they go, whatever still holds a handle to it.
        self.trace = trace
        self._exact = exact
        self._options = UNCHANGED if exact else BFLOAT16 if bfloat16 else SAFE
        self._seed = seed
        whole = trace.graph.as_graph_def()
        wanted = [
            _edge(tensor)
            if tensor.graph is trace.graph
            else lift(whole, _find_way(trace, tensor), tensor, number)
            for number, tensor in enumerate(fetches)
        ]
        replacing: dict[str, str] = {}
        for name, (tensor, replacement) in (replaced or {}).items():
            replacing[name] = replace(whole, tensor, replacement)
            wanted = [replacing[name] if edge == _edge(tensor) else edge for edge in wanted]
        fed = {_edge(tensor): name for name, tensor in feeds.items()}
        inputs = {_edge(tensor): name for name, tensor in trace.inputs.items()}
        captures = {_edge(inner): outer for outer, inner in trace.graph.captures}
        stops = {*fed, *captures, *inputs}
        updates: list[str] = []
        if stateful:
            updates = sorted(find_updates(whole, wanted, stops, list(_list_nodes(trace))))
        definition, consumed = extract(whole, [*wanted, *updates], stops)
        set_options(definition, self._options)
        needed = consumed | set(wanted)
        missing = [name for edge, name in inputs.items() if edge in needed and edge not in fed]
        if missing:
            raise AddressError(
                f"the fetches depend on {', '.join(missing)}, which is not among the feeds",
                hint="feed it too, or fetch only what lies behind the feeds",
            )
        arguments = {edge: name for edge, name in fed.items() if edge in needed}
        # Only what is consumed: passing all of a model's variables costs seconds a call.
        self._handles = {edge: outer for edge, outer in captures.items() if edge in needed}
        kept = {node.name for node in definition.node}

        specs = {n: tf.TensorSpec(feeds[n].shape, feeds[n].dtype) for n in arguments.values()}
        self.replaced = [n for n, edge in replacing.items() if edge.partition(":")[0] in kept]
        self._draws, unseeded = find_draws(definition)
        self._edges, self._signature = list(arguments), list(specs.values())
        if self._draws:
            seed_draws(definition, _KEY)
            self._edges.append(_KEY)
            self._signature.append(tf.TensorSpec([1], tf.uint64))
        self._definition, self._wanted, self._updates = definition, wanted, updates
        self._dtypes = dtypes
        variables = {id(variable.handle): variable for variable in trace.graph.variables}
        owned = self._owned = {
            edge: variables[id(outer)]
            for edge, outer in self._handles.items()
            if id(outer) in variables
        }
        written = find_written(definition)
        # Numbered in the whole model, so that the numbers don't depend on what is fetched.
        seeds = [e for e, outer in captures.items() if holds_seed(variables.get(id(outer)))]
        state = State(
            [variable for edge, variable in owned.items() if edge in written],
            {number: owned[edge] for number, edge in enumerate(seeds) if edge in owned},
            seed=seed,
            stateful=stateful,
        )
        batch_size = next((tensor.shape[0] for tensor in trace.inputs.values()), None)
        super().__init__(specs, batch_size=batch_size, state=state)
        self.names = [str(tensor.name) for tensor in fetches]
        self.reproducible = not unseeded
        self.runs_python = any(node.op in _PYTHON for node in nodes_run(definition))
        self.weight_bytes = sum(
            v.dtype.size * (v.shape.num_elements() or 0) for v in owned.values()
        )
        self.lifted = {n for n, tensor in enumerate(fetches) if tensor.graph is not trace.graph}

    def find_largest(self) -> int:
        """Give the bytes of one sample in the largest tensor whose shape is known in advance."""
        tensors = (t for op in self._function.graph.get_operations() for t in op.outputs)
        shapes = ((tensor.shape, tensor.dtype.size) for tensor in tensors if tensor.dtype.size)
        return max(
            (
                shape[1:].num_elements() * size
                for shape, size in shapes
                if shape.rank and shape[0] is None and shape[1:].is_fully_defined()
            ),
            default=0,
        )

    def freeze(self) -> bool:
        """Turn the variables into constants, so that the graph compiler can fold and pack them.

        Moves results by 1e-7 to 1e-6 of their magnitude.

        Returns:
            Whether it was done: an exact sub-graph is left, and one with a state that changes.
        """
        if not self.frozen and not self._exact and not self._state:
            self.frozen = True
            self.__dict__.pop("_function", None)
        return self.frozen

    @cached_property
    def _function(self) -> Any:
        """The sub-graph as TensorFlow runs it; made late, since it may be frozen till then."""
        definition, values = self._definition, {}
        if self.frozen:
            definition = tf.compat.v1.GraphDef()
            definition.CopyFrom(self._definition)
            edges = freeze(definition, {edge: v.dtype for edge, v in self._owned.items()})
            values = {value: self._owned[edge].numpy() for edge, value in edges.items()}
        consumed = {edge for node in definition.node for edge in node.input}
        owned = {edge: v for edge, v in self._owned.items() if edge in consumed}
        handles = {
            edge: outer
            for edge, outer in self._handles.items()
            if edge in owned or edge not in self._owned
        }
        run = _make_runner(
            definition,
            self._edges,
            handles,
            values,
            consumed,
            self._wanted,
            self._updates,
            self._dtypes,
        )
        function = tf.compat.v1.wrap_function(run, self._signature)
        function.graph.variables = list(owned.values())
        return function

    def _compute(self, arguments: Sequence[tf.Tensor], row: int) -> list[tf.Tensor]:
        key = [tf.constant(make_key(self._seed, row))] if self._draws else []
        try:
            with compiling(self._options):
                return list(self._function(*arguments, *key))
        except tf.errors.OpError as error:
            number = find_lifted(error.message)
            if number is None:
                raise
            raise UnevenError(self.names[number], number) from error


def _list_nodes(trace: Trace) -> Iterator[tuple[list[str], set[str]]]:
    """Give, for each innermost call in the trace's own graph, the nodes of its outputs, and all."""
    operations = trace.graph.get_operations()
    around = {call.steps[:-1] for call in trace.calls}
    for call in trace.calls:
        if call.graph is trace.graph and not call.is_input and call.steps not in around:
            outputs = [tensor.op.name for _, tensor in call.outputs]
            yield outputs, {operation.name for operation in operations[slice(*call.span)]}


def _make_runner(
    definition: tf.compat.v1.GraphDef,
    arguments: Sequence[str],
    handles: Mapping[str, tf.Tensor],
    values: Mapping[str, npt.NDArray[Any]],
    consumed: Collection[str],
    wanted: Sequence[str],
    updates: Sequence[str],
    dtypes: Sequence[tf.DType] | None,
) -> Callable[..., list[tf.Tensor]]:
    """Make a function that imports a graph and gives the edges wanted, after the updates ran."""

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        graph = tf.compat.v1.get_default_graph()
        given = dict(zip(arguments, tensors, strict=True))
        given |= {edge: graph.capture(outer) for edge, outer in handles.items()}
        given |= {edge: tf.constant(value) for edge, value in values.items()}
        computed = [edge for edge in wanted if edge not in given]
        names = [edge if ":" in edge else f"{edge}:0" for edge in computed]
        imported = tf.graph_util.import_graph_def(
            definition,
            input_map={edge: tensor for edge, tensor in given.items() if edge in consumed},
            return_elements=[*names, *updates],
            name="",
        )
        given |= dict(zip(computed, imported, strict=False))
        results = [given[edge] for edge in wanted]
        if updates:
            with tf.control_dependencies(imported[len(computed) :]):
                results = [tf.identity(result) for result in results]
        return results if dtypes is None else [*map(tf.cast, results, dtypes)]

    return run


def _find_way(trace: Trace, tensor: tf.Tensor) -> Sequence[Entry]:
    way = trace.find_way(tensor.graph)
    if way is None:
        raise AddressError(
            f"{tensor.name} lies in a function that runs in several places, and has a value in each"
        )
    return way


def _edge(tensor: tf.Tensor) -> str:
    """A tensor's name as a GraphDef writes it: without the number where that is 0."""
    return str(tensor.name).removesuffix(":0")
