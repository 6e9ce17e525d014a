"""The exceptions kprobe raises, each with the exit code of its kind.

A message says what was expected and what was received; its hint says what to do. A hint names
settings by what they are, and what shows it spells them: the command line as flags, Python
as arguments. Several faults found at once travel in one exception, a line each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kprobe.escaping import cut_middle, escape_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Characters of a line in Python, and how many of a short one are at least the fault's.
_LONGEST, _OF_FAULT = 10_000, 160


@dataclass(frozen=True)
class Setting:
    """Something that the user can set: a flag of the command line, an argument in Python.

    Attributes:
        name: The argument's name in Python, such as "custom_objects".
        value: What it is to be set to, as the command line would have it: a text, a number, True
            for a switch; several texts where it is given several times. None where the setting
            as such is meant.
        python: What Python writes behind the "=", where that isn't the value itself.
        argument: The argument's name in Python, where one argument stands for several flags.
    """

    name: str
    value: str | float | tuple[str, ...] | None = None
    python: str | None = None
    argument: str | None = None

    def __str__(self) -> str:
        """Spell it as Python does: `exact`, `limit=30`."""
        name = self.argument or self.name
        if self.value is None:
            return name
        return f"{name}={repr(self.value) if self.python is None else self.python}"


@dataclass(frozen=True)
class CommandText:
    """A command to run in a terminal, such as `kprobe ls MODEL`.

    Attributes:
        words: The command and its arguments.
        switches: The switches behind them, by their names.
    """

    words: str
    switches: Sequence[str] = ()

    def __str__(self) -> str:
        """Write it as a terminal takes it."""
        flags = (f"--{name.replace('_', '-')}" for name in self.switches)
        return f"`{' '.join(['kprobe', self.words, *flags])}`"


class Hint:
    """What to do about a fault: `Hint("leave ", Setting("exact"), " out")`.

    Args:
        *parts: What it consists of, put together without spaces.
    """

    def __init__(self, *parts: str | Setting | CommandText | Hint) -> None:
        self.parts = parts

    def __str__(self) -> str:
        """Spell it for Python."""
        return self.spell(str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hint) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def spell(self, spell_setting: Callable[[Setting], str]) -> str:
        """Give the text, with each setting spelt by a function."""
        texts = []
        for part in self.parts:
            if isinstance(part, Hint):
                texts.append(part.spell(spell_setting))
            else:
                texts.append(spell_setting(part) if isinstance(part, Setting) else str(part))
        return "".join(texts)


def join_hints(hints: Iterable[Hint | str], between: str = "; ") -> Hint | None:
    """Make one hint of several, or None of none."""
    parts: list[Hint | str] = []
    for hint in hints:
        parts += [between, hint] if parts else [hint]
    return Hint(*parts) if parts else None


class KprobeError(Exception):
    """Anything kprobe reports by itself rather than by a traceback.

    `str(error)` says what is wrong and what to do about it, a line for each fault; of many it
    counts those behind the first. `error.lines` has all of them.

    Attributes:
        faults: What went wrong, a line for each fault, at least one.
        remedy: What to do about it, or None.
        about: What it is about, such as a file, where the faults don't say it: it is put in front
            of each.
        merged: The errors that this one was made of, if it was made of several.
        exit_code: The exit status of the command line.
    """

    exit_code = 2
    # How many of its faults are told before the others are counted; None for all of them.
    told: ClassVar[int | None] = None

    def __init__(self, *faults: str, hint: Hint | str | None = None) -> None:
        super().__init__(*faults)
        self.faults: Sequence[str] = faults
        self.remedy = Hint(hint) if isinstance(hint, str) else hint
        self.merged: Sequence[KprobeError] = ()
        self.about = ""

    def __str__(self) -> str:
        return "\n".join(self.spell(str, _LONGEST))

    @property
    def hint(self) -> str | None:
        """What to do about it, spelt for Python."""
        return None if self.remedy is None else str(self.remedy)

    @property
    def lines(self) -> list[str]:
        """All faults and hints, in full, as lines spelt for Python."""
        return self.spell(str)

    def spell(self, spell_setting: Callable[[Setting], str], most: int | None = None) -> list[str]:
        """Give the faults and the hints as lines to show: one line for one fault.

        Args:
            spell_setting: Spells the settings that hints name.
            most: How many characters a line may have. Then many faults are counted, long ones lose
                their middle, and what can't be seen is escaped. None for everything as it is.
        """
        if self.merged:
            lines = [line for error in self.merged for line in error.spell(spell_setting, most)]
            return list(dict.fromkeys(lines))
        hint = None if self.remedy is None else self.remedy.spell(spell_setting)
        faults = [f"{self.about}: {fault}" if self.about else fault for fault in self.faults]
        if most is None:
            if hint is None:
                return faults
            return [f"{faults[0]}; {hint}"] if len(faults) == 1 else [*faults, f"hint: {hint}"]
        return self._abridge([escape_hidden(fault) for fault in faults], hint, most)

    def _abridge(self, faults: list[str], hint: str | None, most: int) -> list[str]:
        more = 0 if self.told is None else len(faults) - self.told
        end = f", and {more:,} more fault{'s' * (more > 1)}" if more > 0 and self.told == 1 else ""
        if more > 0:
            faults = faults[: self.told] if end else [*faults[: self.told], f"and {more:,} more"]
        hint = None if hint is None else escape_hidden(hint)
        if len(faults) > 1:
            lines = faults if hint is None else [*faults, f"hint: {hint}"]
            return [cut_middle(line, most) for line in lines]
        if hint is not None:
            # What is wrong matters more than what to do about it.
            fault = cut_middle(faults[0], max(most - len(end) - len(hint) - 2, _OF_FAULT))
            if len(line := f"{fault}{end}; {hint}") <= most:
                return [line]
        return [f"{cut_middle(faults[0], most - len(end))}{end}"]


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
    """A model that can't be read, loaded or traced.

    Attributes:
        rule: The rule of the gate that its file breaks; None for what the gate doesn't judge.
    """

    told = 6
    rule: str | None = None


class NonFiniteError(KprobeError):
    """A tensor with NaN or infinity in it, which was to be found."""

    exit_code = 1


class ModelCodeError(ModelError):
    """A model that is given as code, and the code raised.

    Attributes:
        excerpt: The code's traceback, shortened, to be shown above the faults; or None.
    """

    def __init__(
        self, *faults: str, hint: Hint | str | None = None, excerpt: str | None = None
    ) -> None:
        super().__init__(*faults, hint=hint)
        self.excerpt = excerpt


class DumpError(KprobeError):
    """A dump that can't be written or read."""


class UnsafeModelError(ModelError):
    """A model file that would run code of its own when loaded."""

    exit_code = 4
    told = 1


class ShortageError(KprobeError):
    """The system doesn't give what is needed: memory, open files, processes."""

    exit_code = 71


class StoppedError(KprobeError):
    """A run that was stopped from outside; what it had committed is kept."""

    exit_code = 75


def merge_errors(errors: Sequence[KprobeError]) -> KprobeError:
    """Make one error of several, of the class of the first; a single one stays as it is."""
    if len(errors) == 1:
        return errors[0]
    merged = type(errors[0])(*dict.fromkeys(fault for error in errors for fault in error.faults))
    merged.merged = errors
    return merged
