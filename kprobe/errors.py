"""The exceptions kprobe raises, each with the exit code of its kind.

A message says what was expected and what came; `hint` says what to do. Several
faults found at once travel in one exception, a line each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class KprobeError(Exception):
    """Anything kprobe reports by itself rather than by a traceback.

    Attributes:
        faults: What went wrong, a line for each fault, at least one.
        hint: What to do about it, one line, or None.
        exit_code: The exit status of the command line.
    """

    exit_code = 2

    def __init__(self, *faults: str, hint: str | None = None) -> None:
        super().__init__("\n".join(faults))
        self.faults: Sequence[str] = faults
        self.hint = hint

    @property
    def lines(self) -> list[str]:
        """The faults and the hint as lines to print: one line for one fault."""
        if self.hint is None:
            return [*self.faults]
        if len(self.faults) == 1:
            return [f"{self.faults[0]}; {self.hint}"]
        return [*self.faults, f"hint: {self.hint}"]


class AddressError(KprobeError):
    """An address that can't be read, names nothing, or names several things."""


class UnevenError(AddressError):
    """A tensor in a loop that has another shape in each iteration, and can't be put together.

    Attributes:
        fetch: Its number among the tensors that were asked for.
    """

    reason = (
        "has another shape in each iteration of its loop, and the iterations can't be put together"
    )

    def __init__(self, name: str, fetch: int) -> None:
        super().__init__(f"{name} {self.reason}", hint="leave it out")
        self.fetch = fetch


class InputError(KprobeError):
    """Samples that can't be read or don't fit the model."""


class SampleError(InputError):
    """A single sample that can't be read, such as a damaged image among good ones.

    Attributes:
        row: Its number, from 0.
        reason: What is wrong with it, in a few words.
    """

    def __init__(self, name: str, row: int, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.row = row
        self.reason = reason


class ModelError(KprobeError):
    """A model that can't be read, loaded or traced."""


class NonFiniteError(KprobeError):
    """A tensor with NaN or infinity in it, which was to be found."""

    exit_code = 1


class ModelCodeError(ModelError):
    """A model that is given as code, and the code raised.

    Attributes:
        excerpt: The code's traceback, shortened, to be shown above the faults; or None.
    """

    def __init__(self, *faults: str, hint: str | None = None, excerpt: str | None = None) -> None:
        super().__init__(*faults, hint=hint)
        self.excerpt = excerpt


class DumpError(KprobeError):
    """A dump that can't be written or read."""


class UnsafeModelError(ModelError):
    """A model file that would run code of its own when loaded."""

    exit_code = 4


class StoppedError(KprobeError):
    """A run that was stopped from outside; what it had committed is kept."""

    exit_code = 75


def merge_errors(errors: Sequence[KprobeError]) -> KprobeError:
    """Make one error of several, of the class of the first; a single one stays as it is."""
    if len(errors) == 1:
        return errors[0]
    return type(errors[0])(*(line for error in errors for line in error.lines))
