"""Settings may be of numpy's kinds; what can't be meant is refused in plain words."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import kprobe
from kprobe.errors import DumpError

DATA = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


@pytest.fixture(scope="module")
def model():
    x = keras.Input((4,), name="x")
    first = keras.layers.Dense(3, name="first")(x)
    return keras.Model(x, keras.layers.Dense(2, name="second")(first))


@pytest.mark.parametrize(
    "layers",
    [
        np.array(["first", "second"]),
        np.array(["first", "second"], object),
        np.array("first,second"),
    ],
    ids=["texts", "objects", "a lone text"],
)
def test_layers_may_be_an_array(model, layers):
    assert [*kprobe.activations(model, layers, DATA)] == ["first", "second"]
    assert [*kprobe.function(model, layers).addresses] == ["first", "second"]


def test_layers_themselves_may_be_in_an_array(model):
    layers = np.array([model.get_layer("second"), "first"], object)
    assert [*kprobe.activations(model, layers, DATA)] == ["second", "first"]


@pytest.mark.parametrize("switch", [True, False])
def test_a_switch_may_be_numpys(model, switch, tmp_path):
    path = tmp_path / "a.h5"
    given = np.array([1.0, 2.0]) > (1.5 if switch else 0.5)
    exact = given[1] if switch else ~given[1]
    assert isinstance(exact, np.bool_)
    kprobe.dump(model, "first", inputs=DATA, output=path, exact=exact, overwrite=np.True_)
    with kprobe.open_dump(path) as dump:
        assert json.loads(dump.attrs["options"])["exact"] is switch
        assert json.loads(dump.attrs["job"]).get("exact", False) is switch


@pytest.mark.parametrize("switch", [1, "yes", np.int64(1), np.float32(0)])
def test_what_is_no_switch_is_refused(model, switch):
    with pytest.raises(kprobe.KprobeError, match="exact: expected True or False"):
        kprobe.activations(model, "first", DATA, exact=switch)


@pytest.mark.parametrize(
    "size",
    [(np.int64(5), np.uint8(7)), np.array([5, 7]), [5, 7], np.array([5, 7], "i2")],
    ids=["scalars", "array", "list", "small integers"],
)
def test_a_size_may_be_numpys(size):
    options = kprobe.ImageOptions(resize=size)
    assert options.resize == (5, 7)
    assert [type(side) for side in options.resize] == [int, int]


@pytest.mark.parametrize(
    "size", [5, (5,), (5, 0), (5, -1), (5, 7, 3), (5.0, 7.0), "5x7", np.array([5.0, 7.0])]
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(kprobe.KprobeError, match="expected a height and a width in pixels"):
        kprobe.ImageOptions(resize=size)


def test_a_dump_goes_to_a_file(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DumpError, match="expected the name of a file, received '-'"):
        kprobe.dump(model, "first", inputs=DATA, output="-")
    assert list(tmp_path.iterdir()) == []
