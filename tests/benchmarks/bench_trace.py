"""How long it takes to trace a model and to look addresses up in the trace.

Ratios are of candidates run in turn, in one process, and the medians of the rounds. Models have
random weights and are made here; nothing is downloaded. Takes about three minutes on two cores.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from turns import ratio, take_turns

from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace
from kprobe.trace.search import search_upstream

if TYPE_CHECKING:
    from kprobe.trace.trace import Trace

OPERATIONS = 100_000


@keras.saving.register_keras_serializable(package="bench")
class Chain(keras.layers.Layer):
    """As many operations as are wanted, one after the other."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Change the sign."""
        for _ in range(OPERATIONS):
            x = tf.raw_ops.Neg(x=x)
        return x


def main() -> None:
    """Run the benchmarks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bench_recording(options.rounds)
    bench_looking_up(options.rounds)


def bench_recording(rounds: int) -> None:
    """A trace that records every call, against a trace that records nothing."""

    def prepare() -> tuple[keras.Model]:
        keras.backend.clear_session()
        return (keras.applications.ResNet50(weights=None),)

    times = take_turns(rounds, {"bare": trace_bare, "recorded": trace_recorded}, prepare)
    print(
        f"trace of ResNet50: {statistics.median(times['recorded']):.2f} s, "
        f"{ratio(times['recorded'], times['bare']):.2f} of a trace without recording "
        f"({statistics.median(times['bare']):.2f} s)"
    )


def trace_bare(model: keras.Model) -> object:
    """Trace a model with one input as anyone would."""
    spec = next(iter(read_signature(model).values()))
    run = tf.function(lambda x: model(x, training=False), autograph=False)
    return run.get_concrete_function(tf.TensorSpec(spec.shape, spec.dtype))


def trace_recorded(model: keras.Model) -> Trace:
    """Trace a model as kprobe does."""
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))


def bench_looking_up(rounds: int) -> None:
    """One operation among 100,000, by its name, by a glob and by a search from the outputs.

    Each begins with what tracing left, and remembers nothing of the last one.
    """
    row = keras.Input((4,))
    model = keras.Model(row, Chain(name="chain")(row))
    began = time.perf_counter()
    traced = trace_recorded(model)
    tracing = time.perf_counter() - began
    operations = traced.graph.get_operations()
    middle = operations[len(operations) // 2].name
    name = middle.rpartition("/")[2]
    times = take_turns(
        rounds,
        {
            "name": lambda trace: find_fetches(trace, [f"chain//{name}"]),
            "glob": lambda trace: find_fetches(trace, [f"chain//*{name[1:]}"]),
            "graph": lambda trace: find_fetches(trace, [f"//{middle}"]),
            "search": lambda trace: search_upstream(trace, f"{name}$"),
        },
        lambda: (copy.copy(traced),),
    )
    print(f"trace of {len(operations):,} operations: {tracing:.1f} s; to find one of them")
    for candidate, label in {
        "name": f"chain//{name}",
        "glob": f"chain//*{name[1:]}",
        "graph": f"//{middle}",
        "search": f"kprobe find {name}$",
    }.items():
        seconds = statistics.median(times[candidate])
        print(f"  {label}: {seconds:.2f} s, {seconds / tracing:.3f} of tracing")


if __name__ == "__main__":
    main()
