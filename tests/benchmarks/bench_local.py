"""Whether a planted fault shows in its layer alone, and what local errors cost.

MobileNetV2 of both Kerases, with seeded random weights made here; nothing is downloaded. A fault is
one weight of a kernel moved by 1e-3 of the largest, a kernel larger by 0.1 %, or another epsilon.
The table says in how many layers there is a local error, which they are, and where the running
error is largest. Times are of candidates run in turn. Takes about four minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import resource
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tf_keras
from turns import ratio, take_turns_of_processor

from kprobe.engines.engine import FetchSpec
from kprobe.pipeline.comparing.local import LocalErrors, LocalPair, LocalSide
from kprobe.pipeline.planning.job import Job, make_parts
from kprobe.pipeline.planning.plan_session import plan_session
from kprobe.session.loading import load
from kprobe.session.open_session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

KERASES = {"Keras 3": keras, "Keras 2": tf_keras}
ROWS = 2


def main() -> None:
    """Run the benchmarks and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    images = np.random.default_rng(0).normal(size=(ROWS, 224, 224, 3)).astype("float32")
    for name, library in KERASES.items():
        a, b = make_model(library), make_model(library)
        b.set_weights(a.get_weights())
        sides = make_side(a, images), make_side(b, images)
        print(f"MobileNetV2 of {name}:")
        for layer, change in FAULTS:
            weights, epsilon = b.get_weights(), getattr(b.get_layer(layer), "epsilon", None)
            change(b.get_layer(layer))
            if epsilon is not None:  # which is in the graph
                sides = sides[0], make_side(b, images)
            print_row(f"{change.__name__} {layer}", *sides, images)
            b.set_weights(weights)
            if epsilon is not None:
                b.get_layer(layer).epsilon = epsilon
                sides = sides[0], make_side(b, images)
        bench_cost(*sides, images, options.rounds)
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def make_model(library: Any) -> Any:
    """Make MobileNetV2 with weights that follow from a seed."""
    model = library.applications.MobileNetV2(weights=None)
    draw = np.random.default_rng(0)
    weights = []
    for weight in model.get_weights():
        if weight.ndim > 1:
            # A depthwise kernel has one channel for each result.
            taken = np.prod(weight.shape[:-2] if weight.shape[-1] == 1 else weight.shape[:-1])
            weight = draw.normal(0, (2 / float(taken)) ** 0.5, weight.shape)
        weights.append(weight.astype("float32"))
    model.set_weights(weights)
    return model


def change_one(layer: Any) -> None:
    """Move the largest weight of a kernel by 1e-3."""
    kernel, *rest = layer.get_weights()
    kernel[np.unravel_index(np.abs(kernel).argmax(), kernel.shape)] *= 1.001
    layer.set_weights([kernel, *rest])


def change_all(layer: Any) -> None:
    """Make a kernel larger by 0.1 %."""
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel * np.float32(1.001), *rest])


def change_epsilon(layer: Any) -> None:
    """Take 0.01 for 0.001."""
    layer.epsilon = 0.01


FAULTS: list[tuple[str, Callable[[Any], None]]] = [
    ("Conv1", change_one),
    ("block_3_depthwise", change_one),
    ("block_6_expand", change_all),
    ("block_13_project", change_one),
    ("predictions", change_all),
    ("block_2_expand_BN", change_epsilon),
    ("block_10_depthwise_BN", change_epsilon),
]


def make_side(model: Any, images: np.ndarray[Any, Any]) -> tuple[LocalSide, list[str], list[int]]:
    """Plan all layers of a model: the side, and the name and bytes of each tensor."""
    settings = {"model": model, "layers": None, "inputs": images}
    job = Job(**make_parts(settings, "model", "samples", "selection", "compute"))
    with contextlib.ExitStack() as opened:
        loaded = load(job.model, job.compute)
        session, samples = open_session(loaded, job.compute, job.samples, opened)
        plan = plan_session(job, session, samples, {}, opened)
        names = [str(column.name) for column in plan.fetched]
        sizes = [column.row_bytes for column in plan.fetched]
        return LocalSide(session, plan.computation), names, sizes


def make_local(a: Any, b: Any, **options: Any) -> LocalErrors:
    """Make local errors of two sides that have the same layers."""
    pairs = [LocalPair(n, n, size) for n, size in enumerate(a[2])]
    return LocalErrors(a[0], b[0], pairs, batch_size=ROWS, **options)


def name_inputs(images: np.ndarray[Any, Any], *sides: Any) -> list[dict[str, Any]]:
    """Give the images for the input of each side."""
    return [{next(iter(side[0].session.specs)): images} for side in sides]


def print_row(fault: str, a: Any, b: Any, images: np.ndarray[Any, Any]) -> None:
    """Run a fault, and print where it shows."""
    local = make_local(a, b)
    batches = name_inputs(images, a, b)
    unequal = local.check_closure(*batches)
    errors, running = {}, {}
    for rows in itertools.chain.from_iterable(local.run(*batches)):
        name = a[1][rows.pair]
        running[name] = measure(rows.a, rows.b)
        if rows.own_a is not None:
            errors[name] = measure(rows.own_a, rows.own_b)
    born = {name: f"{error:.1e}" for name, error in errors.items() if error}
    largest = max(running, key=running.__getitem__)
    print(
        f"  {fault:40} local error in {len(born)} of {len(errors)}: {born}; running in "
        f"{sum(map(bool, running.values()))}, largest in {largest}; not closed {len(unequal)}"
    )


def measure(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Give the RMS of a difference over the standard deviation."""
    return float(np.sqrt(np.mean((b - a).astype("float64") ** 2)) / (a.std() or 1))


def bench_cost(a: Any, b: Any, images: np.ndarray[Any, Any], rounds: int) -> None:
    """Time local errors, in one group and in several, beside plain runs of all layers."""
    batches = name_inputs(images, a, b)
    plain = []
    for side, *_ in (a, b):
        fetches = [FetchSpec(f.address, f.tensor) for f in side.computation.engine.fetches]
        session = side.session.recompute(exact=True)
        plain.append(session.make_engine(fetches, frozen=False))
    whole, grouped = make_local(a, b), make_local(a, b, memory=100 << 20)
    times, spent = take_turns_of_processor(
        rounds,
        {
            "one side": lambda: plain[0](batches[0]),
            "both sides": lambda: [run(given) for run, given in zip(plain, batches, strict=True)],
            "both and local": lambda: list(whole.run(*batches)),
            "in groups": lambda: [None for _ in grouped.run(*batches)],
        },
    )
    for name, seconds in times.items():
        print(f"  {name:16} {sorted(seconds)[len(seconds) // 2]:.3f} s", end="")
        print(f", {ratio(seconds, times['one side']):.2f} of one side", end="")
        print(f", {ratio(spent[name], spent['one side']):.2f} of its processor's time")


if __name__ == "__main__":
    main()
