"""Tables as text, and as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

from kprobe.tables import align, write_html


def test_numbers_are_aligned_at_the_right_and_nothing_trails():
    rows = [["a", "1.5", ""], ["longer", "12", "x"]]
    assert align(["name", "number", "note"], rows, {"number"}) == [
        "name    number  note",
        "a          1.5",
        "longer      12  x",
    ]


def test_no_cell_moves_the_cursor_or_makes_each_line_long():
    rows = [["\x1b[2J\u202e", "1"], ["\x1b" * 10_000, "2"], [f"{'x' * 10**6}.", "3"]]
    header, *lines = align(["name", "number"], rows, set())
    assert lines[0].split() == ["\\x1b[2J\\u202e", "1"]
    assert all(line.isprintable() and len(line) <= 510 for line in lines)
    assert header.endswith("  number")
    assert lines[2].split()[0].startswith("xxx")
    assert lines[2].split()[-2].endswith("x.")


HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table>",
    '" onclick="x',
    "\u202eturned\u2028\0",
    "half \ud800",
    "x" * 10_000,
]


def read_html(text):
    """Give the elements, and the texts in cells, as a browser has them."""
    elements, cells = [], []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            elements.append(tag)
            assert not attrs

        def handle_data(self, data):
            cells.append(data)

    Parser().feed(text)
    return elements, cells


def test_nothing_in_a_table_of_a_notebook_is_markup():
    elements, cells = read_html(write_html(HOSTILE[0], HOSTILE, HOSTILE, [HOSTILE]))
    assert set(elements) <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "bdi"}
    assert elements.count("td") == elements.count("th") == len(HOSTILE)
    shown = [*HOSTILE[:3], "\\u202eturned\\u2028\\x00", "half \\ud800", "x" * 200 + "…"]
    assert cells == [HOSTILE[0], *shown, *shown, *shown]


def test_a_notebook_shows_the_first_rows_and_says_how_many_more():
    elements, cells = read_html(write_html("t", [], ["n"], [[str(n)] for n in range(1000)]))
    assert elements.count("td") == 60
    assert cells[-2:] == ["59", "… and 940 more"]
