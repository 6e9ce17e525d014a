"""What is drawn, wherever it is from: read when its turn comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure

    from kprobe.pictures.subject import Distribution, Look, Points, Subject

Thing: TypeAlias = "Subject | Distribution | Points"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictured:
    """What is drawn.

    Attributes:
        source: What it is of: the name of a file, or of a model.
        names: For each picture the tensor's address, and its sample where there are pictures of
            several, as a text.
        things: The same in the same order, read one after another.
        look: What was asked for of their looks.
        lines: What is told of all of them.
        notes: What was left out, and why.
        read: The files, folders and patterns that it is read from.
    """

    source: str
    names: Sequence[tuple[str, str]]
    things: Iterator[Thing]
    look: Look
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    read: Sequence[str | os.PathLike[str]] = ()

    def draw(self) -> Figure:
        """Draw all on one page: the only one as large as fits, several on a contact sheet.

        Raises:
            KprobeError: One can't be drawn as asked for, or there is no matplotlib.
        """
        from kprobe.pictures.draw import draw, draw_together

        if len(self.names) == 1:
            return draw(next(self.things), self.look)
        titles = [f"{address} · {sample}" if sample else address for address, sample in self.names]
        return draw_together(self.things, titles, self.look, self.source, self.lines)

    def draw_each(self) -> Iterator[Figure]:
        """Draw each on a page of its own.

        Raises:
            KprobeError: As for `draw`.
        """
        from kprobe.pictures.draw import draw

        return (draw(thing, self.look) for thing in self.things)
