"""The boundary: what an error of each kind ends with, and where -v shows its cause."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

import click
import keras
import pytest
from click.testing import CliRunner

from kprobe.cli.main import _Commands, cli
from kprobe.cli.options.verbosity import verbose_option
from kprobe.errors import (
    AddressError,
    DumpError,
    Hint,
    InputError,
    KprobeError,
    ModelCodeError,
    ModelError,
    Setting,
    UnsafeModelError,
    merge_errors,
)

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"
VERBOSE = "-v shows the traceback"


@pytest.fixture
def fail():
    """Run a command that raises an error; gives what it ended with."""

    def run(error, *arguments, cause=None):
        tool = _Commands()

        @tool.command()
        @click.option("--arg", "arguments", multiple=True)
        @click.option("--unsafe", is_flag=True)
        @verbose_option
        def break_down(arguments, unsafe, verbose):
            try:
                if cause is not None:
                    raise cause
            except BaseException as caught:
                raise error from caught
            raise error

        return CliRunner().invoke(tool, ["break-down", *arguments])

    return run


@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_every_command_is_verbose_on_request(command):
    flags = [
        flag for param in cli.get_command(click.Context(cli), command).params for flag in param.opts
    ]
    assert flags.count("-v") == flags.count("--verbose") == 1


def test_after_a_bug_what_was_held_back_is_shown_and_its_file_closed(fail, monkeypatch):
    held = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed by what is tested
    held.write(b"of a library\n")
    monkeypatch.setattr("kprobe.cli.stdio._held", [held])
    done = fail(ZeroDivisionError("of kprobe"))
    assert done.exit_code == 70
    assert "of a library\n" in done.stderr
    assert held.closed


@pytest.mark.parametrize("kind", [ModelError, InputError, ModelCodeError])
def test_the_traceback_of_the_cause_is_offered_and_shown(fail, kind):
    cause = ZeroDivisionError("of a layer")
    quiet = fail(kind("the model can't be traced"), cause=cause)
    assert quiet.stderr == f"kprobe: the model can't be traced; {VERBOSE}\n"
    loud = fail(kind("the model can't be traced"), "-v", cause=cause)
    first, *middle, shown, line = loud.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert any(__file__ in each for each in middle)
    assert shown == "ZeroDivisionError: of a layer"
    assert line == "kprobe: the model can't be traced"
    assert quiet.exit_code == loud.exit_code == 2


def test_the_offer_stands_behind_the_hint(fail):
    hint = Hint("`", Setting("unsafe", True), "` opens it")
    assert fail(ModelError("no", hint=hint), cause=KeyError(1)).stderr == (
        f"kprobe: no; `--unsafe` opens it; {VERBOSE}\n"
    )
    assert fail(ModelError("no", "nor this", hint=hint), cause=KeyError(1)).stderr == (
        "kprobe: no\nkprobe: nor this\nkprobe: hint: `--unsafe` opens it\n"
        f"kprobe: hint: {VERBOSE}\n"
    )


@pytest.mark.parametrize("kind", [ModelError, InputError, AddressError, DumpError, KprobeError])
def test_nothing_is_offered_where_there_is_no_more_to_see(fail, kind):
    assert fail(kind("no such file")).stderr == "kprobe: no such file\n"
    assert fail(kind("no such file"), "-v").stderr == "kprobe: no such file\n"


def test_no_traceback_is_offered_of_a_disk_that_is_full(fail):
    assert fail(DumpError("the disk is full"), cause=OSError(28, "no space")).stderr == (
        "kprobe: the disk is full\n"
    )


def test_the_causes_of_several_errors_are_shown(fail):
    def merge():
        inner = ModelError("second")
        inner.__cause__ = KeyError("two")
        return merge_errors([InputError("first"), inner])

    assert fail(merge()).stderr == f"kprobe: first\nkprobe: second\nkprobe: hint: {VERBOSE}\n"
    assert fail(merge(), "-v").stderr == "KeyError: 'two'\nkprobe: first\nkprobe: second\n"


def test_a_refusal_is_one_line_and_v_tells_all_of_it(fail):
    faults = ["layer 'a' holds Python bytecode", "layer 'b' reads its vocabulary from the file 'x'"]
    hint = Hint("`", Setting("unsafe", True), "` opens it")
    short = fail(UnsafeModelError(*faults, hint=hint))
    assert short.stderr == (
        f"kprobe: {faults[0]}, and 1 more fault; `--unsafe` opens it; -v tells all\n"
    )
    long = fail(UnsafeModelError(*faults, hint=hint), "-v")
    assert long.stderr.splitlines() == [
        *(f"kprobe: {fault}" for fault in faults),
        "kprobe: hint: `--unsafe` opens it",
    ]
    assert short.exit_code == long.exit_code == 4


@pytest.mark.parametrize("cause", [None, KeyError("x")])
@pytest.mark.parametrize("kind", [UnsafeModelError, ModelError, InputError, DumpError])
def test_no_line_is_longer_than_300_characters(fail, kind, cause):
    for length in (*range(200, 320), 5000):
        fault = f"m.h5: {'x' * length}: it is damaged"
        (line,) = fail(kind(fault, hint="save it again"), cause=cause).stderr.splitlines()
        assert len(line) < 300
        assert line.startswith("kprobe: m.h5: xx")
        assert "xx: it is damaged; save it again" in line
        whole = f"kprobe: {fault}; save it again"
        if cause is not None and kind is not DumpError:
            assert line.endswith(f"; {VERBOSE}")
        else:
            assert line == whole if len(whole) < 300 else line.endswith("; -v tells all")
        told = fail(kind(fault, hint="save it again"), "-v", cause=cause).stderr
        assert told.splitlines()[-1] == whole


def test_names_in_tracebacks_move_no_cursor_either(fail):
    cause = ValueError("layer '\x1b[2J\u202ex'\nis unknown")
    done = fail(ModelError("can't be loaded"), "-v", cause=cause)
    assert "ValueError: layer '\\x1b[2J\\u202ex'\nis unknown\n" in done.stderr


def test_a_setting_that_is_given_several_times_is_spelt_so(fail):
    error = ModelError("no", hint=Hint("give ", Setting("arguments", ("n=VALUE", "m=VALUE"))))
    assert fail(error).stderr == "kprobe: no; give --arg n=VALUE --arg m=VALUE\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsafeModelError("no"), 4),
        (KeyboardInterrupt(), 75),
        (ZeroDivisionError(), 70),
        (BrokenPipeError(), 141),
        (click.UsageError("no"), 2),
    ],
)
def test_each_kind_has_its_exit_code(fail, error, code):
    assert fail(error).exit_code == code


def test_a_traceback_is_there_for_the_real_thing(kprobe_warm, folder):
    (folder / "boom.py").write_text("def make():\n    return {}['layers']\n")
    quiet = kprobe_warm("ls", "boom.py:make")
    assert quiet.stderr.splitlines()[-1] == (
        f"kprobe: boom.py:make raised KeyError: 'layers'; {VERBOSE}"
    )
    loud = kprobe_warm("find", "boom.py:make", "x", "--verbose")
    assert "\nKeyError: 'layers'\nkprobe: boom.py:make raised KeyError: 'layers'\n" in loud.stderr
    assert quiet.returncode == loud.returncode == 2


BROKEN_SAMPLES = """
def at_once():
    return {}["first"]

def before_the_first_batch():
    yield {}["first"]

def labels():
    yield {}["second"]
"""


@pytest.mark.parametrize("name", ["at_once", "before_the_first_batch"])
def test_code_that_gives_no_sample_at_all_has_a_traceback_too(kprobe_light, folder, name):
    (folder / "mine.py").write_text(BROKEN_SAMPLES)
    command = ["dump", DIGITS, "--layers", "digit", "--input", f"mine.py:{name}"]
    quiet, loud = kprobe_light(*command), kprobe_light(*command, "-v")
    told = f"kprobe: mine.py:{name} failed: KeyError: 'first'"
    assert quiet.stderr == f"{told}; {VERBOSE}\n"
    assert f"in {name}" in loud.stderr
    assert loud.stderr.endswith(f"\nKeyError: 'first'\n{told}\n")
    assert quiet.returncode == loud.returncode == 2


def test_code_that_fails_for_several_inputs_has_all_tracebacks(kprobe_light, folder):
    (folder / "mine.py").write_text(BROKEN_SAMPLES)
    inputs = ["--input", "left=mine.py:at_once", "--input", "right=mine.py:labels"]
    done = kprobe_light("dump", SIAMESE, "--layers", "same", *inputs, "-v")
    *shown, first, second = done.stderr.splitlines()
    assert first == "kprobe: mine.py:at_once failed: KeyError: 'first'"
    assert second == "kprobe: mine.py:labels failed: KeyError: 'second'"
    assert any("in at_once" in line for line in shown)
    assert any("in labels" in line for line in shown)


def test_samples_that_no_code_gives_have_no_traceback(kprobe_light):
    done = kprobe_light("dump", DIGITS, "--layers", "digit", "--input", "missing.npy")
    assert done.stderr.startswith("kprobe: missing.npy: ")
    assert VERBOSE not in done.stderr


@pytest.mark.parametrize(
    "command",
    [f"ls {DIGITS}", f"ls {DIGITS} --json", "--help", "dump --help", "--version"],
)
def test_a_reader_that_went_away_is_told_as_of_any_filter(command, kprobe_command, folder):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*kprobe_command, *command.split()], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_long_listing_may_be_cut_short(kprobe_command, folder):
    x = keras.Input((2,))
    model = json.loads(keras.Model(x, keras.layers.ReLU(name="one")(x)).to_json())
    layers = model["config"]["layers"]
    text = json.dumps(layers.pop())
    names = [f"a_layer_with_a_long_name_{number}" for number in range(3000)]
    layers += [json.loads(text.replace('"one"', f'"{name}"')) for name in names]
    model["config"]["output_layers"] = [[name, 0, 0] for name in names]
    (folder / "model.json").write_text(json.dumps(model))
    script = f"{' '.join(kprobe_command)} ls model.json | head -1 > first; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("141\n", "")
    assert (folder / "first").read_text().split()[0] == "address"


@pytest.mark.parametrize("closed", [(2,), (0, 2), (1, 2), (0, 1, 2)])
def test_what_the_caller_closed_is_written_to_by_nobody(closed, kprobe_warm):
    command = ("dump", DIGITS, "--layers", "digit", "--random", "3", "-o", "a.h5")
    done = kprobe_warm(*command, closed=closed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "3 samples, complete" in kprobe_warm("show", "a.h5").stdout
    failed = kprobe_warm(*command, "--overwrite", "-q", "--limit", "0", closed=closed)
    assert failed.returncode == 2


def test_a_shell_may_have_closed_all_there_is(kprobe_command, folder):
    command = f"{' '.join(kprobe_command)} dump {DIGITS} --layers digit --random 3 -o a.h5"
    subprocess.run(["sh", "-c", f"{command} >&- 2>&- <&-"], check=True)
    shown = subprocess.run([*kprobe_command, "show", "a.h5"], capture_output=True, check=True)
    assert b"3 samples, complete" in shown.stdout


@pytest.mark.parametrize("command", ["ls", "show"])
def test_what_is_to_be_printed_needs_a_stdout(command, kprobe_command, folder, old_dump):
    path = {"ls": DIGITS, "show": "a.h5"}[command]
    script = f"{' '.join(kprobe_command)} {command} {path} >&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == "kprobe: stdout is closed, and there is something to write to it\n"
    assert done.returncode == 2


def test_an_error_keeps_its_code_where_nobody_reads_it(kprobe_command, folder):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*kprobe_command, "ls", "missing.h5"], stdout=writing, stderr=writing, check=False
        )
    finally:
        os.close(writing)
    assert done.returncode == 2
