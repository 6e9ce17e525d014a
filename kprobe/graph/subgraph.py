"""Cut out of a trace the part between some tensors and others, as a function."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from kprobe.errors import AddressError, ModelError
from kprobe.graph.lift import find_ways, is_lifting, lift

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from kprobe.graph.lift import Entry
    from kprobe.graph.trace import Trace


class Subgraph:
    """What computes some tensors of a trace from others: `K.function`, for every Keras.

    Nothing that the fetches don't depend on is run, or kept.

    Attributes:
        feeds: The names of the tensors to supply: of those given, the ones the fetches need.
        specs: Shape (batch axis first, None) and dtype of each of them.
        weight_bytes: The size of the variables the fetches depend on, in bytes.
        frozen: Whether the variables were turned into constants.
        batch_axes: For some fetches, by number, the axis that is to be made the first.
        batch_size: The only batch size it takes; None if it takes any.
        lifted: Which fetches, by number, lie in loops, branches or functions.
        draws_random: Whether it draws random numbers, whose seeds aren't under control.
    """

    def __init__(
        self,
        trace: Trace,
        feeds: Mapping[str, tf.Tensor],
        fetches: Sequence[tf.Tensor],
        *,
        dtypes: Sequence[tf.DType] | None = None,
        exact: bool = False,
    ) -> None:
        """Cut the sub-graph.

        Args:
            trace: The model's trace.
            feeds: The tensors that will be supplied, by name; any tensors of the trace.
            fetches: The tensors to compute. An input or a fed tensor comes back as it went in.
            dtypes: What to cast each fetch to; None for the dtypes they have.
            exact: Whether results must be those of the layers run one by one, bit for bit.

        Raises:
            AddressError: The fetches depend on an input of the model that isn't fed, or lie in a
                function that runs in several places.
        """
        # Variables delete their storage when they go, whatever still holds a handle to it.
        self._model = trace.model
        self._exact = exact
        whole = trace.graph.as_graph_def()
        wanted = [
            _edge(tensor)
            if tensor.graph is trace.graph
            else lift(whole, _find_way(trace, tensor), tensor)
            for tensor in fetches
        ]
        fed = {_edge(tensor): name for name, tensor in feeds.items()}
        captures = {_edge(inner): outer for outer, inner in trace.graph.captures}
        inputs = {_edge(tensor): name for name, tensor in trace.inputs.items()}
        definition, consumed = _extract(whole, wanted, {*fed, *captures, *inputs})
        needed = consumed | set(wanted)
        missing = [name for edge, name in inputs.items() if edge in needed and edge not in fed]
        if missing:
            raise AddressError(
                f"the fetches depend on {', '.join(missing)}, which is not among the feeds",
                hint="feed it too, or fetch only what lies behind the feeds",
            )
        arguments = {edge: name for edge, name in fed.items() if edge in needed}
        # Only what is consumed: passing all of a model's variables costs seconds a call.
        handles = {edge: outer for edge, outer in captures.items() if edge in needed}

        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            graph = tf.compat.v1.get_default_graph()
            given = dict(zip(arguments, tensors, strict=True))
            given |= {edge: graph.capture(outer) for edge, outer in handles.items()}
            computed = [edge for edge in wanted if edge not in given]
            results = tf.graph_util.import_graph_def(
                definition,
                input_map={edge: given[edge] for edge in consumed},
                return_elements=[edge if ":" in edge else f"{edge}:0" for edge in computed],
                name="",
            )
            given |= dict(zip(computed, results, strict=True))
            results = [given[edge] for edge in wanted]
            return results if dtypes is None else [*map(tf.cast, results, dtypes)]

        self.feeds = list(arguments.values())
        self.specs = [tf.TensorSpec(feeds[name].shape, feeds[name].dtype) for name in self.feeds]
        self._function = tf.compat.v1.wrap_function(run, self.specs)
        owned = {id(outer) for outer in handles.values()}
        variables = [v for v in trace.graph.variables if id(v.handle) in owned]
        self._function.graph.variables = variables
        self.weight_bytes = sum(v.shape.num_elements() * v.dtype.size for v in variables)
        self.frozen = False
        self.batch_axes: dict[int, int] = {}
        self.batch_size = next((tensor.shape[0] for tensor in trace.inputs.values()), None)
        self.lifted = {n for n, tensor in enumerate(fetches) if tensor.graph is not trace.graph}
        self.draws_random = _draws_random(self._function.graph.as_graph_def())

    def freeze(self) -> bool:
        """Turn the variables into constants, so that the graph compiler can fold and pack them.

        Takes about a second; moves results by 1e-7 to 1e-6 of their magnitude.

        Returns:
            Whether it was done: an exact sub-graph is left, and one with a state that changes.
        """
        fixed = not self.draws_random and not _assigns(self._function.graph.as_graph_def())
        if fixed and not self.frozen and not self._exact:
            # Control flow stays functional: lowered, a loop's iterations can't run in parallel.
            frozen = convert_variables_to_constants_v2(self._function, lower_control_flow=False)
            # Called as it is, it prints every argument into an error that nobody sees, before
            # it finds out how to be called: milliseconds a batch.
            self._function = tf.function(
                lambda *tensors: frozen(*tensors), input_signature=self.specs, autograph=False
            ).get_concrete_function()
            self.frozen = True
        return self.frozen

    def __call__(self, feeds: Mapping[str, Any]) -> list[tf.Tensor]:
        """Compute the fetches, in their order.

        Args:
            feeds: An array or tensor for each name in `self.feeds`; others are ignored.

        Returns:
            A tensor for each fetch, on the device it was computed on.

        Raises:
            ModelError: An operation failed on these values.
            AddressError: The iterations of a loop differ in shape.
        """
        arguments = [
            tf.convert_to_tensor(feeds[name], spec.dtype)
            for name, spec in zip(self.feeds, self.specs, strict=True)
        ]
        whole = self.batch_size
        rows = arguments[0].shape[0] if whole is not None else None
        if whole is not None and rows != whole:
            arguments = [_pad(argument, whole) for argument in arguments]
        try:
            with _unoptimized() if self._exact else contextlib.nullcontext():
                results = list(self._function(*arguments))
        except tf.errors.OpError as error:
            if is_lifting(error.message):
                raise AddressError(
                    "a tensor asked for has another shape in each iteration of its loop, and the "
                    "iterations can't be put together",
                    hint="leave it out",
                ) from error
            raise ModelError(f"the model failed on a batch: {_shorten(error)}") from error
        if whole is not None and rows != whole:
            results = [r[:rows] if r.shape[:1] == [whole] else r for r in results]
        for number, axis in self.batch_axes.items():
            others = [i for i in range(results[number].shape.rank) if i != axis]
            results[number] = tf.transpose(results[number], [axis, *others])
        return results


@contextlib.contextmanager
def _unoptimized() -> Iterator[None]:
    """Run functions as they were written.

    TensorFlow's graph compiler rewrites them: division by a constant becomes multiplication by
    its reciprocal, and that isn't the same number.
    """
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": options.get("disable_meta_optimizer", False)}
        )


def _pad(batch: tf.Tensor, size: int) -> tf.Tensor:
    """Fill a batch up to a size with its last sample."""
    return tf.gather(batch, tf.minimum(tf.range(size), batch.shape[0] - 1))


def _shorten(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's message that says what was wrong, and where."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    told = [
        line
        for line in lines
        if not line.startswith(("Graph execution error", "Detected at", "<stack", "[[", "File"))
    ]
    node = re.search(r"node ([\w./\-]+)", error.message)
    where = f" (at {node[1]})" if node else ""
    return str((told or lines or [type(error).__name__])[0]) + where


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


def _extract(
    definition: tf.compat.v1.GraphDef, fetches: Sequence[str], stops: Collection[str]
) -> tuple[tf.compat.v1.GraphDef, set[str]]:
    """Copy the nodes that the fetches depend on, going back no further than the stops.

    Args:
        definition: The whole graph.
        fetches: The edges wanted.
        stops: The edges that will be supplied from outside.

    Returns:
        The nodes, and which of the stops they consume.
    """
    nodes = {node.name: node for node in definition.node}
    stop_nodes = {edge for edge in stops if nodes[edge.partition(":")[0]].op == "Placeholder"}
    consumed: set[str] = set()
    kept: set[str] = set()
    pending = [edge.partition(":")[0] for edge in fetches if edge not in stops]
    while pending:
        name = pending.pop()
        if name in kept:
            continue
        kept.add(name)
        for edge in nodes[name].input:
            if edge in stops:
                consumed.add(edge)
            elif edge.removeprefix("^") not in stop_nodes:
                pending.append(edge.removeprefix("^").partition(":")[0])
    result = tf.compat.v1.GraphDef()
    result.versions.CopyFrom(definition.versions)
    result.library.CopyFrom(definition.library)
    for node in definition.node:
        if node.name in kept:
            copy = result.node.add()
            copy.CopyFrom(node)
            # It may name a node that isn't copied; without devices of their own it says nothing.
            copy.attr.pop("_class", None)
            if any(edge.startswith("^") for edge in node.input):
                copy.input[:] = [e for e in node.input if e.removeprefix("^") not in stop_nodes]
    return result, consumed


_RANDOM = re.compile(
    "Random|Multinomial|TruncatedNormal|^Stateful(Uniform|StandardNormal)|^Rng|^Dropout"
)


def _draws_random(definition: tf.compat.v1.GraphDef) -> bool:
    """Tell whether a graph, or a function that it runs, draws random numbers."""
    library = {function.signature.name: function for function in definition.library.function}
    bodies = [definition.node, *(library[name].node_def for name in find_ways(definition))]
    return any(_RANDOM.search(node.op) for nodes in bodies for node in nodes)


def _assigns(definition: tf.compat.v1.GraphDef) -> bool:
    """Tell whether a graph, or a function in it, changes a variable."""
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    return any(node.op.startswith(("Assign", "ResourceScatter")) for b in bodies for node in b)
