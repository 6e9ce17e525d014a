"""Run a model eagerly, for those whose Python can't be traced, and fetch what its calls gave."""

from __future__ import annotations

import contextlib
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.engines.engine import Engine, cast
from kprobe.errors import Hint, ModelError, Setting
from kprobe.saved_signature import SavedSignature
from kprobe.subgraph.state import State, holds_seed, make_key
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.composite import list_components, make_plain
from kprobe.trace.recording.model_inputs import call_model
from kprobe.trace.recording.recorder import Record
from kprobe.trace.recording.run_symbolically import describe_failure, number_calls
from kprobe.trace.recording.watch import recording
from kprobe.trace.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kprobe.engines.compute import Compute
    from kprobe.engines.engine import FetchSpec


def run_eagerly(
    model: Any,
    tensors: Mapping[str, tf.Tensor],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    *,
    training: bool = False,
) -> Trace:
    """Run a model eagerly, and record its calls under the addresses they have in a trace.

    Args:
        model: A built model of keras or tf_keras. It is left as it was.
        tensors: A batch for each input, by name.
        arrange: As for `trace`.
        training: As for `trace`.

    Returns:
        A trace without a graph: its tensors have their values already. Those of calls in loops
        are stacked, an axis for each loop in front.

    Raises:
        ModelError: The model's own code fails, or it is a graph and nothing else.
    """
    if isinstance(model, SavedSignature):
        raise ModelError(
            "a signature has no Python to run eagerly",
            hint=Hint("leave ", Setting("eager"), " out"),
        )
    state = _find_state(model, seed=0, stateful=False)
    try:
        return _run(model, tensors, arrange, training)
    finally:
        state.end()


def _run(
    model: Any,
    tensors: Mapping[str, tf.Tensor],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    training: bool,
) -> Trace:
    with recording(eager=True) as recorder:
        try:
            outputs = call_model(model, arrange(tensors), training=training)
        # What a layer's own code raises has no common class.
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"the model fails when it runs eagerly: {describe_failure(error)}"
            ) from error
    ragged: set[int] = set()
    for record in recorder.records:
        record.outputs = make_plain(record.outputs, ragged)
    return Trace(
        model=model,
        function=None,
        inputs=tensors,
        outputs=[tensor for tensor in list_components(outputs) if tensor is not None],
        calls=number_calls(_merge_iterations(recorder.records), model),
        ragged=ragged,
    )


def _find_state(model: Any, *, seed: int, stateful: bool) -> State:
    seeds = [variable for variable in model.variables if holds_seed(variable)]
    # The states of RNNs aren't among a model's variables.
    states = [
        variable
        for layer in FLATTEN_LAYERS.find(model)()
        for variable in tf.nest.flatten(getattr(layer, "states", None))
        if hasattr(variable, "assign")
    ]
    changing = [*model.non_trainable_variables, *states]
    return State(changing, dict(enumerate(seeds)), seed=seed, stateful=stateful)


class EagerEngine(Engine):
    """What gives some tensors of a model by running all of it eagerly, batch by batch."""

    def __init__(
        self,
        model: Any,
        specs: Mapping[str, tf.TensorSpec],
        arrange: Callable[[Mapping[str, tf.Tensor]], Any],
        fetches: Sequence[FetchSpec],
        compute: Compute,
    ) -> None:
        """Prepare the runs.

        Args:
            model: A built model of keras or tf_keras.
            specs: Shape (batch axis first) and dtype of the data for each input, by name.
            arrange: As for `trace`.
            fetches: What to fetch; the address of each is that of one tensor.
            compute: How it is to be computed.
        """
        self._model = model
        self._arrange = arrange
        self._training = compute.training
        self._seed = compute.seed
        super().__init__(
            fetches,
            specs,
            batch_size=next((spec.shape[0] for spec in specs.values()), None),
            state=_find_state(model, seed=compute.seed, stateful=compute.stateful),
        )

    @property
    def has_state(self) -> bool:
        """Always: the generators of Python and numpy are seeded before every batch."""
        return True

    def _compute(self, arguments: Sequence[tf.Tensor], row: int) -> list[tf.Tensor]:
        tensors = dict(zip(self.feeds, arguments, strict=True))
        with _seeded(int(make_key(self._seed, row)[0] >> np.uint64(33))):
            run = _run(self._model, tensors, self._arrange, self._training)
        addresses = [fetch.address for fetch in self.fetches]
        found = {fetch.address: fetch.tensor for fetch in find_fetches(run, addresses)}
        return cast([found[address] for address in addresses], self.fetches)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let everything that draws without a seed of its own draw from this one."""
    tf.random.set_seed(seed)
    python, arrays = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


def _merge_iterations(records: Sequence[Record]) -> list[Record]:
    """Make of the calls that loops make again and again one each, its tensors stacked."""
    keys: dict[int, Any] = {}
    iterations: dict[int, tuple[int, ...]] = {}
    groups: dict[Any, list[Record]] = defaultdict(list)
    counts: Counter[Any] = Counter()
    for record in records:
        parent = id(record.parent)
        place = (keys.get(parent), record.name, tuple(loop for loop, _ in record.loops))
        iterations[id(record)] = (
            *iterations.get(parent, ()),
            *(number for _, number in record.loops),
        )
        once = (place, iterations[id(record)])
        keys[id(record)] = (place, counts[once])
        counts[once] += 1
        groups[keys[id(record)]].append(record)
    merged: dict[Any, Record] = {}
    for key, group in groups.items():
        first = group[0]
        if first.parent is not None and keys[id(first.parent)] not in merged:
            continue
        if _is_dry_run(first, records):
            continue
        record = Record(
            layer=first.layer,
            name=first.name,
            parent=None if first.parent is None else merged[keys[id(first.parent)]],
            graph=first.graph,
            inputs=_stack([r.inputs for r in group], [iterations[id(r)] for r in group]),
            outputs=_stack([r.outputs for r in group], [iterations[id(r)] for r in group]),
            masks=_stack([r.masks for r in group], [iterations[id(r)] for r in group]),
            scores=_stack([r.scores for r in group], [iterations[id(r)] for r in group]),
            is_input=first.is_input,
        )
        merged[key] = record
    return list(merged.values())


def _is_dry_run(record: Record, records: Sequence[Record]) -> bool:
    """Tell whether an RNN called its cell only to learn what it gives, ahead of the loop."""
    if record.parent is None or getattr(record.parent.layer, "cell", None) is not record.layer:
        return False
    return not record.loops and any(
        other.loops and other.parent is record.parent and other.layer is record.layer
        for other in records
    )


def _stack(structures: Sequence[Any], iterations: Sequence[tuple[int, ...]]) -> Any:
    """Stack the tensors of all iterations, with an axis in front for each loop."""
    if not iterations[0]:
        return structures[0]
    if len({len(tf.nest.flatten(structure)) for structure in structures}) > 1:
        return None
    lengths = [len({numbers[axis] for numbers in iterations}) for axis in range(len(iterations[0]))]
    complete = np.prod(lengths) == len(structures)

    def stack(*tensors: Any) -> Any:
        if not isinstance(tensors[0], tf.Tensor):
            return tensors[0]
        if len({tuple(tensor.shape) for tensor in tensors}) > 1:
            return None  # such iterations can't be put together: the call has no tensor
        stacked = tf.stack(tensors)
        # Where branches skip some iterations, those there are follow each other.
        return tf.reshape(stacked, [*lengths, *tensors[0].shape]) if complete else stacked

    return tf.nest.map_structure(stack, *structures)
