"""What is known of a dump before it runs, for those who find it later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.pipeline.planning.provenance import record_job
from kprobe.trace.recording.model_inputs import library_of
from kprobe.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.job import Job
    from kprobe.preprocessing import Preprocessing
    from kprobe.session.session import Session
    from kprobe.subgraph.selection import Selection


def collect_facts(
    job: Job, session: Session, addresses: Sequence[str], samples: Samples
) -> dict[str, Any]:
    """Collect attributes of the dump: versions, the model, addresses, samples, options.

    Args:
        job: The job.
        session: The model.
        addresses: All that is stored.
        samples: The samples.
    """
    library = library_of(session.model)
    model, compute = job.model, job.compute
    preprocessing = {name: _given(choice) for name, choice in job.samples.preprocessing.items()}
    # Elsewhere the number of rows tells.
    endless = samples.rows is None and job.samples.limit is not None
    return {
        **({"limit": job.samples.limit} if endless else {}),
        "kprobe_version": __version__,
        "keras": f"{library.__name__} {library.__version__}",
        "tensorflow_version": tf.__version__,
        "model": getattr(model.model, "name", None) or Path(model.model).name,
        "addresses": list(addresses),
        "inputs": json.dumps(samples.identity()),
        "weights": "" if model.weights is None else Path(model.weights).name,
        "random": samples.random,
        "seed": compute.seed,
        "job": record_job(job),
        "options": json.dumps(
            {
                "dtype": job.stored_dtype,
                "device": compute.device,
                "precision": compute.precision,
                "exact": compute.exact,
                "training": compute.training,
                "stateful": compute.stateful,
                "eager": compute.eager,
                "feeds": _describe_feeds(job.selection),
                **_describe_gradients(job.selection),
                **({"reduce": job.selection.reduce} if job.selection.reduce else {}),
                "preprocessing": preprocessing,
                "arguments": {name: repr(value) for name, value in model.arguments.items()},
                "random_weights": model.random_weights,
            }
        ),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _describe_feeds(selection: Selection) -> list[str]:
    """Give the feeds as texts; what is fed from memory is told among the inputs."""
    if isinstance(selection.feeds, Mapping):
        return [
            f"{address}={source}" if isinstance(source, str) else address
            for address, source in selection.feeds.items()
        ]
    return [selection.feeds] if isinstance(selection.feeds, str) else list(selection.feeds)


def _describe_gradients(selection: Selection) -> dict[str, str]:
    """Give what gradients are of; nothing where there are none."""
    told: dict[str, str] = {} if selection.cam is None else {"cam": selection.cam}
    target = selection.gradients_of
    if target is None:
        return told
    named = target if isinstance(target, str) else getattr(target, "name", repr(target))
    return {**told, "gradients_of": named, "unit": str(selection.of_unit)}


def _given(choice: Preprocessing) -> dict[str, Any]:
    return {name: value for name, value in asdict(choice).items() if value is not None}
