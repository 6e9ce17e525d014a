"""Plan a job: find out all that can go wrong, and how large everything is, before it runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import ModelError
from kprobe.importing import find_file
from kprobe.models.factory import Code
from kprobe.models.load import choose_keras, find_source, prepare_import
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.precheck import precheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.pipeline.job import Job
    from kprobe.pipeline.plan import Plan


def plan(job: Job) -> Plan:
    """Make a job ready to run.

    Args:
        job: What was asked for.

    Returns:
        The plan.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
    """
    if not isinstance(job.model, str | os.PathLike):
        from kprobe.pipeline.build import build

        return build(job, job.model, None, {"model_sha256": _hash_weights(job.model)})
    source = find_source(ModelSpec(model=job.model, signature=job.signature))
    samples = precheck(job, source)
    with contextlib.ExitStack() as stack:
        if samples is not None:
            stack.callback(samples.close)
        facts = {}
        if not isinstance(source, Code):
            facts["model_sha256"] = _start_hashing(source.path)
        if job.weights is not None:
            facts["weights_sha256"] = _start_hashing(Path(job.weights))
        # From here on it takes seconds: TensorFlow is imported.
        prepare_import(choose_keras(source, job.keras))
        from kprobe.pipeline.build import build, load

        model = load(job, source)
        if isinstance(source, Code) and (path := source.find_file()):
            facts["model_sha256"] = _start_hashing(path)
        known: dict[str, Any] = {name: digest() for name, digest in facts.items()}
        if files := [file for source in job.custom_objects if (file := find_file(source))]:
            known["custom_objects_sha256"] = [_hash(file) for file in files]
        stack.pop_all()
        return build(job, model, samples, known, source)


def _hash_weights(model: Any) -> str:
    """Hash the weights of a model in memory, which is all of it that may change unseen."""
    digest = hashlib.sha256()
    # A model that isn't built has none, and some kinds don't tell them.
    with contextlib.suppress(AttributeError, ValueError):
        for weight in model.get_weights():
            array = np.ascontiguousarray(weight)
            if array.dtype.hasobject:  # strings, which lie elsewhere
                digest.update(repr(array.tolist()).encode())
            else:
                digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _start_hashing(path: Path) -> Callable[[], str]:
    """Hash a file while the model loads; what is returned waits for the digest."""
    digests: list[str] = []
    errors: list[OSError] = []

    def hash_file() -> None:
        try:
            digests.append(_hash(path))
        except OSError as error:
            errors.append(error)

    # A daemon: nobody waits for the hash of a large file when the job can't be done.
    thread = threading.Thread(target=hash_file, daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
        for error in errors:
            raise ModelError(f"{error.filename or path}: can't be read: {error.strerror}")
        return digests[0]

    return wait


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    # Of a directory, all files, each behind its name.
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        if file != path:
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
