"""What comparing two models costs over running both.

    python tests/benchmarks/bench_diff_models.py

Both models of a pair run over the same samples, all layers: one after the other with their values
thrown away, against `kprobe diff` of both without local errors; and what it holds beside them. What
the processor spends is that of all cores.
"""

from __future__ import annotations

import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import queue
from statistics import median

import keras
import numpy as np
from turns import ratio, take_turns_of_processor

from kprobe.analysis.comparison.matching import match_tensors
from kprobe.pipeline.comparing.compare_models import compare_models
from kprobe.pipeline.comparing.noise import measure_noise
from kprobe.pipeline.comparing.open_sides import open_sides
from kprobe.pipeline.comparing.spec import DiffSpec
from kprobe.pipeline.running.batches import compute_batches

ROWS = 64


def main() -> None:
    """Measure MobileNetV2 against a copy of it."""
    models = [keras.applications.MobileNetV2(weights=None) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    rows = np.random.default_rng(0).random((ROWS, 224, 224, 3), np.float32)
    spec = DiffSpec(local=False)
    with contextlib.ExitStack() as opened:
        sides = open_sides(*models, spec, {"inputs": rows, "layers": None}, opened)
        pairs = match_tensors(*([t.described for t in side.tensors] for side in sides)).pairs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def run_both() -> None:
            for side in sides:
                waits = {"reading": 0.0, "writing": 0.0}
                for _ in compute_batches(side.plan, 0, ROWS, waits, queue.Queue(maxsize=1)):
                    pass

        times, spent = take_turns_of_processor(
            5,
            {
                "running both": run_both,
                "comparing": lambda: compare_models(*sides, pairs, spec, None),
                "noise of the first, once": lambda: measure_noise(
                    sides[0].plan, sides[0].only_size
                ),
            },
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, seconds in times.items():
        print(f"{name}: {median(seconds):.2f} s, {median(spent[name]):.2f} s of the processor")
    for what, by_name in (("time", times), ("the processor's time", spent)):
        parts = zip(by_name["comparing"], by_name["noise of the first, once"], strict=True)
        rest = [whole - noise for whole, noise in parts]
        found = ratio(rest, by_name["running both"])
        print(f"comparing without noise, over running both: {found:.2f} of {what}")
    print(f"resident beside the models: {(peak - before) / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
