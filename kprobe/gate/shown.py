"""How texts from a stranger's file are shown in messages, and which can be a file's name."""

from __future__ import annotations

_LONGEST = 60
_MARK = "..."


def show(text: str | bytes, quote: str = "'") -> str:
    """Show a text from a file: on one line, no longer than a name, nothing a terminal obeys.

    Args:
        text: The text; bytes are taken as UTF-8.
        quote: What stands around it.
    """
    if isinstance(text, bytes):
        text = text[: 4 * _LONGEST].decode("utf-8", "backslashreplace")
    short = text if len(text) <= _LONGEST else text[: _LONGEST - len(_MARK)]
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in short.encode("utf-8", "backslashreplace").decode()
    )
    return f"{quote}{escaped}{_MARK if short != text else ''}{quote}"


def is_plain_name(name: str) -> bool:
    """Tell whether a text names a file of one directory, and none elsewhere."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
