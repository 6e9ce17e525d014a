"""What is recorded of a layer's call, and the recorder that collects the calls of one trace."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.attention_scores import scores_noted
from kprobe.compat.keras_names import HISTORY, MASK
from kprobe.compat.layer_calls import inner_calls_replaced
from kprobe.compat.tensorflow_names import OPERATION_NUMBER, OUTER_GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(eq=False)
class Record:
    """One call of a layer or operation during a trace.

    Attributes:
        layer: The Keras layer or operation; for an input, the input layer.
        name: Its name.
        parent: The enclosing call; None for the model's own call.
        graph: The graph the call ran in.
        inputs: The tensors that went in, flat, in the order of the arguments.
        outputs: What came out: a tensor, None, or a structure of them.
        masks: The mask of each output, flat, None where there is none, as the layer returned them.
        scores: The scores of a layer with attention, as it multiplies the values by them.
        scope: The name scope of its operations; "" for none.
        span: The positions in `graph` of the operations the call created, as a half-open range.
        scopes: The name scopes it was called in, of its graph and of those around it.
        is_input: Whether this stands for an input of a functional model: it isn't called, it is
            what the enclosing call was given.
        loops: When a model runs eagerly, for each loop of the enclosing call around this one, the
            loop's number there and the iteration.
    """

    layer: Any
    name: str
    parent: Record | None
    graph: tf.Graph
    inputs: list[tf.Tensor]
    outputs: Any = None
    masks: Sequence[Any] = ()
    scores: Any = None
    scope: str = ""
    span: tuple[int, int] = (0, 0)
    scopes: Sequence[str] = ()
    is_input: bool = False
    loops: tuple[tuple[int, int], ...] = ()

    def note_masks(self) -> None:
        """Note the masks that the outputs have at this moment."""
        self.masks = [MASK.read(tensor) for tensor in tf.nest.flatten(self.outputs)]

    def note_scores(self, scores: Any) -> None:
        """Note the scores of the call's attention."""
        self.scores = scores


@dataclass(eq=False)
class Recorder:
    """Collects the calls of one trace; `records` is in the order in which the calls began.

    Attributes:
        eager: Whether the calls of a model that runs eagerly are meant, not those of a trace.
    """

    eager: bool = False
    records: list[Record] = field(default_factory=list)
    _open: list[Record] = field(default_factory=list)
    _loops: list[tuple[int, int]] = field(default_factory=list)
    _counts: Counter[tuple[int, tuple[tuple[int, int], ...]]] = field(default_factory=Counter)

    def run(
        self, layer: Any, call: Callable[..., Any], args: Any, kwargs: Any, *, scoped: bool
    ) -> Any:
        """Run `call` as a call of `layer` and record it; outside graphs, just run it.

        Args:
            layer: The layer or operation.
            call: What to run.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            scoped: Whether the layer's name scope is open already; else the call opens it.
        """
        if tf.executing_eagerly() is not self.eager:
            return call(*args, **kwargs)
        graph = tf.compat.v1.get_default_graph()
        parent = self._open[-1] if self._open else None
        if parent is not None and not _belongs(layer, parent.layer):
            return call(*args, **kwargs)
        given = _tensors((args, kwargs), variables=self.eager)
        record = Record(layer, layer.name, parent, graph, given)
        record.scopes = [around.get_name_scope() for around in graphs_around(graph)]
        record.loops = tuple(self._loops)
        self.records.append(record)
        begin = graph.version
        outer = graph.get_name_scope()
        self._open.append(record)
        around, self._loops = self._loops, []
        try:
            self._record_inputs(record, args, kwargs)
            with (
                inner_calls_replaced(layer, self._run_inner),
                scores_noted(layer, record.note_scores),
            ):
                outputs = call(*args, **kwargs)
        finally:
            self._open.pop()
            self._loops = around
        record.outputs = _give_own_tensors(outputs, record.inputs)
        record.note_masks()
        record.span = (begin, graph.version)
        record.scope = outer if scoped else _find_scope(record, outer)
        return record.outputs

    @contextlib.contextmanager
    def inside(self, model: Any) -> Iterator[None]:
        """Record what runs inside the block as called by a model, called itself or not."""
        own = (r for r in self.records if r.layer is model and r.parent is None)
        record = next(own, None)
        if record is None:
            record = Record(model, model.name, None, tf.compat.v1.get_default_graph(), [])
            self.records.append(record)
        self._open.append(record)
        try:
            yield
        finally:
            self._open.pop()

    def note_masks(self, layer: Any, outputs: Any) -> None:
        """Note the masks that a layer's call returns, if it was recorded.

        Keras 3 sets them behind the part of the call that is recorded, and layers of attention
        take them away again from what they are given.
        """
        record = next((r for r in reversed(self.records) if r.layer is layer), None)
        if record is not None and record.outputs is outputs:
            record.note_masks()

    @property
    def innermost(self) -> Any:
        """The layer of the innermost running call; None outside of all."""
        return self._open[-1].layer if self._open else None

    def add_input(self, layer: Any, tensor: tf.Tensor) -> None:
        """Record what the innermost running call was given under the name of an input layer."""
        around = self._open[-1]
        record = Record(layer, layer.name, around, around.graph, [], tensor, is_input=True)
        record.note_masks()
        self.records.append(record)

    def run_loop(self, loop: Callable[..., Any], body: Callable[..., Any]) -> Any:
        """Run a loop eagerly and count its iterations.

        Args:
            loop: What runs it, given its body.
            body: The body.
        """
        place = (id(self._open[-1]) if self._open else 0, tuple(self._loops))
        number = self._counts[place]
        self._counts[place] += 1
        iterations = itertools.count()

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._loops.append((number, next(iterations)))
            try:
                return body(*args, **kwargs)
            finally:
                self._loops.pop()

        return loop(counted)

    def _run_inner(
        self, layer: Any, call: Callable[..., Any], args: Any, kwargs: Any, *, scoped: bool
    ) -> Any:
        """Run a call that a wrapper makes past `__call__`, unless it is one that is recorded."""
        if self.innermost is layer:
            return call(*args, **kwargs)
        return self.run(layer, call, args, kwargs, scoped=scoped)

    def _record_inputs(self, record: Record, args: Any, kwargs: Any) -> None:
        """Record what a functional model was given under the names of its input layers."""
        symbols = getattr(record.layer, "inputs", None)
        if not isinstance(symbols, list):
            return
        first = args[0] if args else kwargs.get("inputs")
        kinds = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)
        if isinstance(first, Mapping):
            # Its order is that of its keys, the model's that of its inputs.
            names = [HISTORY.find(symbol)[0].name for symbol in symbols]
            given = [first.get(name) for name in names]
        else:
            given = tf.nest.flatten(first)
        if len(symbols) != len(given):
            given = [value for value in given if isinstance(value, kinds)]
        if len(symbols) != len(given):
            return
        for symbol, tensor in zip(symbols, given, strict=True):
            # In the place of an optional input that isn't given there is None.
            if isinstance(tensor, kinds) and HISTORY.is_in(symbol):
                self.add_input(HISTORY.find(symbol)[0], tensor)


def _belongs(operation: Any, enclosing: Any) -> bool:
    """Tell a layer, or a node of a functional graph, from what keras.ops makes as it goes.

    `keras.ops.pad(x)` inside a layer is an Operation of an invented name that is called once.
    """
    if hasattr(operation, "weights"):
        return True
    return any(operation is node for node in getattr(enclosing, "operations", ()))


def _give_own_tensors(outputs: Any, inputs: list[tf.Tensor]) -> Any:
    """Replace outputs that are an input itself by a copy in the graph, its mask kept.

    A layer that passes its input on (dropout in inference, a linear activation) has no tensor
    of its own otherwise, and couldn't be told from the layer before it.
    """
    given = {id(tensor) for tensor in inputs}

    def own(output: Any) -> Any:
        if id(output) not in given:
            return output
        copy = tf.identity(output)
        mask = MASK.read(output)
        if mask is not None:
            MASK.write(copy, mask)
        return copy

    if outputs is None or not any(id(t) in given for t in tf.nest.flatten(outputs)):
        return outputs
    return tf.nest.map_structure(own, outputs)


def _find_scope(record: Record, outer: str) -> str:
    """Find the scope that a call opened, from the names of the operations in it."""
    prefix = f"{outer}/" if outer else ""
    pattern = re.compile(re.escape(prefix) + re.escape(record.name) + r"(_\d+)?(?=/)")
    # Usually that of its outputs tells it: a graph makes a list of all its operations each time.
    given = [t.op for t in tf.nest.flatten(record.outputs) if tf.is_symbolic_tensor(t)]
    for operation in given:
        match = pattern.match(operation.name) if operation.graph is record.graph else None
        # A graph numbers its source 0 and its sink 1 (tensorflow/core/graph/graph.h).
        if match and OPERATION_NUMBER.find(operation) - 2 in range(*record.span):
            return match[0]
    for operation in record.graph.get_operations()[slice(*record.span)]:
        match = pattern.match(operation.name)
        if match:
            return match[0]
    return outer


def graphs_around(graph: tf.Graph) -> Iterator[tf.Graph]:
    """Give a graph, then the one it is traced from, and so on outwards."""
    while graph is not None:
        yield graph
        graph = OUTER_GRAPH.read(graph)


def _tensors(structure: Any, *, variables: bool = False) -> list[tf.Tensor]:
    """Give the tensors in a structure, and where asked the values of variables."""
    return [
        t if isinstance(t, tf.Tensor) else tf.convert_to_tensor(t)
        for t in tf.nest.flatten(structure)
        if isinstance(t, tf.Tensor) or (variables and hasattr(t, "assign"))
    ]
