"""Plan a job: find out all that can go wrong, and how large everything is, before it runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from kprobe.models.file import choose_signature, read_model_file
from kprobe.pipeline.precheck import precheck

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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

        return build(job, job.model, None, {})
    file = choose_signature(read_model_file(job.model), job.signature)
    samples = precheck(job, file)
    with contextlib.ExitStack() as stack:
        if samples is not None:
            stack.callback(samples.close)
        digest = _start_hashing(file.path)
        # From here on it takes seconds: TensorFlow is imported.
        from kprobe.pipeline.build import build, load

        model = load(job, file)
        stack.pop_all()
        return build(job, model, samples, {"model_sha256": digest()})


def _start_hashing(path: Path) -> Callable[[], str]:
    """Hash a file while the model loads; what is returned waits for the digest."""
    digests: list[str] = []
    # A daemon: nobody waits for the hash of a large file when the job can't be done.
    thread = threading.Thread(target=lambda: digests.append(_hash(path)), daemon=True)
    thread.start()

    def wait() -> str:
        thread.join()
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
