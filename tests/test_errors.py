"""What errors say, and how settings are spelt in it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kprobe.cli.error_boundary import reporting
from kprobe.errors import (
    AddressError,
    CommandText,
    Hint,
    InputError,
    KprobeError,
    ModelError,
    Setting,
    UnsafeModelError,
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


def test_a_refusal_tells_the_first_fault_and_counts_the_others():
    hint = Hint("`", Setting("unsafe", True), "` opens it")
    faults = [f"layer 'l{number}' holds Python bytecode" for number in range(1001)]
    error = UnsafeModelError(*faults, hint=hint)
    assert str(error) == (
        "layer 'l0' holds Python bytecode, and 1,000 more faults; `unsafe=True` opens it"
    )
    assert str(UnsafeModelError(*faults[:2])) == f"{faults[0]}, and 1 more fault"
    assert error.lines == [*faults, "hint: `unsafe=True` opens it"]


def test_what_is_wrong_with_a_model_is_no_screenful():
    faults = [f"layer {number} has no weights" for number in range(40)]
    assert str(ModelError(*faults)).splitlines() == [*faults[:6], "and 34 more"]
    # Mistakes in what was asked are told all at once.
    assert len(str(AddressError(*faults)).splitlines()) == 40


def test_a_long_fault_keeps_its_ends_and_the_hint_if_it_has_room():
    path, cause = "a" * 400, "is damaged"
    short, long = "save it again", "x" * 200
    (told,) = ModelError(f"{path}: {cause}", hint=short).spell(str, 299)
    assert len(told) == 299
    assert told.startswith("aaa")
    assert told.endswith(f" … {'a' * 128}: is damaged; save it again")
    (without,) = ModelError(f"{path}: {cause}", hint=long).spell(str, 299)
    assert len(without) == 299
    assert without.endswith(": is damaged")
    assert ModelError("short", hint=long).spell(str, 299) == [f"short; {long}"]
    assert str(ModelError(f"{path}: {cause}", hint=long)) == f"{path}: {cause}; {long}"


NAMES = st.text(st.characters(categories=["L", "Cc", "Cf", "Zl"]), max_size=400)


@given(st.lists(NAMES, min_size=1, max_size=9), st.none() | NAMES)
def test_whatever_a_file_holds_it_is_refused_in_one_short_line(names, hint):
    error = UnsafeModelError(*(f"layer {name}" for name in names), hint=hint)
    (told,) = error.spell(str, 299)
    assert len(told) < 300
    assert told.isprintable()
    assert str(error).isprintable()
