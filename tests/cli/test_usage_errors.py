"""A command line that can't be meant: a line for each fault, in the words of all other mistakes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kprobe.cli.main import cli
from kprobe.cli.usage_errors import explain_usage

LINES = {
    "dmup model.h5": "there is no command 'dmup'; nearest: dump",
    "explode": "there is no command 'explode'; there are dump, check, ls, find, show, stats, "
    "diff, similarity, plot, cam, report, merge, clean, bench, help",
    "--verison": "there is no option --verison; nearest: --version",
    "--zzz": "there is no option --zzz; `kprobe --help` lists what there is",
    "dump m.h5 --layer x": "dump has no option --layer; nearest: --layers",
    "dump m.h5 --all --batchsize 3": "dump has no option --batchsize; nearest: --batch-size",
    "ls m.h5 -z": "ls has no option -z; `kprobe ls --help` lists what there is",
    "dump --all": "dump: expected MODEL; `kprobe dump --help` tells more",
    "find m.h5": "find: expected REGEX; `kprobe find --help` tells more",
    "ls m.h5 a b c": "ls: expected no more arguments, received b, c",
    "ls m.h5 a b c d e f": "ls: expected no more arguments, received b, c, d and 2 more",
    "dump m.h5 --layers": "--layers: expected a value",
    "dump m.h5 --all=3": "--all: expected no value",
    "dump m.h5": "expected either --layers or --all, received neither",
    "dump m.h5 --all --layers x": "expected either --layers or --all, received both",
    "dump m.h5 --all -b 3": "dump has no option -b; `kprobe dump --help` lists what there is",
    "dump m.h5 --all --limit x": "--limit: expected a whole number from 1, received 'x'",
    "dump m.h5 --all --limit 0": "--limit: expected a whole number from 1, received 0",
    "dump m.h5 --all --limit 1.5": "--limit: expected a whole number from 1, received '1.5'",
    "dump m.h5 --all --limit 1k": (
        "--limit: expected a whole number from 1, received '1k'; did you mean 1000?"
    ),
    "dump m.h5 --all --seed 10,000": (
        "--seed: expected a whole number from 0, received '10,000'; did you mean 10000?"
    ),
    "dump m.h5 --all --batch-size 2.5e3": (
        "--batch-size: expected a whole number from 1, received '2.5e3'; did you mean 2500?"
    ),
    "dump m.h5 --all --limit 1.5k": (
        "--limit: expected a whole number from 1, received '1.5k'; did you mean 1500?"
    ),
    "dump m.h5 --all --limit 1kk": "--limit: expected a whole number from 1, received '1kk'",
    "dump m.h5 --all --dtype float": (
        "--dtype: expected float16, float32 or as-is, received 'float'"
    ),
    "dump m.h5 --all --keras 4": "--keras: expected 2 or 3, received '4'",
    "dump m.h5 --all --fail-on inf": "--fail-on: expected nan, received 'inf'",
    "dump m.h5 --all --max-bytes x": (
        "--max-bytes: expected a size such as 500M, 200G or 1.5T, received 'x'"
    ),
    "dump m.h5 --all --arg x": "--arg: expected KEY=VALUE, received 'x'",
    "show m.h5 --json --as-config": "expected either --json or --as-config, received both",
}


@pytest.fixture(autouse=True)
def model():
    """A model file that is there: what is wrong with it isn't looked for."""
    Path("m.h5").symlink_to("sample_models/shapes_rpn.h5")


# What people type who come from other tools, and how an option is called here, or that none is.
MEANT = {
    "--layer": "--layers",
    "--outptu": "--output",
    "--out": "--output",
    "--output-dir": "--output",
    "--batch": "--batch-size",
    "--batch_size": "--batch-size",
    "--Batch-Size": "--batch-size",
    "--preproces": "--preprocess",
    "--seeed": "--seed",
    "--customobjects": "--custom-objects",
    "--model": None,
    "--gpu": None,
    "--feature": None,
    "--samples": None,
    "--data": None,
    "--format": None,
    "--compress": None,
    "--force": None,
    "--num-workers": None,
    "--shapes": None,
}


@pytest.mark.parametrize("wrong", MEANT)
def test_what_is_suggested_is_near(wrong):
    done = CliRunner().invoke(cli, ["dump", "m.h5", "--all", f"{wrong}=3"], prog_name="kprobe")
    meant = MEANT[wrong]
    hint = f"nearest: {meant}" if meant else "`kprobe dump --help` lists what there is"
    assert done.stderr.splitlines()[0] == f"kprobe: dump has no option {wrong}; {hint}"


@pytest.mark.parametrize("line", LINES)
def test_a_mistake_is_one_line_with_what_would_be_right(line):
    done = CliRunner().invoke(cli, line.split(), prog_name="kprobe")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"kprobe: {LINES[line]}\n"


SEVERAL = {
    "dump m.h5 --all --limit x --keras 4": [
        "--limit: expected a whole number from 1, received 'x'",
        "--keras: expected 2 or 3, received '4'",
    ],
    "dump m.h5 --all --fail-on inf --arg x --scale no --stop-after soon": [
        "--fail-on: expected nan, received 'inf'",
        "--arg: expected KEY=VALUE, received 'x'",
        "--scale: expected a number or a fraction such as 1/255, received 'no'",
        "--stop-after: expected a time such as 90s, 30m, 3h or 2d, received 'soon'",
    ],
    "dump --limit 0": [
        "--limit: expected a whole number from 1, received 0",
        "dump: expected MODEL; `kprobe dump --help` tells more",
        "expected either --layers or --all, received neither",
    ],
    "find": [
        "find: expected MODEL; `kprobe find --help` tells more",
        "find: expected REGEX; `kprobe find --help` tells more",
    ],
    "dump m.h5 --layer x --batchsize 3 --verbos": [
        "dump has no option --layer; nearest: --layers",
        "dump has no option --batchsize; nearest: --batch-size",
        "dump has no option --verbos; nearest: --verbose",
    ],
    "dump m.h5 --layer x --batchsize many --zzz 3 --limit 0 --device": [
        "dump has no option --layer; nearest: --layers",
        "dump has no option --batchsize; nearest: --batch-size",
        "dump has no option --zzz; `kprobe dump --help` lists what there is",
        "--device: expected a value",
        "--batch-size: expected a whole number from 1, received 'many'",
        "--limit: expected a whole number from 1, received 0",
    ],
    "dump m.h5 -x --exact=1 -y7 a b": [
        "dump has no option -x; `kprobe dump --help` lists what there is",
        "--exact: expected no value",
        "dump has no option -y; `kprobe dump --help` lists what there is",
        "expected either --layers or --all, received neither",
    ],
    "dump m.h5 a --limit x --json -o - --resume --profile p": [
        "--limit: expected a whole number from 1, received 'x'",
        "dump: expected no more arguments, received a",
        "--json and -o - both want stdout",
        "--profile and -o - both want stdout",
        "-o - leaves nothing that --resume could continue",
        "expected either --layers or --all, received neither",
    ],
    "dump gone.h5 --layers @gone.txt --limit x": [
        "--limit: expected a whole number from 1, received 'x'",
        "--layers @gone.txt can't be read: No such file or directory",
    ],
    "dump gone.h5 --layers x --limit x --input image=gone.npy": [
        "--limit: expected a whole number from 1, received 'x'",
        "gone.h5: no such file; check the model's path",
        "gone.npy: expected a file of arrays, records or images, received a path where there is no "
        "file",
    ],
    "dump m.h5 --layers x --limit x --input a.npy --random 3 --feed a": [
        "--limit: expected a whole number from 1, received 'x'",
        "a feed: expected ADDRESS=SRC, received a",
        "expected inputs or random samples, received both: a.npy and 3 random rows; leave --input "
        "or --random out",
    ],
    "bench m.h5 --limitt 3 --device": [
        "bench has no option --limitt; `kprobe bench --help` lists what there is",
        "--device: expected a value",
        "expected either --layers or --all, received neither",
    ],
    "bench m.h5 --all --batch-size 1,x --seconds 0": [
        "--batch-size: expected numbers with commas such as 1,8,32, received '1,x'",
        "--seconds: expected a time such as 90s, 30m, 3h or 2d, received '0'",
    ],
}


@pytest.mark.parametrize("line", SEVERAL)
def test_all_values_that_are_wrong_are_told_at_once(line):
    done = CliRunner().invoke(cli, line.split(), prog_name="kprobe")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"kprobe: {fault}" for fault in SEVERAL[line]]


@pytest.mark.parametrize(
    ("names", "before", "after", "pattern"),
    [
        (["photos/a.jpg", "photos/b.JPG"], ["--all", "--input"], [], "--input 'photos/*.jpg'"),
        (["x/a.npy", "x/b.npy", "x/c.npy"], ["-i"], ["--all"], "-i 'x/*.npy'"),
        (["conv1", "conv2", "conv.txt"], ["--layers"], [], "--layers '*'"),
        (["a/1.png", "a/b/2.png", "a/b/3.png"], ["--all", "--input"], [], "--input 'a/**/*.png'"),
        (["a/1.png", "a/2.png", "m.h5"], ["--all", "-i"], [], "-i 'a/*.png'"),
    ],
)
def test_a_pattern_that_the_shell_took_is_to_be_quoted(names, before, after, pattern):
    for name in names:
        if Path(name).exists():
            continue
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    extra = ", ".join(names[1:])
    done = CliRunner().invoke(cli, ["dump", "m.h5", *before, *names, *after])
    assert done.stderr.splitlines()[0] == (
        f"kprobe: dump: expected no more arguments, received {extra}; put a pattern in quotes, or "
        f"the shell makes several arguments of it: {pattern}"
    )


def test_what_is_wrong_in_a_file_is_told_with_what_is_wrong_beside_it(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text('limit = "many"\n')
    line = ["dump", "m.h5", "--config", str(file), "--all", "--max-bytes", "x"]
    told = CliRunner().invoke(cli, line).stderr.splitlines()
    assert sorted(told) == [
        "kprobe: --limit: expected a whole number from 1, received 'many'",
        "kprobe: --max-bytes: expected a size such as 500M, 200G or 1.5T, received 'x'",
    ]


def test_help_comes_before_any_fault():
    done = CliRunner().invoke(cli, ["dump", "--limit", "x", "--help"])
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: ")


def test_without_a_command_there_is_the_help():
    done = CliRunner().invoke(cli, [])
    assert done.exit_code == 2
    assert done.stderr.startswith("Usage: ")
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Expected one of both.", "expected one of both"),
        ("HDF5 isn't for a terminal.", "HDF5 isn't for a terminal"),
        ("-o - writes HDF5: pipe it.", "-o - writes HDF5: pipe it"),
        ("", ""),
    ],
)
def test_a_sentence_becomes_what_follows_a_colon(message, line):
    assert explain_usage(click.UsageError(message)) == [line]
