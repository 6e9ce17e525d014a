"""--config: the command line as a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import kprobe
from kprobe.cli.commands.dump import dump
from kprobe.cli.config_file import write_config

JOB = """
model = "sample_models/digits_cnn.keras"
layers = ["features", "scores=digit"]
input = "sample_models/digits.npz"
scale = 0.5
limit = 20
batch-size = 7
exact = true
stop-after = "3h"
output = "a.h5"
"""


@pytest.fixture
def job(folder):
    path = folder / "job.toml"
    path.write_text(JOB)
    return path


@pytest.fixture
def plan(kprobe_here):
    """What a command line would do."""

    def run(*arguments):
        done = kprobe_here("dump", *arguments, "--dry-run", "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_file_says_what_the_command_line_would(kprobe_here, job):
    assert kprobe_here("dump", "--config", "job.toml").exit_code == 0
    with kprobe.open_dump("a.h5") as made:
        assert made.columns == ["features", "scores"]
        assert (made.rows, made.attrs["batch_size"]) == (20, 7)
        options = json.loads(made.attrs["options"])
        assert (options["exact"], options["preprocessing"]) == (True, {"": {"scale": 0.5}})


def test_the_command_line_wins(plan, job):
    planned = plan("--config", "job.toml", "--layers", "relu1", "--limit", "5", "--batch-size", "2")
    assert [entry["address"] for entry in planned["datasets"]] == ["relu1"]
    assert (planned["samples"], planned["batch_size"]) == (5, 2)


def test_an_option_puts_aside_the_one_it_excludes(plan, job):
    planned = plan("--config", "job.toml", "--all", "--random", "3")
    assert (len(planned["datasets"]), planned["samples"]) == (12, 3)
    job.write_text(JOB.replace('layers = ["features", "scores=digit"]', "all = true"))
    assert len(plan("--config", "job.toml", "--layers", "relu1")["datasets"]) == 1


def test_the_model_may_stand_on_the_command_line(plan, job):
    job.write_text('layers = "same"\nrandom = 3\n')
    planned = plan("sample_models/siamese.keras", "--config", "job.toml")
    assert (planned["datasets"][0]["address"], planned["samples"]) == ("same", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layer = 'a'", "layer is no option; nearest: layers"),
        ("batch_size = 3", "batch_size is no option; nearest: batch-size"),
        ("config = 'b.toml'", "config is no option"),
        ("exact = 'yes'", "exact: expected true or false, received 'yes'"),
        ("limit = true", "limit: expected a text or a number, received True"),
        ("limit = [1, 2]", "limit: expected a text or a number, received [1, 2]"),
        ("layers = [['a']]", "layers: expected a text or a number, or several, received [['a']]"),
    ],
)
def test_a_fault_of_the_file_is_one_line(kprobe_here, job, text, said):
    job.write_text(text + "\n")
    done = kprobe_here("dump", "--config", "job.toml")
    assert done.exit_code == 2
    assert done.stderr == f"kprobe: --config job.toml: {said}\n"


def test_all_faults_are_told_at_once(kprobe_here, job):
    job.write_text("layer = 'a'\nexact = 1\n")
    assert kprobe_here("dump", "--config", "job.toml").stderr.count("\n") == 2
    # What the file was to say isn't missing beside it.
    told = kprobe_here("dump", "--config", "job.toml", "--limit", "1k", "--batchsize", "3").stderr
    assert [line.split(":")[1].strip() for line in told.splitlines()] == [
        "dump has no option --batchsize; nearest",
        "--config job.toml",
        "--config job.toml",
        "--limit",
    ]


def test_what_an_option_refuses_is_refused_in_the_file(kprobe_here, job):
    job.write_text(JOB.replace('"3h"', '"3 hours"'))
    done = kprobe_here("dump", "--config", "job.toml")
    assert done.exit_code == 2
    assert "--stop-after" in done.stderr
    assert "received '3 hours'" in done.stderr


def test_a_file_that_cannot_be_read_is_one_line(kprobe_here, folder):
    (folder / "bad.toml").write_text("layers = [\n")
    done = kprobe_here("dump", "--config", "bad.toml")
    assert re.fullmatch(r"kprobe: --config bad\.toml isn't TOML: .*\n", done.stderr)
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    assert "isn't TOML" in kprobe_here("dump", "--config", "binary.toml").stderr
    done = kprobe_here("dump", "--config", "none.toml")
    assert done.stderr == "kprobe: --config none.toml can't be read: No such file or directory\n"
    assert done.exit_code == 2


def test_whatever_is_written_is_read_as_it_was(plan, folder):
    awkward = 'a "b"\\\t\x7f\N{GREEK SMALL LETTER ALPHA}\N{GRINNING FACE}.keras'
    Path(awkward).symlink_to("sample_models/digits_cnn.keras")
    text = write_config(
        dump, {"model": awkward, "layers": ["digit"], "random": 3, "training": True}
    )
    (folder / "job.toml").write_text(text)
    assert plan("--config", "job.toml")["samples"] == 3
