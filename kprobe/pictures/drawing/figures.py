"""A figure: its sizes in inches, its header, and how it is shown in a notebook."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from kprobe.pictures.colour import INFINITY, NAN, list_colours
from kprobe.pictures.texts import make_drawable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from kprobe.pictures.colour import Scale
    from kprobe.pictures.files import PictureFormat

DPI = 120
MARGIN = 0.15  # inches, as all sizes here
HEADER = 0.72
_TITLE, _LINE = 11, 8  # points
_MOST_PIXELS = 8000  # of a side; matplotlib refuses 2**16
_SEEN = 400  # characters of a text, at most
_GREY = "#555555"
_FONT = "DejaVu Sans"  # which comes with matplotlib
_STYLE: Any = {
    "figure.dpi": DPI,
    "savefig.dpi": "figure",
    "font.family": [_FONT],
    "font.size": _LINE,
    "axes.labelsize": _LINE,
    "axes.titlesize": _LINE,
    "axes.titlepad": 3,
    "axes.linewidth": 0.5,
    "axes.labelcolor": _GREY,
    "axes.formatter.limits": [-4, 5],
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.hashsalt": "kprobe",
    "image.interpolation": "nearest",
}
# Neither times nor versions.
_METADATA: dict[PictureFormat, dict[str, Any]] = {
    "png": {"Software": "kprobe"},
    "svg": {"Creator": "kprobe", "Date": None},
    "pdf": {"Creator": "kprobe", "Producer": None, "CreationDate": None},
}


class Picture(Figure):
    """A figure that notebooks show, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        return encode(self, "png")


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in kprobe's style within the block, whatever the user's own is."""
    with rc_context():
        rcdefaults()
        rcParams.update(_STYLE)
        yield


def encode(figure: Figure, form: PictureFormat) -> bytes:
    """Give a figure as the content of a file; equal figures are equal bytes."""
    content = io.BytesIO()
    with styled():
        figure.savefig(content, format=form, metadata=_METADATA[form])
    return content.getvalue()


def start(width: float, height: float) -> Picture:
    """Give an empty figure of a size in inches, its header included."""
    return Picture(figsize=(width, height), dpi=min(DPI, _MOST_PIXELS / max(width, height)))


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches, counted from the upper left corner of the figure."""
    whole_width, whole_height = figure.get_size_inches()
    bottom = whole_height - top - height
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )


def write_header(figure: Figure, title: str, lines: Sequence[str]) -> None:
    """Write the title, and two lines below it, each cut to the figure's width."""
    width, height = figure.get_size_inches()
    for place, (text, size, weight, colour) in enumerate(
        [(title, _TITLE, "bold", "black"), *((line, _LINE, "normal", _GREY) for line in lines[:2])]
    ):
        font = FontProperties(family=_FONT, size=size, weight=weight)
        figure.text(
            MARGIN / width,
            1 - (0.27 + 0.19 * place) / height,
            fit_text(text, width - 2 * MARGIN, font),
            fontproperties=font,
            color=colour,
            parse_math=False,
        )


def fit_text(text: str, width: float, font: FontProperties) -> str:
    """Make a text drawable, and cut it to a width in inches."""
    place, size = findfont(font), font.get_size_in_points()

    def has_glyph(number: int) -> bool:
        return bool(get_font(place).get_char_index(number))

    def fits(part: str) -> bool:
        return sum(_measure(each, place, size) for each in part) <= width

    # What can't be seen needn't be measured.
    known = text if len(text) <= _SEEN else f"{text[: _SEEN // 2]}…{text[-_SEEN // 2 :]}"
    return shorten(make_drawable(known, has_glyph), fits)


@cache
def _measure(character: str, place: str, size: float) -> float:
    """Give how wide a character of a font is, in inches; matplotlib measures whole texts slowly."""
    font = get_font(place)
    font.set_size(size, DPI)
    return float(font.load_char(ord(character)).linearHoriAdvance / 65536 / DPI)


def as_colour(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """Give a colour of numbers to 255 as matplotlib takes it."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def small_font(size: float = 7) -> FontProperties:
    """Give the font of small labels, of a size in points."""
    return FontProperties(family=_FONT, size=size)


def make_colours(scale: Scale) -> tuple[Colormap, Normalize]:
    """Give matplotlib's colours for a scale; what is masked has the colour of NaN."""
    colours = ListedColormap(list_colours(scale.palette) / 255, name=scale.palette)
    return colours.with_extremes(bad=as_colour(NAN)), Normalize(scale.low, scale.high)


def add_colour_bar(
    figure: Figure, place: tuple[float, float, float, float], scale: Scale, label: str
) -> None:
    """Add a colour bar at a place in inches: left, top, width and height."""
    colours, norm = make_colours(scale)
    axes = add_axes(figure, *place)
    figure.colorbar(ScalarMappable(norm, colours), cax=axes, label=label)
    axes.yaxis.set_major_locator(MaxNLocator(5))


def add_unfinite_key(figure: Figure, scale: Scale, *, nan: bool, infinite: bool) -> None:
    """Say in the upper right corner which colours NaN and infinity have, where there are any."""
    told = [("NaN", NAN)] * nan + [("infinite", INFINITY[scale.palette])] * infinite
    patches: list[Any] = [
        Patch(facecolor=as_colour(colour), edgecolor="black", linewidth=0.5, label=name)
        for name, colour in told
    ]
    if patches:
        figure.legend(handles=patches, loc="upper right", ncols=2, borderaxespad=0.2)
