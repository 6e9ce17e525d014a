"""--layers and --all: which tensors end up in the dump, and under which names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import kprobe

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"
LISTED = ["conv1", "features", "digit"]


@pytest.fixture
def dump_layers(kprobe_here):
    """Dump two random samples, and give the opened dump."""
    opened = []

    def run(model, *arguments, stdin=""):
        done = kprobe_here("dump", model, *arguments, "--random", "2", "-o", "a.h5", stdin=stdin)
        assert done.exit_code == 0, done.stderr
        opened.append(kprobe.open_dump("a.h5"))
        return opened[-1]

    yield run
    for dump in opened:
        dump.close()


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--layers", "conv1,features,digit"], ""),
        (["--layers", "conv1", "-l", "features,digit"], ""),
        (["--layers", "conv1", "--layers", "@layers.txt"], ""),
        (["--layers", "-"], "conv1\n\n  features\ndigit\n"),
    ],
    ids=["commas", "repeated", "a file", "stdin"],
)
def test_layers_are_taken_in_every_form(dump_layers, arguments, stdin):
    Path("layers.txt").write_text("features\ndigit")
    dump = dump_layers(DIGITS, *arguments, stdin=stdin)
    assert dump.attrs["addresses"] == LISTED
    assert sorted(dump) == sorted(LISTED)


def test_a_comma_in_a_line_of_a_file_is_a_part_of_the_address(dump_layers):
    Path("layers.txt").write_text("re:conv\\d{1,1}\n")
    assert dump_layers(DIGITS, "--layers", "@layers.txt").columns == ["conv1", "conv2"]


@pytest.mark.parametrize(
    ("address", "columns"),
    [
        ("re:(conv|bn)[12]", ["bn1", "bn2", "conv1", "conv2"]),
        ("type:Conv2D", ["conv1", "conv2"]),
        ("at:-1", ["digit"]),
        ("at:1", ["conv1"]),
        ("*ool?", ["pool1", "pool2"]),
        ("digit:in", ["digit:in"]),
        ("scan", ["scan"]),
    ],
)
def test_patterns_positions_and_ports_name_layers(dump_layers, address, columns):
    dump = dump_layers(DIGITS, "--layers", address)
    assert sorted(dump.columns) == columns
    for column in columns:
        assert dump[column].shape[0] == 2


def test_an_alias_names_the_dataset_and_the_address_still_finds_it(dump_layers):
    dump = dump_layers(SIAMESE, "--layers", "score=same,left_code=encoder@0")
    assert sorted(dump.columns) == ["left_code", "score"]
    assert dump["score"].name == dump["same"].name == "/score"
    assert dump["left_code"].name == dump["encoder@0"].name


def test_nested_addresses_become_flat_names(dump_layers):
    dump = dump_layers(SIAMESE, "--layers", "encoder@*/conv1")
    assert dump.columns == ["encoder@0.conv1", "encoder@1.conv1"]
    assert not np.array_equal(dump["encoder@0/conv1"], dump["encoder@1/conv1"])


def test_all_is_every_layer_call_and_no_input(dump_layers):
    dump = dump_layers(SIAMESE, "--all")
    encoder = ["conv1", "conv2", "pool", "flatten", "embedding"]
    merges = ["difference", "absolute", "add", "true_divide", "same"]
    inside = [f"encoder@{call}/{name}" for call in (0, 1) for name in encoder]
    assert {"encoder@0", "encoder@1", *inside, *merges} == set(dump.attrs["addresses"])
    assert not {"left", "right", "encoder@0/scan"} & set(dump)


def test_a_tensor_asked_for_twice_is_stored_once_and_found_under_both_names(dump_layers):
    dump = dump_layers(DIGITS, "--layers", "relu1,pool1:in,also=relu1")
    assert dump.columns == ["relu1"]
    for name in ("relu1", "pool1:in", "also"):
        assert dump[name].name == "/relu1"


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (
            "x=conv1,x=conv2",
            "conv1, conv2: expected a name for each, and all would be 'x'; "
            "name them yourself with an alias: ALIAS=ADDRESS",
        ),
        (
            "sample=conv1",
            "conv1: the name 'sample' is kept by the dump's format for itself; "
            "name them yourself with an alias: ALIAS=ADDRESS",
        ),
    ],
)
def test_names_that_would_collide_are_refused(kprobe_here, layers, line, folder):
    done = kprobe_here("dump", DIGITS, "--layers", layers)
    assert (done.exit_code, done.stderr) == (2, f"kprobe: {line}\n")
    assert not list(folder.glob("*.h5*"))


def test_an_alias_for_several_layers_is_refused(kprobe_here):
    done = kprobe_here("dump", DIGITS, "--layers", "x=conv*")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "x" in done.stderr


def test_what_is_left_of_layers_is_stored_in_their_place(kprobe_here):
    arguments = ["dump", DIGITS, "-l", "conv1,features,digit", "--random", "3", "-o", "a.h5"]
    arguments += ["--reduce", "conv1=gap,channels(0:4).gmax", "--reduce", "d*=topk(2),argtopk(2)"]
    left = {
        "conv1.gap": [16],
        "conv1.channels(0:4).gmax": [4],
        "features": [64],
        "digit.topk(2)": [2],
        "digit.argtopk(2)": [2],
    }
    foreseen = json.loads(kprobe_here(*arguments, "--dry-run", "--json").stdout)["datasets"]
    assert {one["address"]: one["shape"] for one in foreseen} == left
    done = kprobe_here(*arguments)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(kprobe_here("show", "a.h5", "--json").stdout)
    assert {one["dataset"]: one["shape"][1:] for one in shown["datasets"]} == left
    told = kprobe_here("show", "a.h5", "--as-config").stdout
    assert 'reduce = ["conv1=gap,channels(0:4).gmax", "d*=topk(2),argtopk(2)"]' in told
    with kprobe.open_dump("a.h5") as dump:
        scores = kprobe.activations(DIGITS, "digit", random=3)["digit"]
        np.testing.assert_array_equal(dump["digit.argtopk(2)"], np.argsort(-scores)[:, :2])
    # A dump of what is left is a dump: what reads one finds its columns by name.
    done = kprobe_here("stats", "a.h5", "conv1.channels(0:4).gmax", "*.gap", "--json")
    assert [one["address"] for one in json.loads(done.stdout)["tensors"]] == [*left][:2]


def test_a_misspelt_reduction_is_told_before_anything_is_loaded(kprobe_here):
    done = kprobe_here("dump", "missing.h5", "-l", "conv1", "--random", "1", "--reduce", "gpa")
    assert done.exit_code == 2
    assert "there is no 'gpa'; did you mean gap?" in done.stderr
