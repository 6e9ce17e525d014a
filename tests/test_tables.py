"""Tables as text."""

from __future__ import annotations

from kprobe.tables import align


def test_numbers_are_aligned_at_the_right_and_nothing_trails():
    rows = [["a", "1.5", ""], ["longer", "12", "x"]]
    assert align(["name", "number", "note"], rows, {"number"}) == [
        "name    number  note",
        "a          1.5",
        "longer      12  x",
    ]
