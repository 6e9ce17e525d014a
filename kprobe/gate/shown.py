"""How texts from a stranger's file are shown in messages, and which can be a file's name."""

from __future__ import annotations

import reprlib

from kprobe.escaping import show_short

_LONGEST = 60
# Of what is nested or long it writes a part: all of it, at every level, would take long.
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _LONGEST


def show(text: str | bytes, quote: str = "'") -> str:
    """Show a text from a file: on one line, no longer than a name, nothing a terminal obeys.

    Args:
        text: The text; bytes are taken as UTF-8.
        quote: What stands around it.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return f"{quote}{show_short(text, _LONGEST)}{quote}"


def show_value(value: object) -> str:
    """Show a value from a file as Python writes it, a part of it where it is large."""
    return show(_repr.repr(value), "")


def show_name(name: object) -> str:
    """Show what should be a name in a file, without quotes: it may be any value."""
    return show(name, "") if isinstance(name, str) else show_value(name)


def is_plain_name(name: str) -> bool:
    """Tell whether a text names a file of one directory, and none elsewhere."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
