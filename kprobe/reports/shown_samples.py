"""Which samples of a dump there are pictures of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.errors import InputError
from kprobe.naming import name_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.dumps.reader import Dump

MOST_SAMPLES = 4


def choose_rows(dump: Dump, samples: Sequence[str | int]) -> list[int]:
    """Choose the rows of samples.

    Args:
        dump: The dump.
        samples: Their names or rows, up to four; none for the first four that could be read.

    Returns:
        Their rows, in the order asked for.

    Raises:
        InputError: There is no such sample, or there are too many.
    """
    if len(samples) > MOST_SAMPLES:
        raise InputError(
            f"samples: expected {MOST_SAMPLES} at most, received {len(samples):,}",
            hint="make several reports",
        )
    if not samples:
        valid = dump.read_valid(0, min(dump.committed, 1 << 16))
        known = range(dump.committed) if valid is None else np.flatnonzero(valid).tolist()
        return [int(row) for row in known[:MOST_SAMPLES]]
    rows: dict[int, None] = {}
    names: list[str] | None = None
    for sample in samples:
        number = int(sample) if str(sample).isascii() and str(sample).isdigit() else None
        if number is None:
            names = dump.describe_samples()["sample"].tolist() if names is None else names
            if str(sample) not in names:
                raise InputError(
                    f"{dump.path}: has no sample {sample!r}",
                    hint=name_nearest(str(sample), names, 3),
                )
            number = names.index(str(sample))
        if number >= dump.committed:
            raise InputError(
                f"{dump.path}: expected a row below {dump.committed:,}, received {number:,}"
            )
        rows[number] = None
    return list(rows)


def name_samples(dump: Dump, rows: Sequence[int]) -> list[str]:
    """Give the names of samples, each with its label where it has one."""
    names = []
    for row in rows:
        known = dump.describe_samples(row, row + 1)
        label = f" ({known['label'][0]})" if "label" in known else ""
        names.append(f"{known['sample'][0]}{label}")
    return names
