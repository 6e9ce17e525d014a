"""Give libraries a file by a name whose ending isn't the one that they demand."""

from __future__ import annotations


class EndingName(str):
    """A path that ends, as far as a loader asks, as it likes.

    The Kerases tell the kind of a model file by `str(path).endswith(…)` alone, and then open the
    path. An open file has a name, such as `/proc/self/fd/5`, and that has no ending. A link that
    has one would stay behind if the process were killed.

    Args:
        path: The path that is opened.
        ending: What it is to end in, such as ".keras".
    """

    __slots__ = ("_ending",)
    _ending: str

    def __new__(cls, path: str, ending: str) -> EndingName:
        """Make one; a text can't be changed later."""
        name = super().__new__(cls, path)
        name._ending = ending
        return name

    def __str__(self) -> str:
        """Give itself, as `str` of any text does."""
        return self

    def endswith(self, suffix: str | tuple[str, ...], *place: int) -> bool:  # type: ignore[override]
        """Tell whether the ending is it, or one of several."""
        return self._ending.endswith(suffix, *place)
