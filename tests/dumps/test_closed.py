"""A dump that is closed, or no dump at all, is refused in plain words."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe
from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError


@pytest.fixture
def path(tmp_path):
    label = np.zeros(1, "i8")
    columns = [
        Column("d", (2,), np.dtype("f4"), {"addresses": ["d"]}),
        Column("label", (1,), label.dtype, {"classes": ["a"]}, label, by_sample=True),
        VALID,
        REASON,
    ]
    contents = Contents(columns=columns, samples=["x"])
    with Writer(OutputSpec(path=tmp_path / "a.h5"), contents) as writer:
        rows = {"d": np.ones((1, 2), "f4"), "valid": np.ones(1, "u1"), "reason": np.zeros(1, "S96")}
        writer.write(0, rows)
        writer.finish()
    return tmp_path / "a.h5"


ASKED = {
    "column": lambda dump: dump["d"],
    "valid": lambda dump: dump.valid,
    "reason": lambda dump: dump.reason,
    "label": lambda dump: dump.label,
    "sample": lambda dump: dump.sample,
    "left out": lambda dump: dump.count_left_out(),
    "part of valid": lambda dump: dump.read_valid(0, 1),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_closed_dump_says_so(path, asked):
    with kprobe.open_dump(path) as dump:
        pass
    with pytest.raises(DumpError) as caught:
        ASKED[asked](dump)
    assert caught.value.faults == (f"{path}: expected an open dump, received a closed one",)
    assert repr(dump).endswith("closed>")


def test_what_was_read_before_stays(path):
    with kprobe.open_dump(path) as dump:
        assert dump.sample.tolist() == ["x"]
    assert dump.sample.tolist() == ["x"]
    assert [*dump] == ["d"]


@pytest.mark.parametrize("name", [5, None, 2.5, [], np.zeros(2)])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(DumpError, match="expected the name of a dump, received"):
        kprobe.open_dump(name)
