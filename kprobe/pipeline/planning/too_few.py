"""What is said where the model doesn't take a batch of so few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import InputError

if TYPE_CHECKING:
    from kprobe.errors import Hint, KprobeError


def too_few(batch: str, error: KprobeError, hint: Hint | str) -> InputError:
    """Say that the model doesn't take a batch of so few samples, and why.

    Args:
        batch: Which batch, and how many samples it has.
        error: What came of it.
        hint: What to do.
    """
    fault = f"{batch}, and the model doesn't take so few: {error.faults[0]}"
    return InputError(fault, hint=hint)
