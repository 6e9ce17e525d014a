"""How a refusal is worded: what is wrong, of which layers, and what would open the file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kprobe.errors import Hint, Setting, UnsafeModelError, join_hints
from kprobe.escaping import cut_middle
from kprobe.gate.names.judge_names import MissingObject
from kprobe.gate.names.walk import LAYER
from kprobe.gate.rules import RULES
from kprobe.importing import is_importable
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kprobe.gate.rules import Fault

# Layers that a line names, and characters of what it names: a refusal is read at a glance.
_NAMED, _LONGEST = 4, 60
# Classes, and modules of them, that a hint names.
_HINTED = 3
_LOOKED_FOR = 20
_UNSAFE = Setting("unsafe", True)
_TRUST = ": only for files you trust"
UNSAFE_HINT = Hint("`", _UNSAFE, f"` opens it all the same{_TRUST}")
SIGNATURE_HINT = Hint("`", Setting("signature", "NAME"), "` runs its graph alone, which is safe")


def make_refusal(
    faults: Sequence[Fault], hints: Sequence[Hint] = (), path: Path | str = ""
) -> UnsafeModelError:
    """Make the error that refuses a file.

    Args:
        faults: What is wrong with it; at least one.
        hints: What there is to do besides allowing it.
        path: The file, which each line begins with.
    """
    missing = [fault for fault in faults if isinstance(fault, MissingObject)]
    found = [*hints]
    if missing:
        names = dict.fromkeys(fault.name for fault in missing)
        found.insert(0, hint_at_custom([*names], modules=[fault.module for fault in missing]))
    rules = [fault.rule for fault in faults if not isinstance(fault, MissingObject)]
    if rules:
        found.append(hint_at_opening(rules))
    error = UnsafeModelError(*describe_faults(faults), hint=join_hints(found))
    error.about = str(path)
    return error


def describe_faults(faults: Iterable[Fault]) -> list[str]:
    """Say each fault in a line, once for all layers that have it."""
    owners: dict[str, list[str]] = {}
    for fault in faults:
        owners.setdefault(fault.text, []).append(fault.owner)
    return [_name_owners(having, text) for text, having in owners.items()]


def add_lacking(faults: Sequence[Fault], lacking: Callable[[str], str] | None) -> list[Fault]:
    """Say with each class and function that is missing that what was given doesn't have it.

    Args:
        faults: What is wrong with a file.
        lacking: Says so of a name, in a few words or none; None where nothing was given.
    """
    told = []
    for fault in faults:
        said = lacking(fault.name) if lacking and isinstance(fault, MissingObject) else ""
        told.append(replace(fault, text=f"{fault.text}; {said}") if said else fault)
    return told


def hint_at_opening(rules: Iterable[str]) -> Hint:
    """Say what opens a file that breaks some rules, the narrowest first."""
    kinds = dict.fromkeys(RULES[rule].kind for rule in rules)
    narrow = tuple(kind for kind in kinds if kind is not None)
    if len(narrow) < len(kinds):
        return UNSAFE_HINT
    allow = Setting("allow", narrow if len(narrow) > 1 else narrow[0])
    return Hint("`", allow, "` opens it all the same, and so does `", _UNSAFE, f"`{_TRUST}")


def hint_at_custom(
    names: Sequence[str], what: str = "it", modules: Sequence[str | None] = ()
) -> Hint:
    """Say how the user's own classes and functions are given.

    Args:
        names: What they are called, as far as is known.
        what: What is to be given.
        modules: The modules that they are said to be of, as far as that is told. Those that are
            there are named.
    """
    python = [f'"{name}": {name if name.isidentifier() else "..."}' for name in names[:_HINTED]]
    python += ["..."] * (len(names) > _HINTED or not names)
    # Looking for one takes a moment, and a file may tell of thousands.
    told = [*dict.fromkeys(modules)][:_LOOKED_FOR]
    there = dict.fromkeys(
        module if module is not None and is_importable(module) else "FILE.py" for module in told
    )
    given = tuple(there)[:_HINTED] or "FILE.py"
    objects = Setting("custom_objects", given, f"{{{', '.join(python)}}}")
    return Hint(f"give {what} with `", objects, "`")


def _name_owners(owners: Sequence[str], text: str) -> str:
    """Say a fault of those that have it."""
    is_listed = text.startswith("expected ")
    owners = [*dict.fromkeys(cut_middle(owner, _LONGEST) for owner in owners if owner)]
    if not owners:
        return text
    if len(owners) == 1:
        return f"{owners[0]}{':' if is_listed else ''} {text}"
    layers = [owner.removeprefix(LAYER) for owner in owners if owner.startswith(LAYER)]
    others = [owner for owner in owners if not owner.startswith(LAYER)]
    shown = f"{LAYER.strip()}{'s' * (len(layers) > 1)} {list_names(layers, _NAMED)}"
    named = " and ".join([*others, shown])
    return f"{named}: {text}" if is_listed else f"{named}: each {text}"
