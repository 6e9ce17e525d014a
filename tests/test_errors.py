"""What errors say, and how settings are spelt in it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kprobe.cli.error_boundary import reporting
from kprobe.errors import (
    AddressError,
    CommandText,
    Hint,
    InputError,
    KprobeError,
    Setting,
    join_hints,
    merge_errors,
)

LEAVE_OUT = Hint("leave ", Setting("exact"), " out")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (Setting("exact"), "exact"),
        (Setting("overwrite", True), "overwrite=True"),
        (Setting("limit", 30), "limit=30"),
        (Setting("weights", "FILE"), "weights='FILE'"),
        (Setting("inputs", "NAME=SRC", python="{'NAME': …}"), "inputs={'NAME': …}"),
    ],
)
def test_python_spells_a_setting_as_an_argument(setting, text):
    assert str(setting) == text


def test_an_error_says_what_to_do():
    error = InputError("a is wrong", hint=LEAVE_OUT)
    assert str(error) == "a is wrong; leave exact out"
    assert error.hint == "leave exact out"
    several = InputError("a is wrong", "b, too", hint="look again")
    assert str(several) == "a is wrong\nb, too\nhint: look again"


def test_errors_keep_their_hints_when_they_are_merged():
    merged = merge_errors([AddressError("a", hint=LEAVE_OUT), InputError("b"), InputError("c")])
    assert type(merged) is AddressError
    assert merged.faults == ("a", "b", "c")
    assert merged.lines == ["a; leave exact out", "b", "c"]
    assert merged.spell(lambda setting: f"<{setting.name}>")[0] == "a; leave <exact> out"


def test_hints_are_joined_and_keep_their_settings():
    joined = join_hints([LEAVE_OUT, "look again"])
    assert joined.spell(lambda setting: "-x") == "leave -x out; look again"
    assert join_hints([]) is None


def test_the_command_line_spells_a_setting_as_its_flag():
    @click.group()
    def tool():
        pass

    @tool.command()
    @click.option("--input", "-i", "inputs")
    @click.option("--exact", is_flag=True)
    @click.pass_context
    def run(ctx, inputs, exact):
        with reporting(ctx.find_root()):
            raise KprobeError(
                "no",
                hint=Hint("give ", Setting("inputs", "SRC"), ", or ", Setting("exact", True)),
            )

    done = CliRunner().invoke(tool, ["run"])
    assert (done.exit_code, done.stderr) == (2, "kprobe: no; give --input SRC, or --exact\n")


def test_a_command_is_written_as_a_terminal_takes_it():
    assert str(CommandText("ls MODEL", ["ops"])) == "`kprobe ls MODEL --ops`"
