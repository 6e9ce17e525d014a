"""What every command that computes begins with."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kprobe.cli.freed_memory import keep_memory
from kprobe.cli.job_settings import collect_settings
from kprobe.cli.rendering.plan import announce
from kprobe.cli.rendering.printing import showing_status
from kprobe.cli.stdio import hold_back_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kprobe.pipeline.planning.plan import Plan


def begin_computing(verbose: bool) -> None:
    """Prepare the process for TensorFlow, before it is imported.

    Args:
        verbose: Whether libraries may write to stderr.
    """
    hold_back_noise(verbose)
    keep_memory()


@contextlib.contextmanager
def planned(options: Mapping[str, Any], **settings: Any) -> Iterator[Plan]:
    """Plan what a command is asked for, and say what the user should know before it runs.

    Args:
        options: The values of the command's options and arguments, by name.
        **settings: Settings of the job that these don't have, or that are to be other ones.

    Gives:
        The plan. What it holds is closed at the end.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the samples or the output.
    """
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    quiet = options.get("quiet", False)
    job = make_job(**{**collect_settings(options), **settings})
    with showing_status(f"loading {options['model']}", quiet):
        made = plan_job(job)
    with made as ready:
        if not quiet:
            announce(ready)
        yield ready
