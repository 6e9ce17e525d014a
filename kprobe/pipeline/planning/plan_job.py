"""From a job to a plan: check the files, load the model, trace it, and plan the session."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.models.load import find_source
from kprobe.pipeline.planning.precheck import precheck, samples_can_wait
from kprobe.session.loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.job import Job
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.session.loading import Loaded
    from kprobe.session.session import Session


@dataclass(frozen=True, eq=False)
class OpenJob:
    """A job whose model is traced: what is to be fetched of it may be settled anew.

    Attributes:
        job: The job.
        session: Its model.
        samples: Its samples, unless they wait until it is known which are needed.
        facts: Which model it is, for the attributes of a dump.
    """

    job: Job
    session: Session
    samples: Samples | None
    facts: Mapping[str, Any]

    def plan(self, opened: contextlib.ExitStack, job: Job | None = None) -> Plan:
        """Plan it.

        Args:
            opened: What closes samples that are opened now, if there won't be a plan.
            job: The job, if something else is asked for by now.

        Raises:
            KprobeError: Whatever is wrong with the addresses, the inputs or the model.
        """
        # It imports TensorFlow, which was set up for the model by now.
        from kprobe.pipeline.planning.plan_session import plan_session

        return plan_session(job or self.job, self.session, self.samples, self.facts, opened)


def plan_job(job: Job) -> Plan:
    """Make a job ready to run.

    Args:
        job: What was asked for.

    Returns:
        The plan.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
    """
    # What is opened on the way is entered here, and closed where there won't be a plan.
    with contextlib.ExitStack() as opened:
        made = open_job(job, opened).plan(opened)
        opened.pop_all()
        return made


def open_job(job: Job, opened: contextlib.ExitStack, loaded: Loaded | None = None) -> OpenJob:
    """Load and trace the model of a job, and open its samples.

    Args:
        job: What was asked for.
        opened: What closes the samples.
        loaded: The model, if it is loaded already.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
    """
    source = None if job.model.in_memory else find_source(job.model)
    samples = precheck(job, source, opened)
    loaded = loaded or load(job.model, job.compute, source)
    # It imports TensorFlow, which was set up for the model by now.
    from kprobe.session.open_session import open_session

    wait = samples_can_wait(job)
    session, samples = open_session(loaded, job.compute, job.samples, opened, samples, wait=wait)
    # Before eager execution is on: the weights of TF1's models live in a session.
    return OpenJob(job, session, samples, loaded.identify())
