"""Whether the inputs that the layers need have sources, and as many rows each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.sources.fault_list import Faults
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kprobe.inputs.labels import Labels
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.sources.source import Source


def check_needed(lacking: Mapping[ModelInput, InputError | None], needed: Collection[str]) -> None:
    """Refuse an input that is needed, isn't optional, and has no source.

    Args:
        lacking: The inputs without a source, each with why it has none if that is known.
        needed: The names of the inputs that are needed.

    Raises:
        InputError: With all of them.
    """
    faults = Faults()
    without = {i: why for i, why in lacking.items() if i.name in needed and not i.optional}
    for why in without.values():
        if why is not None:
            faults.take(why)
    if missing := [model_input for model_input, why in without.items() if why is None]:
        parts: list[str | Setting] = []
        for name in (model_input.name for model_input in missing):
            parts.append(" and " if parts else "add ")
            parts.append(Setting("inputs", f"{name}=FILE", python=f'{{"{name}": ...}}'))
        faults.add(
            "expected a source for every input that these layers need, received none for "
            f"{list_names(map(str, missing))}",
            Hint(*parts),
        )
    faults.raise_if_any()


def check_rows(sources: Collection[Source], labels: Labels | None) -> None:
    """Refuse sources with several numbers of rows, and labels of other rows.

    Raises:
        InputError: They don't go together.
    """
    counts = {source.rows for source in sources} - {None}
    told = ", ".join(f"{source.rows} from {source.label}" for source in sources)
    if len(counts) > 1:
        raise InputError(f"expected as many rows for every input, received {told}")
    if labels is not None and counts and counts != {len(labels.indices)}:
        raise InputError(
            "labels from folders: expected a label for each sample, received "
            f"{len(labels.indices)} labels and {told}"
        )
