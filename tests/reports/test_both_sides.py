from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import kprobe
from kprobe.errors import DumpError, InputError
from kprobe.pictures.colour import Scale, paint
from kprobe.reports.both_sides import add_both_sides
from kprobe.reports.of_comparison import describe_comparison

RNG = np.random.default_rng(5)
A = {"conv": RNG.random((4, 5, 4, 6), "f4"), "only a": RNG.random((4, 3, 3, 2), "f4")}
B = {"renamed": A["conv"] + 0, "vector": RNG.random((4, 3), "f4")}
B["renamed"][..., 3] += 5
B["renamed"][..., 1] -= 2
NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def dumps(write_dump, tmp_path_factory):
    """Two dumps of the same samples, those of B the other way round."""
    folder = tmp_path_factory.mktemp("dumps")
    turned = {name: values[::-1] for name, values in B.items()}
    return (
        write_dump(folder / "a.h5", A, names=NAMES),
        write_dump(folder / "b.h5", turned, names=NAMES[::-1]),
    )


@pytest.fixture(scope="module")
def contents(make_layers):
    tensor, comparison = make_layers
    told = comparison(tensor("renamed", a="conv"), tensor("vector", a="vector"))
    return describe_comparison(told)


def open_picture(uri):
    stream = io.BytesIO(base64.b64decode(uri.partition(",")[2]))
    return np.asarray(Image.open(stream).convert("RGB"))


def test_the_channels_that_differ_most_are_shown_of_both_sides(contents, dumps):
    found = add_both_sides(contents, dumps, ["c", "a"])
    assert found.samples == ["c", "a"]
    maps = found.layers[0].maps
    assert maps.channels[:2] == ["3", "1"]
    assert found.layers[1].maps is None
    scale = Scale(*maps.scale, maps.palette)
    for n, row in enumerate((2, 0)):
        for pictures, values in ((maps.others, A["conv"]), (maps.pictures, B["renamed"])):
            shown = [paint(values[row][..., int(c)], scale) for c in maps.channels]
            np.testing.assert_array_equal(open_picture(pictures[n]), np.concatenate(shown, 1))


def test_the_first_samples_that_both_sides_have_are_shown(contents, write_dump, tmp_path):
    a = write_dump(tmp_path / "a.h5", A, names=["x", "b", "c", "d"])
    b = write_dump(tmp_path / "b.h5", B, names=NAMES)
    assert add_both_sides(contents, (a, b)).samples == ["b", "c", "d"]
    with pytest.raises(InputError, match="has no sample 'x'"):
        add_both_sides(contents, (a, b), ["x"])
    other = write_dump(tmp_path / "c.h5", B, names=["1", "2", "3", "4"])
    none = add_both_sides(contents, (a, other))
    assert (none.samples, none.layers[0].maps) == ([], None)


def test_layouts_may_differ(contents, write_dump, tmp_path):
    axes = {"renamed": ("channel", "height", "width")}
    a = write_dump(tmp_path / "a.h5", A)
    b = write_dump(tmp_path / "b.h5", {"renamed": A["conv"].transpose(0, 3, 1, 2)}, axes=axes)
    maps = add_both_sides(contents, (a, b)).layers[0].maps
    assert maps.pictures == maps.others


def test_other_shapes_have_no_maps(contents, write_dump, tmp_path):
    a = write_dump(tmp_path / "a.h5", A)
    b = write_dump(tmp_path / "b.h5", {"renamed": A["conv"][:, :4]})
    assert add_both_sides(contents, (a, b)).layers[0].maps is None


def test_dumps_of_something_else_are_answered(contents, write_dump, tmp_path):
    other = write_dump(tmp_path / "a.h5", {"other": np.ones((1, 3), "f4")})
    with pytest.raises(DumpError, match="expected the dumps of both sides, received others"):
        add_both_sides(contents, (other, other))
    with pytest.raises(DumpError, match="there is no file"):
        add_both_sides(contents, (other, tmp_path / "gone"))


def test_a_comparison_and_its_dumps_make_a_page(dumps, comparison, tmp_path):
    result = kprobe.diff(*dumps, layers="conv", match=["conv=renamed"])
    path = kprobe.report(result, output=tmp_path / "r.html", dumps=dumps)
    assert '"samples":["a","b","c","d"]' in path.read_text()
    (tmp_path / "d.json").write_text(json.dumps(result.to_json()))
    again = kprobe.report(tmp_path / "d.json", output=tmp_path / "s.html", dumps=dumps)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(DumpError, match="expected a comparison"):
        kprobe.report(dumps[0], output=path, dumps=dumps)
