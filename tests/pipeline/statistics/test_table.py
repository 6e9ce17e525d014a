"""Statistics in a table: numbers in a few digits, fractions, and histograms in a line."""

from __future__ import annotations

import pytest

from kprobe.analysis.statistics.summary import Histogram
from kprobe.pipeline.statistics.table import draw, write_number, write_part


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [
        ([1] * 32, "█" * 16),
        ([0] * 31 + [5], " " * 15 + "█"),
        ([1000, 0] + [0, 1] + [0] * 28, "█▁" + " " * 14),
        ([8, 0, 4, 0, 1, 0], "█ ▄ ▁ "),
        ([0] * 32, " " * 16),
    ],
)
def test_a_bar_is_as_high_as_its_count_and_only_nothing_is_blank(counts, drawn):
    assert draw(Histogram(edges=[float(i) for i in range(len(counts) + 1)], counts=counts)) == drawn


def test_numbers_have_a_few_digits_and_what_is_not_there_is_a_dash():
    told = [write_number(number) for number in (0.0, 0.123456, -12345678.0, 1e-9, None)]
    assert told == ["0", "0.1235", "-1.235e+07", "1e-09", "-"]


def test_a_fraction_is_nothing_or_all_only_where_it_is():
    told = [write_part(part) for part in (0.0, 1.0, 1e-9, 1 - 1e-9, 0.4762, None)]
    assert told == ["0 %", "100 %", "0.1 %", "99.9 %", "47.6 %", "-"]
