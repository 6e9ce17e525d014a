"""That no job writes over what it reads: its model, its weights, its samples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kprobe.dumps.files.place import refuse_read
from kprobe.dumps.partial import list_places
from kprobe.inputs.locating import locate, parse_location
from kprobe.models.weights.weights_file import list_named_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kprobe.pipeline.planning.job import Job


def check_apart(job: Job, outputs: Iterable[Path] = ()) -> None:
    """Check that nothing is written over what a job reads, under whatever name.

    Args:
        job: The job; its own output is looked at, too.
        outputs: Other files that are written.

    Raises:
        DumpError: With all outputs that are read.
    """
    own = [] if job.output is None else list_places(job.output.path)
    refuse_read([*own, *outputs], list_read(job))


def list_read(job: Job) -> Iterator[str | os.PathLike[str]]:
    """List the files, folders and patterns that a job names to be read."""
    for source in (job.model.model, job.model.weights):
        if isinstance(source, str | os.PathLike):
            yield source
    if job.model.weights is not None:
        yield from list_named_files(job.model.weights)
    for given in job.samples.given:
        for each in given.split() if given.are_texts else [given]:
            if each.text is None:
                continue
            found = parse_location(each.text, ()) if each.may_name else locate(each.text, None)
            if found.path is not None:
                yield found.path
    for feed in job.selection.sources.values():
        for text in feed if isinstance(feed, list | tuple) else [feed]:
            if isinstance(text, str | os.PathLike):
                located = locate(os.fspath(text), None).path
                if located is not None:
                    yield located
