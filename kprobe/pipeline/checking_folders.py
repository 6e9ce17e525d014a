"""Check model files, and the models in folders, and say what was left alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.gate.rules import Fault
from kprobe.models.file import SAVED_MODEL
from kprobe.models.folder import find_models, is_folder_of_models
from kprobe.pipeline.checking import CheckResult, check_models, make_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kprobe.models.custom import GivenObjects
    from kprobe.models.folder import FoundModels

# What lies beside the main file of a SavedModel.
_BESIDE_MAIN = ("keras_metadata.pb", "fingerprint.pb")


@dataclass(frozen=True)
class CheckedFiles:
    """What was checked, and what was left alone.

    Attributes:
        results: What the gate says of each model.
        left_alone: A line for each folder in which there are other files, or links.
    """

    results: list[CheckResult]
    left_alone: list[str]


def check_files(
    paths: Iterable[str],
    *,
    custom_objects: GivenObjects = (),
    allow: str | Sequence[str] = (),
    max_model_bytes: int | None = None,
) -> CheckedFiles:
    """Check model files, and those in folders: see `kprobe.check`."""
    check = partial(
        check_models, custom_objects=custom_objects, allow=allow, max_model_bytes=max_model_bytes
    )
    results: dict[str, CheckResult] = {}
    left_alone = []
    for path in dict.fromkeys(map(_name_whole, paths)):
        if not is_folder_of_models(path):
            results |= {each.path: each for each in check([path])}
            continue
        found = find_models(path)
        checked = [each for each in check(found.models) if not _is_other(each)]
        found.others += len(found.models) - len(checked)
        results |= {each.path: each for each in checked}
        said = _say_left_alone(found)
        if not checked:
            fault = Fault("file-type", f"is a folder without models{said and f': {said}'}")
            results[path] = CheckResult(path, False, (make_reason(fault),))
        elif said:
            left_alone.append(f"{path}: {said}")
    return CheckedFiles([*results.values()], left_alone)


def _name_whole(path: str) -> str:
    """Give the main file of a SavedModel for another file of it, which may be all that changed."""
    given = Path(path)
    if given.parent.name == "variables":
        main = given.parent.parent / SAVED_MODEL
    elif given.name in _BESIDE_MAIN:
        main = given.parent / SAVED_MODEL
    else:
        return path
    return str(main) if main.is_file() else path


def _is_other(result: CheckResult) -> bool:
    """Tell whether a file of a folder is HDF5, but of something else than Keras."""
    rules = {each.rule for each in result.reasons}
    return result.format == "h5" and rules == {"file-type"}


def _say_left_alone(found: FoundModels) -> str:
    others, links = found.others, found.links
    parts = [f"{others:,} other file{'s' * (others > 1)} left alone"] if others else []
    parts += [f"{links:,} link{'s' * (links > 1)} not followed"] if links else []
    return ", ".join(parts)
