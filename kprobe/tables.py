"""Tables as text, whose columns are aligned, and as HTML for notebooks; and shapes in them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from kprobe.escaping import escape_hidden, show_short

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# More rows nobody reads in a notebook, nor more characters in a cell.
_MOST_ROWS, _LONGEST = 60, 200
# One name of a megabyte would make a megabyte of each line.
_WIDEST = 500


def align(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]
) -> list[str]:
    """Give a table as lines, two spaces between its columns; very long cells lose their middle.

    Args:
        header: The titles of the columns.
        rows: The cells.
        numbers: The titles of those columns that are aligned at the right.
    """
    table = [header, *([_fit(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for cell, width, title in zip(row, widths, header, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _fit(cell: str) -> str:
    return show_short(cell, _WIDEST)


def format_shape(shape: Sequence[int | None] | None) -> str:
    """Write a shape, ? for what is open: (?,8,8); "" for one that isn't known."""
    if shape is None:
        return ""
    return "(" + ",".join("?" if size is None else str(size) for size in shape) + ")"


def write_html(
    title: str, lines: Sequence[str], header: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Give a table as HTML, in which no text is markup.

    Args:
        title: What stands above it.
        lines: What stands between the title and the table, a line each.
        header: The titles of the columns.
        rows: The cells; the first 60 rows are shown.
    """
    parts = [f"<p><b>{_escape(title)}</b></p>", *(f"<p>{_escape(line)}</p>" for line in lines)]
    cells = "".join(f"<th>{_escape(each)}</th>" for each in header)
    parts.append(f"<table><thead><tr>{cells}</tr></thead><tbody>")
    for row in rows[:_MOST_ROWS]:
        cells = "".join(f"<td><bdi>{_escape(each)}</bdi></td>" for each in row)
        parts.append(f"<tr>{cells}</tr>")
    parts.append("</tbody></table>")
    if len(rows) > _MOST_ROWS:
        parts.append(f"<p>… and {len(rows) - _MOST_ROWS:,} more</p>")
    return f"<div>{''.join(parts)}</div>"


def _escape(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return html.escape(escape_hidden(cut))
