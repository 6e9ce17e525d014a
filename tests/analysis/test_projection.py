"""Principal components: those of numpy's SVD, however the rows are read."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.analysis import projection
from kprobe.analysis.projection import project
from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import InputError


def write(path, values, valid=None):
    columns = [Column("a", values.shape[1:], values.dtype, {"addresses": ["net/a"]})]
    rows = {"a": values}
    if valid is not None:
        columns += [VALID, REASON]
        rows |= {"valid": valid.astype("u1"), "reason": np.zeros(len(values), REASON.dtype)}
    samples = [str(row) for row in range(len(values))]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=samples)) as writer:
        writer.write(0, rows)
        writer.finish()
    return path


def find_right(values):
    flat = values.reshape(len(values), -1).astype("f8")
    u, s, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    places = u[:, :2] * s[:2]
    return places * np.sign(places[np.abs(places).argmax(0), [0, 1]]), (s**2 / (s**2).sum())[:2]


@pytest.mark.parametrize("shape", [(60, 7), (60, 3, 4, 2), (9, 40), (300, 2)])
@pytest.mark.parametrize("most", [2048, 8])
def test_components_are_those_of_the_svd(tmp_path, monkeypatch, shape, most):
    # With blocks of a few rows, by values where there are up to 8 of them, else by samples.
    monkeypatch.setattr(projection, "_BLOCK", 50)
    monkeypatch.setattr(projection, "_MOST", most)
    scale = np.linspace(1, 3, int(np.prod(shape[1:]))).reshape(shape[1:])
    values = (np.random.default_rng(0).normal(size=shape) * scale + 1000).astype("f4")
    with open_dump(write(tmp_path / "a.h5", values)) as dump:
        found = project(dump, "net/a")
    rows = np.arange(len(values))
    if most < int(np.prod(shape[1:])) and len(values) > most:
        rows = np.linspace(0, len(values) - 1, most).round().astype(int)
    places, parts = find_right(values[rows])
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.places, places, atol=1e-6 * np.abs(places).max())
    np.testing.assert_allclose(found.parts, parts, rtol=1e-6)
    assert (found.total, found.unfinite) == (len(values), 0)


def test_what_could_not_be_read_or_is_not_finite_is_left_out(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 5)) * 1e200
    values[3, 1], values[7, 0], values[9] = np.nan, np.inf, 0
    valid = np.arange(20) != 9
    with open_dump(write(tmp_path / "a.h5", values, valid)) as dump:
        found = project(dump, "a")
    kept = [row for row in range(20) if row not in (3, 7, 9)]
    places, _ = find_right(values[kept] / 1e200)
    assert (found.rows, found.total, found.unfinite) == (kept, 19, 2)
    np.testing.assert_allclose(found.places / 1e200, places, atol=1e-12)


def test_one_number_a_sample_has_one_component(tmp_path):
    with open_dump(write(tmp_path / "a.h5", np.array([1, 2, 6], "i4"))) as dump:
        found = project(dump, "a")
    np.testing.assert_allclose(found.places, [[-2, 0], [-1, 0], [3, 0]])
    assert found.parts == [1.0, 0.0]


def test_equal_samples_are_one_point(tmp_path):
    with open_dump(write(tmp_path / "a.h5", np.full((5, 3), 4.0))) as dump:
        found = project(dump, "a")
    np.testing.assert_array_equal(found.places, np.zeros((5, 2)))
    assert found.parts == [0, 0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (np.ones((1, 3)), "net/a: expected two samples or more without NaN, received 1"),
        (np.full((4, 3), np.nan), "net/a: expected two samples or more without NaN, received 0"),
        (np.ones((4, 3), "c8"), "net/a: expected real numbers, received complex64"),
        (np.ones((4, 0)), "net/a: expected real numbers, received rows without any"),
    ],
)
def test_what_has_no_components_is_refused(tmp_path, values, line):
    with open_dump(write(tmp_path / "a.h5", values)) as dump, pytest.raises(InputError) as refused:
        project(dump, "a")
    assert str(refused.value) == line
