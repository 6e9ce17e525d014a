"""Tensors without a row for each sample: stored whole, for samples that are run one by one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
BOXES = np.sort(RNG.random((40, 12, 2, 2)), axis=2).reshape(40, 12, 4).astype("float32")
SCORES = RNG.random((40, 12)).astype("float32")


def make_detector(k, suppress, **shape):
    class Suppress(k.layers.Layer):
        def call(self, x):
            return suppress(x)

    i = k.Input(**(shape or {"shape": (12, 5)}), name="boxes")
    out = Suppress(name="nms")(k.layers.ReLU(name="relu")(i))
    return k.Model(i, [out, k.layers.Flatten(name="flat")(i)])


def suppress_flat(x):
    """As if there were one image only, as many detectors are written."""
    flat = tf.reshape(x, (-1, 5))
    kept = tf.image.non_max_suppression(flat[:, :4], flat[:, 4], 12, 0.3, name="kept")
    found = tf.gather(flat, kept, name="found")
    return found + tf.reduce_mean(found, name="mean")


def suppress_each(x):
    def one(row):
        kept = tf.image.non_max_suppression(row[:, :4], row[:, 4], 12, 0.3, name="kept")
        return tf.reduce_sum(tf.gather(row, kept, name="found"), axis=0)

    return tf.map_fn(one, x)


DATA = np.concatenate([BOXES, SCORES[..., None]], axis=-1)
KEPT = [
    tf.image.non_max_suppression(b, s, 12, 0.3).numpy() for b, s in zip(BOXES, SCORES, strict=True)
]
assert len({len(kept) for kept in KEPT}) > 2


def dump(model, layers, path, data=DATA, **options):
    kprobe.dump(model, layers, output=path, overwrite=True, inputs=data, **options)
    return kprobe.open_dump(path)


def check(rows, expected):
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.shape == other.shape
        np.testing.assert_allclose(row, other, rtol=1e-6)


@KERASES
@pytest.mark.parametrize("suppress", [suppress_flat, suppress_each], ids=["flat", "each"])
@pytest.mark.parametrize("rows", [40, 300], ids=["as it is", "frozen"])
def test_what_non_max_suppression_keeps_of_each_image_comes_out(k, suppress, rows, tmp_path):
    model = make_detector(k, suppress)
    inside = "nms//" if suppress is suppress_flat else "nms//map/while/"
    layers = f"kept={inside}kept/NonMaxSuppressionV3,found={inside}found,flat"
    order = np.resize(np.arange(40), rows)
    with dump(model, layers, tmp_path / "a.h5", DATA[order]) as file:
        assert file.attrs["batch_size"] == 1
        assert file.attrs["one_by_one"] == [f"{inside}kept/NonMaxSuppressionV3", f"{inside}found"]
        assert file.attrs["frozen"] == (rows == 300)
        check(file["kept"], [KEPT[row] for row in order])
        check(file["found"], [DATA[row][KEPT[row]] for row in order])
        assert file["kept"].attrs["layout"] == "ragged"
        np.testing.assert_array_equal(file["flat"][:], DATA[order].reshape(rows, -1))


@KERASES
def test_a_model_for_one_image_at_a_time_gives_the_same(k, tmp_path):
    model = make_detector(k, suppress_flat, batch_shape=(1, 12, 5))
    with dump(model, "kept=nms//kept/NonMaxSuppressionV3", tmp_path / "a.h5") as file:
        check(file["kept"], KEPT)
    model = make_detector(k, suppress_flat, batch_shape=(4, 12, 5))
    with pytest.raises(kprobe.KprobeError, match="for 4 samples"):
        dump(model, "kept=nms//kept/NonMaxSuppressionV3", tmp_path / "a.h5")


@KERASES
def test_a_model_run_eagerly_gives_whole_tensors_too(k, tmp_path):
    with dump(make_detector(k, suppress_flat), "nms,flat", tmp_path / "a.h5", eager=True) as file:
        found = [DATA[row][kept] for row, kept in enumerate(KEPT)]
        check(file["nms"], [rows + rows.mean() for rows in found])
        np.testing.assert_array_equal(file["flat"][:], DATA.reshape(40, -1))


@KERASES
def test_what_has_one_shape_for_all_samples_is_dense(k, tmp_path):
    class Statistics(k.layers.Layer):
        def call(self, x):
            total = tf.reduce_sum(x, name="total") + tf.reduce_sum(tf.constant([1.0, 2], name="c"))
            return x + total + tf.reduce_max(x, axis=0, name="largest")

    i = k.Input((12, 5), name="boxes")
    model = k.Model(i, Statistics(name="statistics")(i))
    layers = "statistics//total,statistics//largest,statistics//c,statistics"
    with dump(model, layers, tmp_path / "a.h5") as file:
        assert {file[address].attrs["layout"] for address in file} == {"dense"}
        np.testing.assert_allclose(
            file["statistics//total"], DATA.sum(axis=(1, 2)), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_array_equal(file["statistics//largest"], DATA)
        np.testing.assert_array_equal(file["statistics//c"], [[1, 2]] * 40)
    with plan_job(
        make_job(model=model, layers=layers.split(","), inputs=DATA, output="x.h5")
    ) as ready:
        assert ready.one_by_one["statistics//total"] == (
            "has shape () for one sample and () for two: not a row for each sample"
        )


@KERASES
def test_a_larger_batch_is_refused_with_the_reason(k, tmp_path):
    with pytest.raises(kprobe.KprobeError) as caught:
        dump(make_detector(k, suppress_flat), "flat,nms", tmp_path / "a.h5", batch_size=8)
    (fault,) = caught.value.faults
    assert fault.startswith("nms has shape")
    assert caught.value.hint == "leave it out, or batch_size, to store it whole for each sample"
    assert not list(tmp_path.iterdir())


@KERASES
def test_what_is_padded_for_its_batch_is_stored_as_each_sample_has_it(k, tmp_path):
    def positive(x):
        ragged = tf.ragged.boolean_mask(x[..., 0], x[..., 0] > 0.2)
        return tf.concat([ragged.to_tensor(), x[:, 0, :0]], axis=1, name="padded")

    model = make_detector(k, positive)
    columns = [row[row > 0.2] for row in DATA[..., 0]]
    assert len(columns[0]) != len(columns[1])
    with dump(model, "nms//padded", tmp_path / "a.h5") as file:
        check(file["nms//padded"], columns)


@KERASES
def test_what_the_first_samples_do_not_show_is_refused_and_can_be_said(k, tmp_path):
    def positive(x):
        return tf.boolean_mask(x, x[:, 0, 0] > 0, name="kept")

    model = make_detector(k, positive)
    data = DATA.copy()
    data[[5, 6, 17], 0, 0] = -1
    with pytest.raises(kprobe.KprobeError, match=r"has \d+ rows for samples 0 to") as caught:
        dump(model, "nms,flat", tmp_path / "a.h5", data)
    assert "ragged='nms'" in str(caught.value.hint)
    with dump(model, "a=nms,flat", tmp_path / "a.h5", data, ragged=["nms"]) as file:
        # Dropped, a sample has no row in its tensor; ReLU comes before.
        check(file["a"], [np.maximum(row[None], 0)[: int(row[0, 0] > 0)] for row in data])
    with pytest.raises(kprobe.KprobeError, match="ragged: nmz: not among the addresses"):
        dump(model, "nms", tmp_path / "b.h5", data, ragged=["nmz"])


def test_patterns_leave_it_out_as_ever(tmp_path):
    with dump(make_detector(keras, suppress_flat), None, tmp_path / "a.h5") as file:
        assert set(file) == {"relu", "flat"}
        assert file.attrs["batch_size"] > 1
