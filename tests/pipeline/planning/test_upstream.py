from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest

import kprobe


def dump_graph(model, layers, path, **settings):
    """Give what a dump says of its graph, as addresses by addresses."""
    kprobe.dump(model, layers, output=path, random=2, **settings)
    with kprobe.open_dump(path) as dump:
        told = json.loads(dump.attrs["graph"])
        assert [dump[each["address"]].attrs["layer_class"] for each in told] == [
            each["class"] for each in told
        ]
    above = {each["address"]: each["from"] for each in told}
    names = list(above)
    return {a: None if up is None else [names[n] for n in up] for a, up in above.items()}


@pytest.fixture(scope="module")
def forked():
    """A model of a shared nested model, a shortcut, and two outputs."""
    inner = keras.Sequential(
        [keras.layers.Dense(4, name="first"), keras.layers.ReLU(name="second")], name="inner"
    )
    x = keras.Input((4,), name="x")
    y = inner(x)
    both = keras.layers.Add(name="both")([inner(y), y])
    left = keras.layers.Dense(2, name="left")(both)
    return keras.Model(x, [left, keras.layers.Dense(3, name="right")(both)])


# Written down by hand after the model above.
WHOLE = {
    "inner@0/first": [],
    "inner@0": ["inner@0/first"],
    "inner@1/first": ["inner@0"],
    "inner@1": ["inner@1/first"],
    "both": ["inner@0", "inner@1"],
    "left": ["both"],
    "right": ["both"],
}


def test_a_dump_says_what_each_layer_is_computed_from(forked, tmp_path):
    assert dump_graph(forked, None, tmp_path / "a.h5") == WHOLE


def test_what_is_not_in_the_dump_is_passed_over(forked, tmp_path):
    found = dump_graph(forked, "left,inner@0/first,right", tmp_path / "a.h5")
    assert found == {"inner@0/first": [], "left": ["inner@0/first"], "right": ["inner@0/first"]}


def test_statistics_keep_what_a_dump_would_say(forked, tmp_path):
    kprobe.stats(forked, None, random=2, output=tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        told = json.loads(file.attrs["graph"])
    assert {e["address"]: [told[n]["address"] for n in e["from"]] for e in told} == WHOLE


def test_a_model_that_runs_eagerly_does_not_say_it(forked, tmp_path):
    found = dump_graph(forked, "both,left", tmp_path / "a.h5", eager=True)
    assert found == {"both": None, "left": None}


def test_what_is_fed_begins_a_graph(forked, tmp_path):
    np.save(tmp_path / "y.npy", np.ones((2, 4), "f4"))
    found = dump_graph_fed(forked, tmp_path)
    assert found == {"both": [], "left": ["both"]}


def dump_graph_fed(model, folder):
    feeds = {"inner@0": str(folder / "y.npy")}
    kprobe.dump(model, "both,left", output=folder / "b.h5", feeds=feeds)
    with kprobe.open_dump(folder / "b.h5") as dump:
        told = json.loads(dump.attrs["graph"])
    names = [each["address"] for each in told]
    return {each["address"]: [names[n] for n in each["from"]] for each in told}


def test_a_dump_that_does_not_say_it_yet_is_still_the_same_run(forked, tmp_path):
    settings = {"random": 2, "output": tmp_path / "a.h5"}
    kprobe.dump(forked, "left", **settings)
    with h5py.File(tmp_path / "a.h5", "a", libver=("v108", "v108")) as file:
        del file.attrs["graph"]
    assert kprobe.dump(forked, "left", resume=True, **settings).resumed == 2
