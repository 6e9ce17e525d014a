"""Whatever columns two dumps have, they are compared, without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.writing.writer import Writer

ROWS = 6
NAMES = [f"s{row}" for row in range(ROWS)]


def write(path, arrays, weights=(), names=NAMES):
    """Write a dump: arrays by address, lists of rows that differ in shape, or of texts."""
    columns, rows = [], {}
    for name, values in arrays.items():
        attrs = {"addresses": [name]}
        if isinstance(values[0], bytes):
            values, attrs["dtype"] = [encode_texts(text) for text in values], "string"
        first = values[0]
        shape = values.shape[1:] if isinstance(values, np.ndarray) else (-1, *first.shape[1:])
        columns.append(Column(name, shape, first.dtype, attrs))
        rows[name] = values
    for name, value in dict(weights).items():
        attrs = {"addresses": [name], "layout": "weight"}
        columns.append(Column(name, value.shape, value.dtype, attrs, value))
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=names)) as writer:
        if rows:
            writer.write(0, rows)
        writer.finish()
    return path


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "conv": random.normal(size=(ROWS, 4)).astype("f4"),
        "boxes": [random.normal(size=(1 + row % 3, 2)).astype("f4") for row in range(ROWS)],
        "word": [b"one", b"two", b"", b"three", b"f\xc3\xbcnf", b"six"],
    }


@pytest.fixture
def weights():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 8, 16)).astype("f4")
    return {"conv:kernel": kernel, "step": np.array(2**53 + 1)}


def by_name(result):
    return {tensor.pair.a.address: tensor for tensor in result.tensors}


def test_rows_of_other_shapes_texts_and_weights_differ(arrays, weights, tmp_path):
    a = write(tmp_path / "a.h5", arrays, weights)
    same = kprobe.diff(a, write(tmp_path / "same.h5", arrays, weights))
    assert (same.same, same.verdict.kind, same.notes) == (True, "none", ())
    assert [*by_name(same)] == ["conv", "boxes", "word", "conv:kernel", "step"]
    assert by_name(same)["word"].running.count == ROWS

    other = {**arrays, "boxes": list(arrays["boxes"]), "word": list(arrays["word"])}
    other["boxes"][2] = other["boxes"][2][:2]
    other["boxes"][4] = other["boxes"][4] + np.float32(0.5)
    other["word"][3] = b"drei"
    changed = {"conv:kernel": weights["conv:kernel"].copy(), "step": np.array(2**53)}
    changed["conv:kernel"][1, 2, 3, 4] += 1e-3
    # B's samples are in another order.
    order = np.array([5, 3, 1, 0, 2, 4])
    moved = {
        name: rows[order] if isinstance(rows, np.ndarray) else [rows[i] for i in order]
        for name, rows in other.items()
    }
    b = write(tmp_path / "b.h5", moved, changed, [NAMES[i] for i in order])
    result = kprobe.diff(a, b)
    found = by_name(result)
    assert {name for name, tensor in found.items() if not tensor.same} == {*found} - {"conv"}
    assert (result.verdict.first, result.verdict.would_pass) == ("boxes", None)
    boxes = found["boxes"]
    assert (boxes.running.unequal, boxes.running.first_unequal, boxes.odd_sample) == (1, 2, "s2")
    assert (boxes.running.max_abs, boxes.sample) == (pytest.approx(0.5, rel=1e-6), "s4")
    word = found["word"].running
    assert (word.unequal, word.first_unequal, found["word"].odd_sample) == (1, 3, "s3")
    kernel = found["conv:kernel"]
    assert kernel.running.max_abs == pytest.approx(1e-3, rel=1e-3)
    assert (kernel.running.row, kernel.sample, kernel.running.index) == (None, None, (1, 2, 3, 4))
    # So small a change of one weight of a thousand is no rounding.
    assert kernel.running.relative < 1e-4
    assert found["step"].running.max_abs == 1
    lines = str(result).splitlines()
    assert "boxes: 1 sample has another shape in B: s2" in lines
    assert "word: 1 sample has another text in B: s3" in lines
    assert "no tolerance would pass: shapes or texts differ" in lines
    plain = {tensor["a"]: tensor for tensor in result.to_json()["tensors"]}
    assert (plain["boxes"]["unequal"], plain["boxes"]["odd_sample"]) == (1, "s2")


def test_weights_alone_are_compared(weights, tmp_path):
    a, b = (write(tmp_path / f"{name}.h5", {}, weights, []) for name in "ab")
    result = kprobe.diff(a, b)
    assert (result.same, result.samples, len(result.tensors)) == (True, 0, 2)


def test_weights_of_other_shapes_are_an_error(weights, tmp_path):
    a = write(tmp_path / "a.h5", {}, weights, [])
    # Four axes are no layout of images: they are in the order of the model's own.
    turned = {"conv:kernel": weights["conv:kernel"].transpose(3, 0, 1, 2), "step": weights["step"]}
    b = write(tmp_path / "b.h5", {}, turned, [])
    with pytest.raises(kprobe.KprobeError, match=r"conv:kernel: expected as many values on both"):
        kprobe.diff(a, b)


def test_a_tolerance_may_be_for_a_weight(weights, tmp_path):
    near = {**weights, "conv:kernel": weights["conv:kernel"] * np.float32(1.001)}
    a, b = (write(tmp_path / f"{n}.h5", {}, w, []) for n, w in (("a", weights), ("b", near)))
    assert not kprobe.diff(a, b).same
    assert kprobe.diff(a, b, rtol={"conv:kernel": 1e-2}).same


def test_without_a_common_address_values_suggest_what_to_give(arrays, tmp_path):
    a = write(tmp_path / "a.h5", {"one": arrays["conv"], "two": -arrays["conv"]})
    # So many fit that order tells nothing.
    noise = np.random.default_rng(3).normal(size=(ROWS, 4)).astype("f4")
    renamed = {"p": noise, "q": arrays["conv"], "r": -arrays["conv"]}
    b = write(tmp_path / "b.h5", renamed)
    with pytest.raises(kprobe.KprobeError, match="expected tensors that both sides have") as caught:
        kprobe.diff(a, b)
    assert caught.value.hint == "these look alike: match=('one=q', 'two=r')"
    result = kprobe.diff(a, b, match=["one=q"])
    assert [tensor.pair.matched_by for tensor in result.tensors] == ["given", "order"]
    assert (result.same, result.unmatched_b, result.suggestions) == (True, ("p",), ())


def test_addresses_may_hold_commas(arrays, tmp_path):
    held = {"one,two": arrays["conv"], "two": -arrays["conv"], "at, last": arrays["conv"] * 2}
    a = write(tmp_path / "a.h5", held)
    for layers, names in (
        ("one,two", ["one,two"]),
        ("two,one,two", ["one,two", "two"]),
        (["at, last"], ["at, last"]),
        ("two", ["two"]),
    ):
        assert [*by_name(kprobe.diff(a, a, layers=layers))] == names
        assert sorted(t.address for t in kprobe.stats(a, layers).tensors) == sorted(names)
        assert sorted(kprobe.similarity(a, a, layers).layers_a) == sorted(names)


def test_what_is_given_is_checked_against_a_dump_before_a_model_is_loaded(arrays, tmp_path):
    a = write(tmp_path / "a.h5", arrays)
    (tmp_path / "never.keras").write_bytes(b"nothing that can be loaded")
    for sides in ((a, tmp_path / "never.keras"), (tmp_path / "never.keras", a)):
        given = "cnv=x" if sides[0] == a else "x=cnv"
        with pytest.raises(kprobe.KprobeError, match="has no cnv; nearest: conv") as caught:
            kprobe.diff(*sides, match=[given])
        assert caught.value.hint == "mend match"
