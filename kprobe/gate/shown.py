"""How texts from a stranger's file are shown in messages, and which can be a file's name."""

from __future__ import annotations

from kprobe.escaping import cut_middle, escape_hidden

_LONGEST = 60


def show(text: str | bytes, quote: str = "'") -> str:
    """Show a text from a file: on one line, no longer than a name, nothing a terminal obeys.

    Args:
        text: The text; bytes are taken as UTF-8.
        quote: What stands around it.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return f"{quote}{escape_hidden(cut_middle(text, _LONGEST))}{quote}"


def is_plain_name(name: str) -> bool:
    """Tell whether a text names a file of one directory, and none elsewhere."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
