"""kprobe ls: what is in a model file."""

from __future__ import annotations

import json

import pytest

SIAMESE = "sample_models/siamese.keras"


@pytest.mark.parametrize(
    "model", ["shapes_rpn.h5", "shapes_roi.keras", "digits_cnn.keras", "siamese.keras"]
)
def test_the_table_of_a_sample_model(kprobe_process, expected, model):
    done = kprobe_process("ls", f"sample_models/{model}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected(f"ls_{model.partition('.')[0]}.txt")


@pytest.mark.parametrize(
    ("arguments", "addresses"),
    [
        (["encoder"], ["encoder@0", "encoder@1"]),
        (["conv1"], ["encoder@0/conv1", "encoder@1/conv1"]),
        (["encoder@1/conv*"], ["encoder@1/conv1", "encoder@1/conv2"]),
        (["*/pool"], ["encoder@0/pool", "encoder@1/pool"]),
        (["**/flatten"], ["encoder@0/flatten", "encoder@1/flatten"]),
        (["--type", "Dense"], ["encoder@0/embedding", "encoder@1/embedding", "same"]),
        (["encoder@0/*", "--type", "Dense"], ["encoder@0/embedding"]),
        (["type:Subtract"], ["difference"]),
        (["at:-1"], ["same"]),
        (["re:a.*"], ["absolute", "add"]),
    ],
)
def test_patterns_and_classes_narrow_the_list(kprobe_here, arguments, addresses):
    done = kprobe_here("ls", SIAMESE, *arguments, "--json")
    assert [entry["address"] for entry in json.loads(done.stdout)] == addresses


def test_json_tells_what_the_table_tells(kprobe_here):
    entries = json.loads(kprobe_here("ls", SIAMESE, "--json").stdout)
    assert len(entries) == 21
    assert entries[4] == {
        "address": "encoder@0/conv1",
        "class": "Conv2D",
        "output_shape": [None, 8, 8, 16],
        "parameters": 160,
        "depth": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["conv9"], "no layer 'conv9'; nearest: encoder@1/conv2, encoder@1/conv1"),
        (["zzz*"], "'zzz*' matches no layer; `kprobe ls MODEL` lists the layers"),
        (["--type", "Conv9D"], f"{SIAMESE} has no layer of class Conv9D; nearest: Conv2D"),
        (["same", "--type", "Conv2D"], f"{SIAMESE} has no layer 'same' of class Conv2D"),
    ],
)
def test_nothing_found_is_an_error(kprobe_here, arguments, line):
    done = kprobe_here("ls", SIAMESE, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"kprobe: {line}\n"


def test_a_file_that_is_no_model_is_one_line(kprobe_here):
    done = kprobe_here("ls", "nothing.h5")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "kprobe: nothing.h5: no such file; check the model's path\n"
