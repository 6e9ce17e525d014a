"""Where panels stand on a page, and which of them have ticks and the names of axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from kprobe.pictures.drawing.figures import HEADER, add_axes, fit_text, small_font

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 6.6  # of all panels, in inches, as all sizes here
_WIDEST, _NARROWEST = 4.4, 0.9
_GAP, _TITLE = 0.12, 0.2
_LEFT, _BOTTOM, _BAR = 0.62, 0.5, 0.95
_NAMES = 1.3
_LEAST = 4.2  # of the page
_STRETCHED = 8  # sides of a larger ratio are drawn as a square
_NAMED = 24  # samples whose names fit beside a matrix


class Grid:
    """Panels of one size, in lines.

    Args:
        count: How many there are.
        shape: The rows and columns of what each shows.
        columns: How many stand beside each other; None for as many as fit.
        titled: Whether each has a title above it.
        names: The numbers and names of the rows, `3: cat.jpg`, where these have any.

    Attributes:
        width: Of the page, in inches.
        height: Of the page, in inches.
        aspect: Whether a row is as high as a column is wide: "equal" or "auto".
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int],
        columns: int | None,
        titled: bool,
        names: Sequence[str] = (),
    ) -> None:
        self._count, self._titled = count, titled
        self._names = names if len(names) <= _NAMED else ()
        self._numbers = names
        ratio = shape[0] / max(shape[1], 1)
        fits = 1 / _STRETCHED <= ratio <= _STRETCHED
        self.aspect: Literal["equal", "auto"] = "equal" if fits else "auto"
        ratio = ratio if fits else 1.0
        self.columns = columns or choose_columns(count, ratio)
        self._lines = math.ceil(count / self.columns)
        width = max(min(_WIDEST, _WIDTH / self.columns - _GAP), _NARROWEST)
        if ratio * width > _WIDEST:
            width = max(_WIDEST / ratio, _NARROWEST / 2)
        self._panel = width, width * ratio
        self._left = _LEFT + (_NAMES if self._names else 0)
        self.width = max(_LEAST, self._left + self.columns * (width + _GAP) + _BAR)
        self.height = HEADER + self._lines * self._line + _BOTTOM

    @property
    def _line(self) -> float:
        return self._panel[1] + _GAP + self._above

    @property
    def _above(self) -> float:
        return _TITLE if self._titled else 0

    @property
    def bar(self) -> tuple[float, float, float, float]:
        """Where the colour bar stands: left, top, width and height."""
        left = self._left + self.columns * (self._panel[0] + _GAP) + 0.05
        whole = self._lines * self._line - _GAP - self._above
        return left, HEADER + self._above, 0.12, min(whole, 3.0) if self._lines > 1 else whole

    def add(self, figure: Figure, number: int, title: str) -> Axes:
        """Add the axes of a panel, with its title."""
        row, column = divmod(number, self.columns)
        left = self._left + column * (self._panel[0] + _GAP)
        top = HEADER + row * self._line + self._above
        axes = add_axes(figure, left, top, *self._panel)
        fitting = fit_text(title, self._panel[0] + _GAP / 2, small_font())
        axes.set_title(fitting, fontsize=7, parse_math=False)
        return axes

    def label(self, axes: Axes, number: int, across: str, down: str) -> None:
        """Give a panel its ticks, and the names of its axes where it stands at an edge."""
        bins = 3 if self._panel[0] < 1.6 else 5
        is_low = number + self.columns >= self._count
        is_left = number % self.columns == 0
        for axis, name, outer in ((axes.xaxis, across, is_low), (axes.yaxis, down, is_left)):
            if outer:
                axis.set_major_locator(MaxNLocator(bins, integer=True))
                axis.set_label_text(name, parse_math=False)
            else:
                axis.set_ticks([])  # drawing ticks takes longer than the panel
        if self._names and is_left:
            axes.yaxis.set_major_locator(FixedLocator(range(len(self._names))))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: self._name(at)))
            for text in axes.get_yticklabels():
                text.set_parse_math(False)
        elif self._numbers and is_left:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: self._number(at)))

    def _number(self, at: float) -> str:
        place = round(at)
        known = 0 <= place < len(self._numbers) and place == at
        return self._numbers[place].partition(":")[0] if known else ""

    def _name(self, at: float) -> str:
        return fit_text(self._names[round(at)], self._left - 0.35, small_font())


def choose_columns(count: int, ratio: float) -> int:
    """Choose how many panels stand beside each other: about as many inches as below each other.

    Args:
        count: How many there are.
        ratio: The height of one over its width.
    """
    beside = 3 if count == 3 and ratio < 2 else math.ceil(math.sqrt(count * ratio))
    return math.ceil(count / math.ceil(count / beside))


def tell_axis(names: Sequence[str | None], place: int | None, skipped: int = 0) -> str:
    """Give the name of an axis, or its number, those skipped not counted."""
    at = cast("int", place)
    return names[at] or f"axis {at - skipped}"
