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
