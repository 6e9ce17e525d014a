"""The main job in a process of its own, as it stands in the README."""

from __future__ import annotations

import json
import re

import pytest

import kprobe

SUMMARY = (
    r"kprobe: {}: {} samples of {} datasets, [\d.]+ [kM]?B in \d+\.\d s "
    r"\([\d,]+ samples/s, [\d.]+ [kMG]?B/s, limited by (reading|computing|writing)\)\n"
)


def test_the_main_job_says_what_it_did_and_nothing_else(kprobe_process, folder):
    done = kprobe_process("dump", "sample_models/shapes_rpn.h5", "--layers", "conv5_3,rpn_class")
    assert done.returncode == 0
    assert done.stdout == ""
    assert re.fullmatch(
        "kprobe: no --input: 8 random samples, seed 0\n"
        + SUMMARY.format(r"shapes_rpn\.activations\.h5", 8, 2),
        done.stderr,
    ), done.stderr
    assert [path.name for path in folder.glob("*.h5*")] == ["shapes_rpn.activations.h5"]
    with kprobe.open_dump("shapes_rpn.activations.h5") as dump:
        assert dump.complete
        assert dump["conv5_3"].shape == (8, 8, 8, 40)
        assert dump["rpn_class"].shape == (8, 192, 2)
        assert dump.attrs["random"]


def test_quiet_says_nothing_and_json_alone_is_on_stdout(kprobe_warm):
    done = kprobe_warm(
        "dump",
        "sample_models/digits_cnn.keras",
        "--layers",
        "features",
        "-q",
        "--json",
        "-o",
        "a.h5",
    )
    assert done.returncode == 0
    assert done.stderr == ""
    outcome = json.loads(done.stdout)
    counted = {"samples", "left_out", "resumed", "datasets", "written"}
    assert outcome.keys() == {"output", *counted, "seconds", "bottleneck", "overflows"}
    assert (outcome["left_out"], outcome["resumed"]) == (0, 0)
    assert outcome["output"] == "a.h5"
    assert (outcome["samples"], outcome["datasets"], outcome["written"]) == (8, 1, 8 * 64 * 4)
    assert outcome["seconds"] > 0
    assert outcome["overflows"] == {}
    assert outcome["bottleneck"] in ("reading", "computing", "writing")


def test_verbose_lets_tensorflow_speak_and_the_cpu_can_be_chosen(kprobe_process):
    done = kprobe_process(
        "dump",
        *("sample_models/digits_cnn.keras", "--layers", "features", "-v", "--device", "cpu"),
        *("--input", "sample_models/digits.npz"),
    )
    assert done.returncode == 0
    assert "tensorflow/" in done.stderr or "TensorFlow" in done.stderr
    assert re.search(
        SUMMARY.format(r"digits_cnn\.activations\.h5", 360, 1).replace("datasets", "dataset"),
        done.stderr,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["dump", "--help"], ["ls", "-h"], ["--version"]])
def test_help_and_version_are_on_stdout(kprobe_process, arguments):
    done = kprobe_process(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kprobe" in done.stdout
