"""--progress: how far a run is, for people and for programs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import kprobe.cli.rendering.progress
from kprobe.cli.rendering.progress import _describe, showing_progress
from kprobe.pipeline.running.progress import Progress

DIGITS = "sample_models/digits_cnn.keras"
KEYS = [
    *("samples", "total", "samples_per_s", "bytes_per_s"),
    *("read_ahead", "to_write", "bottleneck", "eta_s"),
]


def make_progress(**values):
    given = {"rows": 30, "total": 50, "resumed": 10, "bytes": 8000, "began": 100.0}
    given |= {"read_ahead": 1, "to_write": 2, "bottleneck": "reading"}
    return Progress(**{**given, **values})


def test_a_line_of_json_tells_rates_of_this_run_alone():
    assert _describe(make_progress(), 104.0) == {
        "samples": 30,
        "total": 50,
        "samples_per_s": 5.0,
        "bytes_per_s": 2000,
        "read_ahead": 1,
        "to_write": 2,
        "bottleneck": "reading",
        "eta_s": 4.0,
    }


def test_the_manual_shows_such_a_line():
    page = (Path(__file__).parent.parent.parent.parent / "kprobe/help/command-line.md").read_text()
    shown = page.partition("```json shown\n")[2].partition("\n")[0]
    assert [*json.loads(shown)] == KEYS


@pytest.mark.parametrize("values", [{"total": None}, {"rows": 10}])
def test_no_end_is_told_where_nobody_knows_it(values):
    assert _describe(make_progress(**values), 104.0)["eta_s"] is None


def test_a_program_hears_of_a_run_every_second():
    assert kprobe.cli.rendering.progress._JSON_SECONDS == 1


def test_lines_of_json_come_by_the_clock_and_not_by_the_batch(monkeypatch):
    monkeypatch.setattr(kprobe.cli.rendering.progress, "_JSON_SECONDS", 0.01)
    written, third = [], threading.Event()

    class Lines:
        """Takes what is written to stderr, and reports the third line."""

        def write(self, text):
            written.append(text)
            if "".join(written).count("\n") == 3:
                third.set()

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stderr", Lines())
    with showing_progress("json") as update:
        update(make_progress())  # a batch that takes long
        assert third.wait(600)
    lines = "".join(written).splitlines()
    assert {json.loads(line)["samples"] for line in lines} == {30}


def test_any_number_of_batches_writes_no_more_lines(monkeypatch, capsys):
    monkeypatch.setattr(kprobe.cli.rendering.progress, "_JSON_SECONDS", threading.TIMEOUT_MAX)
    with showing_progress("json") as update:
        for rows in range(11, 50):
            update(make_progress(rows=rows))
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["samples"] == 49


def test_a_program_hears_of_a_run_that_was_stopped(kprobe_here):
    arguments = ("--layers", "relu1", "--random", "100000", "--batch-size", "4", "-o", "a.h5")
    done = kprobe_here("dump", DIGITS, *arguments, "--progress", "json", "--stop-after", "1.2s")
    assert done.exit_code == 75
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert all([*line] == KEYS for line in lines)
    samples = [line["samples"] for line in lines]
    assert samples == sorted(samples)
    assert 0 < samples[-1] < lines[-1]["total"] == 100_000
    for line in lines:
        assert line["bytes_per_s"] == pytest.approx(4096 * line["samples_per_s"], rel=0.01)
        assert line["bottleneck"] in ("reading", "computing", "writing")
        assert 0 <= line["read_ahead"] <= 8
        assert 0 <= line["to_write"] <= 8
        left = (line["total"] - line["samples"]) / line["samples_per_s"]
        assert line["eta_s"] == pytest.approx(left, rel=0.01)


def test_the_last_line_tells_of_all_samples(kprobe_here):
    arguments = ("dump", DIGITS, "--layers", "digit", "--random", "9", "-o", "a.h5")
    done = kprobe_here(*arguments, "--progress", "json")
    _, line, summary = done.stderr.splitlines()
    assert (json.loads(line)["samples"], json.loads(line)["eta_s"]) == (9, 0)
    assert summary.startswith("kprobe: a.h5: 9 samples")


@pytest.mark.parametrize("silent", ["--quiet", "--progress=none"])
def test_silence_wins(kprobe_here, silent):
    arguments = ("dump", DIGITS, "--layers", "digit", "--random", "9", "-o", "a.h5")
    progress = ("--progress", "json") if silent == "--quiet" else ()
    done = kprobe_here(*arguments, *progress, silent)
    assert done.exit_code == 0
    assert "{" not in done.stderr
    assert silent != "--quiet" or done.stderr == ""


SHOW = """
from time import monotonic
from kprobe.cli.rendering.printing import showing_status
from kprobe.cli.rendering.progress import showing_progress
from kprobe.pipeline.running.progress import Progress
with showing_status("loading", False):
    pass
with showing_progress("auto") as update:
    for rows in range(0, 60, 10):
        update(Progress(rows=rows, total=60, resumed=0, bytes=rows, began=monotonic() - 1,
                        read_ahead=0, to_write=0, bottleneck="reading"))
"""


@pytest.mark.parametrize("no_color", [False, True])
def test_no_color_is_respected_on_a_terminal(no_color):
    parent, terminal = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    command = [sys.executable, "-c", SHOW]
    with subprocess.Popen(command, stderr=terminal, env=env) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(parent, 4096):
                shown += piece
        except OSError:  # Linux's way to say that the other end is closed
            pass
    os.close(parent)
    assert process.returncode == 0
    assert b"samples" in shown
    assert (b"\x1b[38;5" in shown or b"\x1b[32m" in shown) != no_color
