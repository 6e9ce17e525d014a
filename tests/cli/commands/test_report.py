from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer


@pytest.fixture
def dumped(folder):
    """A dump of maps: a.h5."""
    columns = [Column("a", (4, 4, 2), np.dtype("f4"), {"addresses": ["a"]})]
    contents = Contents(columns=columns, samples=["x.png", "y.png"])
    with Writer(OutputSpec(path=folder / "a.h5"), contents) as writer:
        writer.write(0, {"a": np.random.default_rng(0).random((2, 4, 4, 2), "f4")})
        writer.finish()
    return "a.h5"


def test_a_page_is_written_and_what_it_says_first_is_said(kprobe_here, dumped):
    done = kprobe_here("report", dumped)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(
        "kprobe: report.html: No NaN, no infinity, nothing dead in 1 tensor over 2 samples ("
    )
    page = Path("report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert '"samples":["x.png","y.png"]' in page


def test_samples_and_the_place_are_chosen(kprobe_here, dumped):
    done = kprobe_here("report", dumped, "--sample", "y.png", "-o", "b.html", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    assert '"samples":["y.png"]' in Path("b.html").read_text()
    assert not Path("report.html").exists()


def test_faults_are_told_in_a_line(kprobe_here, dumped):
    Path("mine.html").write_text("mine")
    for arguments, said in (
        ((dumped, "-o", "mine.html"), "is not a report of kprobe, and is not replaced"),
        ((dumped, "--sample", "z"), "has no sample 'z'"),
        (("mine.html",), "expected a dump, statistics, or a comparison as JSON"),
    ):
        done = kprobe_here("report", *arguments)
        assert done.exit_code == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert Path("mine.html").read_text() == "mine"


def test_what_diff_prints_is_taken(kprobe_here, dumped):
    done = kprobe_here("diff", dumped, dumped, "--json")
    assert json.loads(done.stdout)["same"]
    Path("d.json").write_text(done.stdout)
    done = kprobe_here("report", "d.json", "-o", "d.html")
    assert (done.exit_code, "all values are equal" in done.stderr) == (0, True)
