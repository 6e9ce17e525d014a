"""Run a cut-out part of a trace on TensorFlow: `K.function`, for every Keras."""

from __future__ import annotations

import os
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.tensorflow_names import CAPTURE
from kprobe.engines.compiler import BFLOAT16, SAFE, UNCHANGED, compiling, set_options
from kprobe.engines.engine import Engine, cast
from kprobe.errors import Hint, ModelError, Setting, UnevenError
from kprobe.graphdef.draws import find_draws, seed_draws
from kprobe.graphdef.freeze import freeze
from kprobe.graphdef.functions import nodes_run
from kprobe.graphdef.lift import find_lifted
from kprobe.subgraph.state import State, make_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.engines.compute import Compute
    from kprobe.engines.engine import FetchSpec
    from kprobe.subgraph.cut import Cut


# What random numbers are drawn with.
_KEY = "kprobe_key"


_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class TooLargeError(ModelError):
    """A batch has a tensor that is larger than is allowed, or than the machine's memory."""


class TensorFlowEngine(Engine):
    """What computes some tensors of a trace from others, on TensorFlow."""

    def __init__(
        self,
        cut: Cut,
        fetches: Sequence[FetchSpec],
        compute: Compute,
        *,
        frozen: bool = False,
    ) -> None:
        """Make the function; its graph is made when it is called first.

        Args:
            cut: What was cut out of the trace.
            fetches: The tensors that it was cut out for.
            compute: How it is to be computed.
            frozen: Whether to turn variables into constants, so that the graph compiler can fold
                and pack them. It moves results by 1e-7 to 1e-6 of their magnitude, and isn't done
                where they are to be exact, or where the model has a state that changes.
        """
        state = State(cut.written, cut.seeds, seed=compute.seed, stateful=compute.stateful)
        batch_size = next((tensor.shape[0] for tensor in cut.trace.inputs.values()), None)
        super().__init__(fetches, cut.specs, batch_size=batch_size, state=state)
        self.trace = cut.trace
        self.replaced = cut.replaced
        self.lifted = cut.lifted
        self.frozen = frozen and not compute.exact and not state
        self.runs_python = any(node.op in _PYTHON for node in nodes_run(cut.definition))
        self._options = UNCHANGED if compute.exact else SAFE
        if compute.precision == "bfloat16":
            self._options = BFLOAT16
        self._definition = tf.compat.v1.GraphDef()
        self._definition.CopyFrom(cut.definition)
        set_options(self._definition, self._options)
        self._draws, unseeded = find_draws(self._definition)
        self.reproducible = not unseeded
        if self._draws:
            seed_draws(self._definition, _KEY)
        self._cut = cut
        self._most = compute.max_activation_bytes
        self._checked = 0  # the samples of the largest batch that was found to fit
        self._seed = compute.seed

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

    @cached_property
    def _function(self) -> Any:
        """The sub-graph as TensorFlow runs it."""
        cut, values = self._cut, {}
        definition = self._definition
        if self.frozen:
            definition = tf.compat.v1.GraphDef()
            definition.CopyFrom(self._definition)
            edges = freeze(definition, {edge: v.dtype for edge, v in cut.variables.items()})
            values = {value: cut.variables[edge].numpy() for edge, value in edges.items()}
        consumed = {edge for node in definition.node for edge in node.input}
        variables = {edge: v for edge, v in cut.variables.items() if edge in consumed}
        handles = {
            edge: outer
            for edge, outer in cut.handles.items()
            if edge in variables or edge not in cut.variables
        }
        specs = list(self.specs)
        arguments = list(cut.arguments)
        if self._draws:
            arguments.append(_KEY)
            specs.append(tf.TensorSpec([1], tf.uint64))

        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            given = dict(zip(arguments, tensors, strict=True))
            return self._import(definition, given, handles, values)

        function = tf.compat.v1.wrap_function(run, specs)
        function.graph.variables = list(variables.values())
        return function

    def _check_size(self, rows: int) -> None:
        """Refuse a batch of which a tensor is too large, as far as shapes are known in advance.

        TensorFlow would try for long to have it, and the system may end the process meanwhile.

        Raises:
            TooLargeError: It is larger than is allowed, or than the machine's memory.
        """
        if rows <= self._checked:
            return
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        most = memory if self._most is None else self._most
        for tensor in self._list_tensors():
            sizes = tensor.shape.as_list() if tensor.shape.rank else ()
            # Of any other axis that is open there may be one.
            known = [size or (0 if size == 0 else 1) for size in sizes]
            if sizes and sizes[0] is None:
                known[0] = rows
            needed = prod(known) * tensor.dtype.size
            if needed <= most:
                continue
            allowed = f"{most:,} are allowed"
            hint = Hint(
                "take smaller batches, " if rows > 1 else "",
                "leave out the layers that need it, or allow more with ",
                Setting("max_activation_bytes"),
            )
            if self._most is None:
                allowed = f"this machine has {memory:,} bytes of memory"
                hint = Hint("leave out the layers that need it, or use a larger machine")
            raise TooLargeError(
                f"{self._name(tensor)} has shape {tensor.shape} and takes {needed:,} bytes or more "
                f"for a batch of {rows}, and {allowed}",
                hint=hint,
            )
        self._checked = rows

    def _list_tensors(self) -> Iterator[tf.Tensor]:
        """Yield the tensors of the sub-graph, and of layers in loops, branches and functions."""
        for operation in self._function.graph.get_operations():
            yield from operation.outputs
        traced = self._cut.trace
        inner = [call for call in traced.calls if call.graph is not traced.graph]
        names = {node.name for node in nodes_run(self._definition)} if inner else set()
        for call in inner:
            for operation in call.graph.get_operations()[slice(*call.span)]:
                if operation.name in names:
                    yield from operation.outputs

    def _name(self, tensor: tf.Tensor) -> str:
        """Name a tensor, and the innermost layer whose operation gives it."""
        parts = tensor.op.name.split("/")
        scopes = {call.scope: call.address for call in self._cut.trace.calls if call.scope}
        ends = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
        owner = next((scopes[end] for end in ends if end in scopes), None)
        return str(tensor.name) if owner is None else f"{owner}: {tensor.name}"

    def _import(
        self,
        definition: tf.compat.v1.GraphDef,
        given: dict[str, tf.Tensor],
        handles: Mapping[str, tf.Tensor],
        values: Mapping[str, npt.NDArray[Any]],
    ) -> list[tf.Tensor]:
        """Import a graph into the present one, and give the fetches, after the updates ran.

        Args:
            definition: The graph.
            given: The tensors that come in, by their edges.
            handles: The resources that come in.
            values: The constants that come in.
        """
        capture = CAPTURE.find(tf.compat.v1.get_default_graph())
        given |= {edge: capture(outer) for edge, outer in handles.items()}
        given |= {edge: tf.constant(value) for edge, value in values.items()}
        consumed = {edge for node in definition.node for edge in node.input}
        computed = [edge for edge in self._cut.wanted if edge not in given]
        names = [edge if ":" in edge else f"{edge}:0" for edge in computed]
        imported = tf.graph_util.import_graph_def(
            definition,
            input_map={edge: tensor for edge, tensor in given.items() if edge in consumed},
            return_elements=[*names, *self._cut.updates],
            name="",
        )
        given |= dict(zip(computed, imported, strict=False))
        results = [given[edge] for edge in self._cut.wanted]
        if self._cut.updates:
            with tf.control_dependencies(imported[len(computed) :]):
                results = [tf.identity(result) for result in results]
        return cast(results, self.fetches)

    def _compute(self, arguments: Sequence[tf.Tensor], row: int) -> list[tf.Tensor]:
        key = [tf.constant(make_key(self._seed, row))] if self._draws else []
        try:
            self._check_size(next((a.shape[0] for a in arguments if a.shape.rank), None) or 1)
            with compiling(self._options):
                return list(self._function(*arguments, *key))
        except tf.errors.OpError as error:
            number = find_lifted(error.message)
            if number is None:
                raise
            raise UnevenError(self.fetches[number].address, number) from error
