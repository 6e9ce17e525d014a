"""How alike the layers of two dumps are, as `kprobe similarity` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.cli.rendering.printing import print_json, print_line, print_table, say

if TYPE_CHECKING:
    from kprobe.analysis.similarity import Similarity


def show_similarity(found: Similarity, as_json: bool) -> None:
    """Print the similarities: a row for each layer of A, a column for each of B.

    Where B has too many layers, the nearest one of each of A's is printed instead.
    """
    if as_json:
        print_json(found.to_json())
        return
    for note in found.notes:
        say(note)
    print_line(found.title)
    print_table(*found.tabulate())
