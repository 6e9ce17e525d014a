"""A command line that can't be meant: one line, in the words of all other mistakes."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kprobe.cli.main import cli
from kprobe.cli.usage_errors import explain_usage

LINES = {
    "dmup model.h5": "there is no command 'dmup'; nearest: dump",
    "explode": "there is no command 'explode'; there are dump, ls, find, show, bench",
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
    assert explain_usage(click.UsageError(message)) == line
