"""kprobe check: the verdict for people, for programs and for code scanning."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
from gate.hostile.saved_models import describe, write, write_variables
from gate.hostile.saved_models import make_model as make_saved_model

from kprobe.gate.rules import RULES
from kprobe.pipeline.checking import CheckResult, Reason

ROOT = Path(__file__).parents[3]
DIGITS, ROI = "sample_models/digits_cnn.keras", "sample_models/shapes_roi.keras"
PAGE = (ROOT / "kprobe" / "help" / "safety.md").read_text()
CUSTOM = "layer 'ROI' is of class ROI (module roi_layer), which is not Keras's own"


def test_one_file_is_told_in_a_few_lines(kprobe_here):
    done = kprobe_here("check", DIGITS)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{DIGITS}: accepted"
    assert re.fullmatch(r"format:     keras, Keras 3\.\d+\.\d+", lines[1])
    assert "size:       103.6 kB" in lines
    assert lines[-1] == "runs:       Keras's and TensorFlow's own code alone"


def test_a_refusal_tells_the_rule_and_what_opens_it(kprobe_here):
    done = kprobe_here("check", ROI)
    assert (done.exit_code, done.stderr) == (4, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        f"{ROI}: refused",
        f"  {CUSTOM} [names-custom]",
        "  `--custom-objects FILE.py` opens it: only with code and files that you trust",
    ]
    assert lines[-1] == f"runs:       {CUSTOM}"
    opened = kprobe_here("check", ROI, "--custom-objects", "sample_models/roi_layer.py")
    assert (opened.exit_code, opened.stdout.splitlines()[0]) == (0, f"{ROI}: accepted")


def test_several_files_are_a_table_in_their_order(kprobe_here):
    done = kprobe_here("check", DIGITS, ROI, "missing.h5", DIGITS)
    assert (done.exit_code, done.stderr) == (4, "")
    header, *rows, last = [line.split() for line in done.stdout.splitlines()]
    assert " ".join(last) == "3 files: 1 accepted, 1 refused, 1 unreadable"
    assert header == ["verdict", "file", "format", "keras", "layers", "size", "reason"]
    assert [row[:2] for row in rows] == [
        ["accepted", DIGITS],
        ["refused", ROI],
        ["unreadable", "missing.h5"],
    ]
    assert " ".join(rows[2][2:]) == "no such file [file-type]"
    assert kprobe_here("check", DIGITS, "sample_models/siamese.keras").exit_code == 0


def test_a_folder_is_what_models_are_in_it(kprobe_here, tmp_path):
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name in ("digits_cnn.keras", "shapes_roi.keras"):
        shutil.copy(ROOT / "sample_models" / name, folder)
    (folder / "README.md").touch()
    with h5py.File(folder / "samples.h5", "w") as file:
        file["x"] = [1.0]
        file.create_dataset("y", (2,), h5py.vlen_dtype(np.bool_))[0] = np.ones(2, bool)
    (folder / "link.h5").symlink_to("samples.h5")
    done = kprobe_here("check", str(folder))
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:-1]] == [
        f"{folder}/digits_cnn.keras",
        f"{folder}/shapes_roi.keras",
    ]
    assert lines[-1] == "2 files: 1 accepted, 1 refused"
    assert done.exit_code == 4
    assert done.stderr == f"kprobe: {folder}: 2 other files left alone, 1 link not followed\n"
    (folder / "digits_cnn.keras").unlink()
    (folder / "shapes_roi.keras").unlink()
    done = kprobe_here("check", str(folder), "-q")
    assert (done.exit_code, done.stdout, done.stderr) == (4, "", "")
    done = kprobe_here("check", str(folder))
    assert done.stdout.splitlines() == [
        f"{folder}: unreadable",
        "  is a folder without models: 2 other files left alone, 1 link not followed [file-type]",
    ]
    (done,) = json.loads(kprobe_here("check", str(folder / "samples.h5"), "--json").stdout)
    assert done["verdict"] == "unreadable"
    text = "is not a model file: HDF5 of something else than Keras"
    assert [reason["text"] for reason in done["reasons"]] == [text]


def test_quiet_leaves_it_to_the_exit_code(kprobe_here):
    for path, code in ((DIGITS, 0), (ROI, 4), ("missing.h5", 4)):
        done = kprobe_here("check", "-q", path)
        assert (done.exit_code, done.stdout, done.stderr) == (code, "", "")


def test_json_has_all_that_is_documented(kprobe_here):
    done = kprobe_here("check", DIGITS, ROI, "--json")
    assert done.exit_code == 4
    accepted, refused = json.loads(done.stdout)
    table = PAGE.partition("| field | holds |")[2].partition("\n\n")[0]
    documented = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))
    assert [*accepted] == [*refused] == documented
    assert documented == [
        "path",
        "verdict",
        *(f.name for f in fields(CheckResult) if f.name != "path"),
    ]
    assert (accepted["path"], accepted["verdict"], accepted["accepted"]) == (
        DIGITS,
        "accepted",
        True,
    )
    (reason,) = refused["reasons"]
    assert [*reason] == [field.name for field in fields(Reason)]
    told = re.search(r"^\| `reasons` \| (.*) \|$", table, re.MULTILINE)[1]
    assert {name for name in reason if f"`{name}`" in told} == reason.keys()


def test_an_error_is_a_line_on_stderr_with_json_too_and_a_verdict_is_no_error(kprobe_here):
    # Which module it is given by depends on what is on the path.
    refused = f"kprobe: {ROI}: {CUSTOM}; give it with `--custom-objects "
    for command, code, line in (
        (("dump", ROI, "--all"), 4, refused),
        (("ls", "no.h5"), 2, "kprobe: no.h5: no such file; check the model's path"),
        (
            ("check", ROI, "--custom-objects", "no.py"),
            2,
            "kprobe: custom objects: there is no file no.py",
        ),
    ):
        done = kprobe_here(*command, "--json")
        assert (done.exit_code, done.stdout) == (code, ""), command
        assert done.stderr.startswith(line), command
        assert done.stderr.count("\n") == 1, command
    done = kprobe_here("check", ROI, "no.h5", "--json")
    assert [told["verdict"] for told in json.loads(done.stdout)] == ["refused", "unreadable"]
    assert (done.exit_code, done.stderr) == (4, "")


def test_names_from_a_file_move_no_cursor(kprobe_here, custom_model):
    hostile = custom_model.with_name("\x1b[2J\u202emodel.keras")
    shutil.copy(custom_model, hostile)
    for paths in ([hostile.name], [hostile.name, DIGITS]):
        done = kprobe_here("check", *paths)
        assert done.exit_code == 4
        assert "\\x1b[2J\\u202emodel.keras" in done.stdout
        assert done.stdout.replace("\n", "").isprintable()


def test_ways_to_tell_exclude_each_other(kprobe_here):
    done = kprobe_here("check", DIGITS, "--json", "--sarif")
    assert (done.exit_code, done.stderr) == (
        2,
        "kprobe: expected one of --json and --sarif, received both\n",
    )


def test_the_page_lists_the_rules_as_they_are():
    header, _, *rows = PAGE[PAGE.index("| rule |") :].partition("\n\n")[0].splitlines()
    assert header == "| rule | a file that is opened | or else |"
    assert rows == [
        f"| `{rule.name}` | {rule.promise} | {f'`--allow {rule.kind}` ' if rule.kind else ''}|"
        for rule in RULES.values()
    ]


def test_the_hooks_for_commits_take_models_and_weights():
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    own, installed = (
        dict(re.findall(r"^[- ] (\w+): (.*)$", part, re.MULTILINE))
        for part in text.split("- id")[1:]
    )
    assert own["entry"] == installed["entry"] == "kprobe check"
    assert (own["language"], installed["language"]) == ("python", "system")
    assert installed["files"] == "*models"
    pattern = own["files"].removeprefix("&models ")

    def takes(path):
        return bool(re.search(pattern, path))

    models = ["a.keras", "b/c.h5", "saved_model.pb", "d/saved_model.pb", "e.tflite", "f.onnx"]
    models += ["a.weights.h5", "a.weights.json", "frozen.pb", "model.json", "a/model.json"]
    models += ["sm/variables/variables.index", "sm/variables/variables.data-00000-of-00001"]
    assert all(map(takes, [*models, "sm/keras_metadata.pb", "ck-1.data-00000-of-00002"]))
    others = ["b.npz", "c.py", "h5", "package.json", "a.pbtxt", "x.index", "variables/index.h"]
    assert not any(map(takes, others))


def test_each_file_of_a_saved_model_stands_for_it(kprobe_here, tmp_path):
    saved, _ = make_saved_model()
    model = write_variables(write(tmp_path, saved), [(b"w", describe())])
    (model / "fingerprint.pb").touch()
    names = ["fingerprint.pb", "saved_model.pb", "variables/variables.index"]
    names += ["variables/variables.data-00000-of-00001"]
    for given in (names, names[2:]):
        done = kprobe_here("check", *(str(model / name) for name in given), "--json")
        (told,) = json.loads(done.stdout)
        assert told["path"] == str(model / "saved_model.pb")
        assert (told["format"], told["accepted"], done.exit_code) == ("saved_model", True, 0)


@pytest.mark.parametrize("arguments", [[], ["--sarif"], ["--json"]])
def test_a_model_that_no_flag_opens_is_hinted_at_nothing(kprobe_here, arguments):
    Path("text.keras").write_text("no model")
    done = kprobe_here("check", "text.keras", *arguments)
    assert done.exit_code == 4
    if not arguments:
        assert "opens it" not in done.stdout
        assert "runs:" not in done.stdout
