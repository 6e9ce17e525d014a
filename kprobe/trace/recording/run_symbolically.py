"""Run a model symbolically, once, and make its trace of what was recorded."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.compat.keras_names import FUNCTIONAL, INBOUND_NODES, NODES_BY_DEPTH
from kprobe.errors import Hint, KprobeError, ModelError, Setting
from kprobe.models.layer_names import find_step, list_inside
from kprobe.saved_signature import SavedSignature
from kprobe.trace.recording.composite import list_components, make_plain
from kprobe.trace.recording.dropped import Sorting, describe_uncalled
from kprobe.trace.recording.graph_mode import is_graph_mode, trace_session
from kprobe.trace.recording.model_inputs import call_model
from kprobe.trace.recording.run_signature import run_signature
from kprobe.trace.recording.watch import recording
from kprobe.trace.trace import Trace, TracedCall

if TYPE_CHECKING:
    from kprobe.trace.recording.recorder import Record

# How TensorFlow refuses the name of a layer.
_SCOPE_FORBIDDEN = re.compile(r"'([^'\n]{1,200})' is not a valid (?:root )?scope name")
_RUNS_EAGERLY = Hint(Setting("eager", True), " runs it all the same")


@eagerly
def trace(
    model: Any,
    specs: Mapping[str, tf.TensorSpec],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    *,
    training: bool = False,
) -> Trace:
    """Run a built model symbolically, once, and record its layer calls.

    Args:
        model: A built model of keras or tf_keras, or a SavedSignature. It is left as it was.
        specs: Shape (batch axis first) and dtype of the data for each input, by name.
        arrange: Gives, from the placeholder of each input, the model's first argument; what it
            computes on the way (a cast, preprocessing) becomes a part of the graph.
        training: Whether the layers are to behave as in training: dropout active, statistics
            of the batch.

    Returns:
        The trace.

    Raises:
        ModelError: A layer's own code fails on such inputs.
    """
    if is_graph_mode(model):
        return _trace_session(model, specs, arrange, training)
    names = list(specs)
    outputs: list[Any] = []

    def run(*tensors: tf.Tensor) -> Any:
        given = arrange(dict(zip(names, tensors, strict=True)))
        if isinstance(model, SavedSignature):
            outputs[:] = run_signature(model, given, recorder, training=training)
        else:
            called = call_model(model, given, training=training, recorder=recorder)
            outputs[:] = list_components(called)
        return outputs

    with recording() as recorder:
        try:
            # A tf.function, since it puts reads and writes of a variable in their order: a seed
            # that is drawn from twice is another one the second time.
            function = tf.function(run, autograph=False).get_concrete_function(
                *(tf.TensorSpec(spec.shape, spec.dtype) for spec in specs.values())
            )
        except KprobeError:
            raise
        # What a layer's own code raises has no common class, and it may end the program.
        except (Exception, SystemExit) as error:
            raise _explain_failure(error) from error
    _check_names(function.graph)
    result = Trace(
        model=model,
        function=function,
        inputs=dict(zip(names, function.graph.inputs[: len(names)], strict=True)),
        outputs=[tensor for tensor in outputs if tensor is not None],
        calls=[],
    )
    return _sort(recorder.records, result)


def _check_names(graph: tf.Graph) -> None:
    for operation in graph.get_operations():
        # Scopes may have one, operations in a graph's definition may not.
        if "\\" in operation.name:
            raise _explain_name(next(part for part in operation.name.split("/") if "\\" in part))


def _explain_failure(error: BaseException) -> ModelError:
    if name := _SCOPE_FORBIDDEN.search(str(error)):
        return _explain_name(name[1].removesuffix("/"))
    return ModelError(f"the model can't be traced: {describe_failure(error)}", hint=_RUNS_EAGERLY)


def _explain_name(name: str) -> ModelError:
    return ModelError(
        f"the model can't be traced: expected names of English letters, digits, and . _ - > which "
        f"TensorFlow allows in a graph, received {name!r}",
        hint=_RUNS_EAGERLY,
    )


def _trace_session(
    model: Any,
    specs: Mapping[str, tf.TensorSpec],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    training: bool,
) -> Trace:
    """Copy a model that was built with eager execution off out of its session's graph."""
    session = trace_session(model, specs, arrange, training=training)
    result = Trace(
        model=model,
        function=session.function,
        inputs=dict(zip(specs, session.function.graph.inputs, strict=False)),
        outputs=session.outputs,
        calls=[],
        variables=session.variables,
        framed=session.framed,
        origin=model.outputs[0].graph,
    )
    return _sort(session.records, result)


def _sort(records: Sequence[Record], result: Trace) -> Trace:
    """Give a trace its calls, and those that have no tensor."""
    sorting = Sorting(records, result)
    kept = sorting.keep()
    for record in kept:
        record.outputs = make_plain(record.outputs, result.ragged, result.graph)
    result.calls.extend(number_calls(kept, result.model))
    addressed = zip([r for r in kept if r.parent is not None], result.calls, strict=True)
    result.dropped.extend(sorting.describe(addressed))
    if not isinstance(result.model, SavedSignature):
        uncalled = describe_uncalled(result.model, result.calls, result.dropped)
        result.dropped.extend(uncalled)
    return result


def describe_failure(error: BaseException) -> str:
    """Give the class of what a model's own code raised, and the line that says what."""
    # A KeyError writes its message as Python would, on one line.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line] or [""]
    # Keras puts the layer in front, and the arguments behind.
    match = re.match("Exception encountered when calling (.*?)[.]?$", said[0])
    if match and len(said) > 1:
        before = error.__context__
        # Of an error of the system it takes the number alone; the first one has the words.
        if isinstance(error, OSError) and isinstance(before, OSError) and before.strerror:
            where = "" if before.filename is None else f": {before.filename}"
            return f"{type(error).__name__} in {match[1]}: {before.strerror}{where}"
        return f"{type(error).__name__} in {match[1]}: {said[1]}"
    return f"{type(error).__name__}: {said[0]}"


def number_calls(records: Sequence[Record], model: Any) -> list[TracedCall]:
    """Give each call its path, counting the calls of each name within their enclosing call."""
    names = {id(record): _name(record) for record in records}
    totals = Counter((id(record.parent), names[id(record)]) for record in records)
    positions = {id(layer): i for i, layer in enumerate(getattr(model, "layers", []))}
    find_place = _find_places()
    places: dict[int, tuple[int | None, ...]] = {}
    steps: dict[int, tuple[tuple[str, int | None], ...]] = {}
    counts: Counter[tuple[int, str]] = Counter()
    orders: dict[tuple[int, int], list[int]] = {}
    calls = []
    for record in records:
        if record.parent is None:
            steps[id(record)], places[id(record)] = (), ()
            continue
        name = names[id(record)]
        key = (id(record.parent), name)
        number = counts[key]
        counts[key] += 1
        if totals[key] > 1 and not (record.parent.layer is model and is_graph_mode(model)):
            pair = id(record.parent.layer), id(record.layer)
            if pair not in orders:
                orders[pair] = _find_order(record.parent.layer, record.layer)
            order = orders[pair]
            number = order[number] if len(order) == totals[key] else number
        step = (name, number if totals[key] > 1 else None)
        path = (*steps[id(record.parent)], step)
        steps[id(record)] = path
        place = find_place(record.layer, record.parent.layer)
        places[id(record)] = (*places[id(record.parent)], place)
        outputs = _flat(record.outputs)
        flat = tf.nest.flatten(record.outputs)
        masks = {id(tensor): mask for tensor, mask in zip(flat, record.masks, strict=False)}
        calls.append(
            TracedCall(
                steps=path,
                class_name=type(record.layer).__name__,
                position=positions.get(id(record.layer)) if len(path) == 1 else None,
                inputs=record.inputs,
                outputs=outputs,
                masks=[(k, m) for k, t in outputs if (m := masks.get(id(t))) is not None],
                scores=record.scores,
                graph=record.graph,
                scope=record.scope,
                span=record.span,
                layer=record.layer,
                is_input=record.is_input,
                places=places[id(record)],
            )
        )
    return calls


def _find_places() -> Callable[[Any, Any], int | None]:
    """Give what finds the place of a layer among those in another one, each list made once."""

    @functools.cache
    def list_places(around: int) -> dict[int, int]:
        return {id(layer): place for place, layer in enumerate(list_inside(held[around]))}

    held: dict[int, Any] = {}

    def find(layer: Any, around: Any) -> int | None:
        held[id(around)] = around
        return list_places(id(around)).get(id(layer))

    return find


def _name(record: Record) -> str:
    """Give what a call's layer is called in addresses."""
    return record.name if record.parent is None else find_step(record.layer, record.parent.layer)


def _find_order(model: Any, layer: Any) -> list[int]:
    """Give, for each call of a layer that a functional model makes, its number in the model.

    They are made by depth, while `get_output_at` and the model's file count them in the order in
    which the model was put together. (With eager execution off that is when they were recorded.)
    """
    network = FUNCTIONAL.read(model) or model
    by_depth = NODES_BY_DEPTH.read(network, {})
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    own = [n for n in nodes if getattr(n, "operation", getattr(n, "layer", None)) is layer]
    made = {id(node): number for number, node in enumerate(INBOUND_NODES.read(layer, ()))}
    places = sorted(made[id(node)] for node in own)
    ranks = {place: number for number, place in enumerate(places)}
    return [ranks[made[id(node)]] for node in own]


def _flat(outputs: Any) -> list[tuple[int | str | None, tf.Tensor]]:
    """The tensors of a layer's output, each under its key."""
    if isinstance(outputs, tf.Tensor):
        return [(None, outputs)]
    return list(_parts(outputs))


def _parts(outputs: Any) -> Iterator[tuple[int | str, tf.Tensor]]:
    if isinstance(outputs, Mapping):
        for key, part in outputs.items():
            inner = _flat(part)
            for number, tensor in inner:
                yield (str(key) if number is None else f"{key}.{number}"), tensor
    else:
        for number, tensor in enumerate(tf.nest.flatten(outputs)):
            if isinstance(tensor, tf.Tensor):
                yield number, tensor
