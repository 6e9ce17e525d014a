"""Whatever the inputs are called and in whatever order they are given, each gets its own."""

from __future__ import annotations

import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput
from kprobe.naming import suggest_name

NAMES = st.lists(st.text("ab01_.-", min_size=1, max_size=6), min_size=1, max_size=4, unique=True)


def describe(names):
    return [ModelInput(name, (None, 2), "float32") for name in names]


def make_arrays(names):
    """For each a number of its own."""
    return {name: np.full((3, 2), number, "f4") for number, name in enumerate(names)}


def read(given, inputs):
    with open_all(given, inputs) as samples:
        ((_, batch),) = samples.batches(3)
    return {name: np.asarray(array) for name, array in batch.items()}


@given(NAMES, st.randoms(use_true_random=False))
def test_arrays_in_any_order_reach_the_input_of_their_name(names, random):
    arrays = make_arrays(names)
    shuffled = dict(random.sample(list(arrays.items()), len(arrays)))
    received = read(shuffled, describe(names))
    assert received.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(received[name], array)


@settings(max_examples=30)
@given(NAMES, st.randoms(use_true_random=False))
def test_so_do_those_of_an_archive_and_of_files(names, random):
    arrays = make_arrays(names)
    order = random.sample(names, len(names))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        np.savez("all.npz", **{name: arrays[name] for name in order})
        texts = []
        for number, name in enumerate(order):
            np.save(f"{number}.npy", arrays[name])
            texts.append(f"{name}={number}.npy")
        several = [Path("all.npz")] if len(names) > 1 else [f"{names[0]}=all.npz"]
        for given_sources in (several, texts):
            received = read([str(each) for each in given_sources], describe(names))
            for name, array in arrays.items():
                np.testing.assert_array_equal(received[name], array)


@given(NAMES, st.text("ab01_.-", min_size=1, max_size=6))
def test_a_name_that_is_no_inputs_is_refused_and_never_taken_for_another(names, wrong):
    arrays = {**make_arrays(names), wrong: np.zeros((3, 2), "f4")}
    if wrong in names:
        return
    with pytest.raises(InputError) as caught:
        read(arrays, describe(names))
    assert f"no input '{wrong}'" in str(caught.value)


@given(NAMES, st.text("ab01_.-", max_size=6))
def test_what_is_suggested_is_there(names, wrong):
    said = suggest_name(wrong, names)
    assert said is None or said.removeprefix("did you mean ").removesuffix("?") in names
