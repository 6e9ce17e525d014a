from __future__ import annotations

import numpy as np
import pytest

from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.reports.shown_samples import choose_rows, name_samples


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A dump of six labelled samples, of which the first and the fourth couldn't be read."""
    path = tmp_path_factory.mktemp("dumps") / "a.h5"
    classes = np.array([0, 1, 1, 0, 0, 1], "i4")
    attrs = {"classes": ["cat", "犬"], "layout": "label"}
    label = Column("label", (6,), classes.dtype, attrs, classes, by_sample=True)
    columns = [Column("a", (2,), np.dtype("f4"), {"addresses": ["a"]}), label, VALID, REASON]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=list("abcdef"))) as writer:
        valid = np.array([0, 1, 1, 0, 1, 1], "u1")
        reason = np.where(valid, b"", b"torn").astype(REASON.dtype)
        writer.write(0, {"a": np.ones((6, 2), "f4"), "valid": valid, "reason": reason})
        writer.finish()
    return path


def test_those_that_could_not_be_read_are_passed_over(path):
    with open_dump(path) as dump:
        assert choose_rows(dump, ()) == [1, 2, 4, 5]
        assert choose_rows(dump, ["d"]) == [3]


def test_samples_have_their_labels(path):
    with open_dump(path) as dump:
        assert name_samples(dump, [4, 1]) == ["e (cat)", "b (犬)"]
