"""From a job to a plan: check the files, load the model, trace it, and plan the session."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kprobe.models.load import find_source
from kprobe.pipeline.planning.precheck import precheck, samples_can_wait
from kprobe.session.loading import load

if TYPE_CHECKING:
    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.plan import Plan


def plan_job(job: Job) -> Plan:
    """Make a job ready to run.

    Args:
        job: What was asked for.

    Returns:
        The plan.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
    """
    source = None if job.model.in_memory else find_source(job.model)
    # What is opened on the way is entered here, and closed where there won't be a plan.
    with contextlib.ExitStack() as opened:
        samples = precheck(job, source, opened)
        loaded = load(job.model, job.compute, source)
        # They import TensorFlow, which was set up for the model by now.
        from kprobe.pipeline.planning.plan_session import plan_session
        from kprobe.session.open_session import open_session

        wait = samples_can_wait(job)
        session, samples = open_session(
            loaded, job.compute, job.samples, opened, samples, wait=wait
        )
        # Before eager execution is on: the weights of TF1's models live in a session.
        facts = loaded.identify()
        made = plan_session(job, session, samples, facts, opened)
        opened.pop_all()
        return made
