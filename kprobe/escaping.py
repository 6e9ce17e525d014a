"""How a foreign text is shown: nothing hidden in it, and no more of it than fits."""

from __future__ import annotations

_CUT = " … "


def escape_hidden(text: str) -> str:
    r"""Write what can't be seen as Python does, such as `\n` or `\u202e`: a text is one line then.

    That is what moves the cursor, colours what follows or turns it round, and halves of
    characters: names in files may hold any of it.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def show_short(text: str, most: int) -> str:
    """Escape a text, and keep both ends of it where it is longer than `most` characters then."""
    # What is cut away isn't escaped first: it may be a whole file.
    return cut_middle(escape_hidden(cut_middle(text, most)), most)


def cut_middle(text: str, most: int) -> str:
    """Keep both ends of a text that is longer than `most` characters: what and why stand there."""
    if len(text) <= most:
        return text
    kept = max(most - len(_CUT), 2)
    return f"{text[: kept - kept // 2]}{_CUT}{text[-(kept // 2) :]}"
