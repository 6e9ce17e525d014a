"""The variables of a session's graph, as variables that live outside of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.keras_names import INITIALIZED, INITIALIZED_SESSION, SESSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.trace.recording.recorder import Record


# Those above are initialised one by one.
_LARGE_BYTES = 16 << 20


def initialize_large(model: Any) -> None:
    """Initialise a model's large variables one by one, where the Keras session hasn't done it.

    Keras runs all initialisers at once, and the session holds twice the memory of the model then.
    """
    graph = model.outputs[0].graph
    with graph.as_default():
        large = [
            variable
            for variable in model.variables
            if variable.graph is graph and variable.initializer is not None
            if (variable.shape.num_elements() or 0) * variable.dtype.size >= _LARGE_BYTES
            if not INITIALIZED.read(variable, False)
        ]
        if not large:
            return
        # `get_session` initialises all.
        session = SESSION.find()()
        there = session.run([tf.compat.v1.is_variable_initialized(v) for v in large])
        for variable, initialized in zip(large, there, strict=True):
            if not initialized:
                session.run(variable.initializer)


def find_variables(
    graph: tf.Graph, names: Iterable[str], records: Iterable[Record]
) -> dict[str, tf.Operation]:
    """Give the operations of variables, by name: of those named, and of those that layers own."""
    owned = [v for record in records for v in getattr(record.layer, "variables", ())]
    every = [*names, *(v.op.name for v in owned if v.graph is graph)]
    return {name: graph.get_operation_by_name(name) for name in every}


def take_values(graph: tf.Graph, operations: Mapping[str, tf.Operation]) -> dict[str, tf.Variable]:
    """Give variables with the values that the Keras session has; on a CPU they share its memory.

    Args:
        graph: The session's graph. An operation that reads the variables is added to it.
        operations: The operations of the session's variables, by name.

    Returns:
        The variables by the same names, without those that the session hasn't initialised.
    """
    with graph.as_default():
        session = INITIALIZED_SESSION.find()()
        reads = {name: _read(operation) for name, operation in operations.items()}
        try:
            values = dict(zip(reads, _take(session, list(reads.values())), strict=True))
        except tf.errors.FailedPreconditionError:
            # Each run of a graph that was added to takes seconds where it is large.
            there = session.run([_is_initialized(operations[name]) for name in reads])
            names = [name for name, initialized in zip(reads, there, strict=True) if initialized]
            taken = _take(session, [reads[name] for name in names])
            values = dict(zip(names, taken, strict=True))
    return {name: tf.Variable(value, trainable=False, name=name) for name, value in values.items()}


def _read(operation: tf.Operation) -> tf.Tensor:
    (output,) = operation.outputs
    if operation.type != "VarHandleOp":
        return output
    for read in output.consumers():
        if read.type == "ReadVariableOp" and not read.control_inputs:
            return read.outputs[0]
    return tf.raw_ops.ReadVariableOp(resource=output, dtype=operation.get_attr("dtype"))


def _is_initialized(operation: tf.Operation) -> tf.Tensor:
    (output,) = operation.outputs
    if operation.type == "VarHandleOp":
        return tf.raw_ops.VarIsInitializedOp(resource=output)
    return tf.raw_ops.IsVariableInitialized(ref=output)


def _take(session: tf.compat.v1.Session, reads: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Read variables without copying them.

    What `Session.run` gives is a copy, but a Python function that the session runs gets the
    memory itself. What writes to the one or the other variable afterwards copies it first.
    """
    values: list[tf.Tensor] = []
    session.run(tf.py_function(lambda *tensors: values.extend(tensors), reads, []))
    taken = list(values)
    values.clear()  # the graph keeps the function
    return taken
