"""The SavedModels that layers of a model load, each checked as one that is given itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.elsewhere import check_here
from kprobe.errors import ModelError, UnsafeModelError
from kprobe.gate.names.judge_code import find_loaded
from kprobe.gate.names.tell import hint_at_opening
from kprobe.gate.names.walk import walk_objects
from kprobe.gate.rules import RULES
from kprobe.gate.shown import show_value
from kprobe.models.checked import check_opened, open_model_directory

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

    from kprobe.gate.opened_directory import OpenedDirectory

_KIND = "savedmodel"
_OPERATIONS = "savedmodel-operations"
# Honest models have one or two. Checking one may take seconds.
_MOST = 8


@dataclass(frozen=True)
class InnerModel:
    """A SavedModel that a layer loads.

    Attributes:
        owner: The layer, such as "layer 'a'".
        opened: The directory, open.
        runs: What its graphs do besides computing, a text for each; all of it was allowed.
    """

    owner: str
    opened: OpenedDirectory
    runs: tuple[str, ...]


def open_inner(
    path: Path,
    objects: dict[str, Any],
    allow: Container[str] | None,
    max_model_bytes: int | None = None,
) -> list[InnerModel]:
    """Open the SavedModels that layers of a model load, and let the gate look at each.

    Args:
        path: The model's file.
        objects: The configs of all objects that a loader builds of it.
        allow: The kinds that are allowed, of `kprobe.gate.rules.KINDS`: where "savedmodel" isn't,
            none is loaded. None for a file that the user trusts, and all that it loads.
        max_model_bytes: How large each may be; None for any size.

    Raises:
        UnsafeModelError: One breaks a rule of the gate, or there are too many.
        ModelError: One isn't there, or is damaged.
    """
    found: dict[str, InnerModel] = {}
    if allow is None or _KIND not in allow:
        return []
    for owner, place in _list_places(objects):
        name = place if isinstance(place, str) else ""
        if name in found:
            continue
        try:
            if len(found) == _MOST:
                raise UnsafeModelError(f"it is one of more than {_MOST} such models")
            found[name] = _open(owner, name, place, allow, max_model_bytes)
        except ModelError as error:
            told = type(error)(
                f"{path}: {owner} loads another model: {error.faults[0]}", hint=error.remedy
            )
            told.rule = error.rule or f"code-{_KIND}"
            raise told from None
    return [*found.values()]


def _list_places(objects: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for item in walk_objects(objects):
        for place in find_loaded(item.value):
            yield item.owner, place


def _open(
    owner: str,
    name: str,
    place: object,
    allow: Container[str],
    max_model_bytes: int | None,
) -> InnerModel:
    if not name:
        raise ModelError(f"expected the path of a SavedModel, received {show_value(place)}")
    check_here(name, ModelError)
    # As TensorFlow does, which follows no link that ".." stands behind.
    path = Path(os.path.normpath(name))
    if "\0" in name or not path.is_dir():
        raise ModelError(
            f"{show_value(name)}: expected the directory of a SavedModel, received none",
            hint="put it there; a path without a first / begins in the working directory",
        )
    opened = open_model_directory(path)
    findings = check_opened(opened, allow=allow, max_model_bytes=max_model_bytes)
    runs = tuple(fault.text for fault in findings.faults if fault.rule == _OPERATIONS)
    if runs and RULES[_OPERATIONS].kind not in allow:
        error = UnsafeModelError(f"{opened.path}: {runs[0]}", hint=hint_at_opening([_OPERATIONS]))
        error.rule = _OPERATIONS
        raise error
    return InnerModel(owner, opened, runs)
