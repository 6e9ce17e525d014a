"""A command line that can't be meant: one line, in the words of all other mistakes."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kprobe.cli.main import cli
from kprobe.cli.usage_errors import explain_usage

LINES = {
    "dmup model.h5": "there is no command 'dmup'; nearest: dump",
    "explode": "there is no command 'explode'; there are dump, ls, find, show, bench, help",
    "--verison": "there is no option --verison; nearest: --version",
    "--zzz": "there is no option --zzz; `kprobe --help` lists what there is",
    "dump m.h5 --layer x": "dump has no option --layer; nearest: --layers",
    "dump m.h5 --batchsize 3": "dump has no option --batchsize; nearest: --batch-size",
    "ls m.h5 -z": "ls has no option -z; `kprobe ls --help` lists what there is",
    "dump": "dump: expected MODEL; `kprobe dump --help` tells more",
    "find m.h5": "find: expected REGEX; `kprobe find --help` tells more",
    "ls m.h5 a b c": "ls: expected no more arguments, received b c",
    "dump m.h5 --layers": "--layers: expected a value",
    "dump m.h5 --all=3": "--all: expected no value",
    "dump m.h5": "expected either --layers or --all",
    "dump m.h5 --all -b 3": "dump has no option -b; `kprobe dump --help` lists what there is",
    "dump m.h5 --all --limit x": "--limit: expected a whole number from 1, received 'x'",
    "dump m.h5 --all --limit 0": "--limit: expected a whole number from 1, received 0",
    "dump m.h5 --all --limit 1.5": "--limit: expected a whole number from 1, received '1.5'",
    "dump m.h5 --all --dtype float": (
        "--dtype: expected float16, float32 or as-is, received 'float'"
    ),
    "dump m.h5 --all --keras 4": "--keras: expected 2 or 3, received '4'",
    "dump m.h5 --all --fail-on inf": "--fail-on: expected nan, received 'inf'",
    "dump m.h5 --all --max-bytes x": (
        "--max-bytes: expected a size such as 500M, 200G or 1.5T, received 'x'"
    ),
    "dump m.h5 --all --arg x": "--arg: expected KEY=VALUE, received 'x'",
}


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
    ],
    "find": [
        "find: expected MODEL; `kprobe find --help` tells more",
        "find: expected REGEX; `kprobe find --help` tells more",
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
