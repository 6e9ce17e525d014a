"""Find what is wrong with a job from the files alone, before TensorFlow is loaded."""

from __future__ import annotations
from kprobe.models.file import ModelFile
from kprobe.pipeline.job import Job

def precheck(job: Job, file: ModelFile) -> None:
    """Raise what can be known before the model is loaded."""
