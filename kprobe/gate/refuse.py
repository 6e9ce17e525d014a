"""Refuse a model file that would run code of its own when it is loaded or run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.gate.names.judge_names import MissingObject, find_name_faults
from kprobe.gate.names.tell import SIGNATURE_HINT, add_lacking, make_refusal
from kprobe.gate.rules import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container

    from kprobe.gate.names.walk import Checked


def check_safe(
    model_file: Checked,
    registered: Container[str] = (),
    allow: Collection[str] = (),
    lacking: Callable[[str], str] | None = None,
) -> None:
    """Check that nothing in a model file makes a loader run code from it.

    Args:
        model_file: The file.
        registered: The names under which the user's own classes and functions are registered.
        allow: The kinds of faults that are allowed, of `kprobe.gate.rules.KINDS`.
        lacking: Says of a name that what the user gave doesn't have it, in a few words or none.

    Raises:
        UnsafeModelError: The file would run code, import modules or read other files, or it has
            objects that are neither Keras's own nor registered.
    """
    operations = model_file.unsafe_operations
    faults = find_name_faults(
        model_file.objects, registered, allow, has_graph=operations is not None
    )
    faults = add_lacking(faults, lacking)
    hints = []
    if operations is not None and any(not isinstance(fault, MissingObject) for fault in faults):
        # The graph alone needs none of these names.
        hints = [] if operations else [SIGNATURE_HINT]
    if "operations" not in allow:
        faults += [Fault("savedmodel-operations", text) for text in operations or ()]
    if faults:
        raise make_refusal(faults, hints, model_file.path)
