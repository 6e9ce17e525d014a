"""A job: everything the user asked for, before anything was opened."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from kprobe.dumps.output import OutputSpec
from kprobe.engines.compute import Compute
from kprobe.errors import Hint, KprobeError, Setting, merge_errors
from kprobe.inputs.spec import SampleSpec
from kprobe.models.spec import ModelSpec
from kprobe.subgraph.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.dumps.output import StoredDtype

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One dump, as asked for. Each part has checked itself.

    Attributes:
        model: Which model, and how it is loaded.
        selection: Which of its tensors are stored, and which are fed.
        samples: Which samples are run.
        compute: How they are run.
        output: Where the dump goes; None where results stay in memory.
    """

    model: ModelSpec
    selection: Selection
    samples: SampleSpec
    compute: Compute
    output: OutputSpec | None = None

    def __post_init__(self) -> None:
        """Refuse parts that don't go together.

        Raises:
            KprobeError: A model that runs eagerly is fed, differentiated or reduced.
        """
        if self.compute.eager and (self.selection.sources or self.selection.replaced):
            raise KprobeError("a model that runs eagerly has no graph: expected no feeds")
        selection = self.selection
        if self.compute.eager and selection.requests:
            raise KprobeError(
                "a model that runs eagerly has no graph to reduce tensors in",
                hint=Hint("leave ", Setting("eager"), " out"),
            )
        if self.compute.eager and (selection.gradients_of is not None or selection.cam is not None):
            raise KprobeError(
                "a model that runs eagerly has no graph to take gradients in",
                hint=Hint("leave ", Setting("eager"), " out"),
            )

    @property
    def stored_dtype(self) -> StoredDtype:
        """What floating-point tensors are given as."""
        return "as-is" if self.output is None else self.output.dtype


_PARTS: dict[str, Any] = {
    "model": ModelSpec,
    "selection": Selection,
    "samples": SampleSpec,
    "compute": Compute,
    "output": OutputSpec,
}


def make_job(**settings: Any) -> Job:
    """Make a job of settings, each of which goes to the parts that know it.

    Args:
        **settings: The attributes of the parts, by name; the path of the output as `output`. Those
            that aren't there are as by default, and others aren't looked at.

    Raises:
        KprobeError: With all faults of all parts.
    """
    if "output" in settings:
        return Job(**make_parts({**settings, "path": settings["output"]}, *_PARTS))
    return Job(**make_parts(settings, *(name for name in _PARTS if name != "output")))


def make_parts(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Make some parts of a job.

    Args:
        settings: As for `make_job`.
        *names: Which parts.

    Returns:
        The parts by name.

    Raises:
        KprobeError: With all faults of all parts.
    """
    parts: dict[str, Any] = {}
    errors: list[KprobeError] = []
    for name in names:
        kind = _PARTS[name]
        known = [field.name for field in fields(kind) if field.init]
        try:
            parts[name] = kind(**{key: settings[key] for key in known if key in settings})
        except KprobeError as error:
            errors.append(error)
    if errors:
        raise merge_errors(errors)
    return parts
