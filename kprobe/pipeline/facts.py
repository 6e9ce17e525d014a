"""What is known of a dump before it runs, for whoever finds it later."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

import kprobe
from kprobe.graph.signature import library_of
from kprobe.pipeline.provenance import record_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.graph.preprocessing import Preprocessing
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.job import Job


def collect_facts(
    job: Job, model: Any, addresses: Sequence[str], samples: Samples
) -> dict[str, Any]:
    """Collect attributes of the dump: versions, the model, addresses, samples, options.

    Args:
        job: The job.
        model: The loaded model.
        addresses: All that is stored.
        samples: The samples.
    """
    library = library_of(model)
    preprocessing = {name: _given(choice) for name, choice in job.preprocessing.items()}
    # Elsewhere the number of rows tells.
    limit = {"limit": job.limit} if samples.rows is None and job.limit is not None else {}
    return {
        **limit,
        "kprobe_version": kprobe.__version__,
        "keras": f"{library.__name__} {library.__version__}",
        "tensorflow_version": tf.__version__,
        "model": getattr(job.model, "name", None) or Path(job.model).name,
        "addresses": list(addresses),
        "inputs": json.dumps(samples.identity()),
        "weights": "" if job.weights is None else Path(job.weights).name,
        "random": samples.random,
        "seed": job.seed,
        "job": record_job(job),
        "options": json.dumps(
            {
                "dtype": job.dtype,
                "device": job.device,
                "precision": job.precision,
                "exact": job.exact,
                "training": job.training,
                "stateful": job.stateful,
                "eager": job.eager,
                "feeds": list(job.feeds),
                "preprocessing": preprocessing,
                "arguments": {name: repr(value) for name, value in job.arguments.items()},
                "random_weights": job.random_weights,
            }
        ),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _given(choice: Preprocessing) -> dict[str, Any]:
    return {name: value for name, value in asdict(choice).items() if value is not None}
