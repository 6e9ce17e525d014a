"""What Python users have in memory: sparse matrices are read, what can't be meant is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.sparse

import kprobe
from kprobe.inputs import ModelInput, SampleSpec, open_samples

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((7, 4)) < 0.4, RNG.normal(size=(7, 4)), 0).astype("float32")
X = ModelInput("x", (None, 4), "float32")
FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


def read(given):
    with open_samples(SampleSpec(inputs=given), [X]) as samples:
        parts = [batch["x"] for _, batch in samples.batches(3)]
        return np.concatenate(parts), samples.identity()[0]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
@pytest.mark.parametrize("named", [False, True])
def test_a_sparse_matrix_is_read_whatever_its_format(kind, make, named):
    matrix = make(DENSE).asformat(kind)
    values, identity = read({"x": matrix} if named else matrix)
    np.testing.assert_array_equal(values, DENSE)
    assert values.dtype == np.float32
    assert identity["rows"] == 7


def test_entries_that_are_there_twice_are_added():
    matrix = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 3])), shape=(2, 4))
    np.testing.assert_array_equal(read(matrix)[0], [[0, 3, 0, 0], [0, 0, 0, 4]])


def test_matrices_are_told_apart_by_all_that_they_hold():
    moved = np.roll(DENSE, 1, axis=1)
    one, same, other = (
        read(scipy.sparse.csr_array(each))[1]["sha256"] for each in (DENSE, DENSE.copy(), moved)
    )
    assert one == same != other


def test_batches_may_be_sparse():
    batches = [scipy.sparse.csr_array(DENSE[:3]), scipy.sparse.dok_matrix(DENSE[3:])]
    np.testing.assert_array_equal(read(iter(batches))[0], DENSE)


def test_a_sparse_array_of_one_axis_is_refused():
    with pytest.raises(
        kprobe.KprobeError, match=r"array: expected a sparse matrix, received shape"
    ):
        read(scipy.sparse.coo_array(DENSE[0]))


MASKED = np.ma.masked_array(DENSE, mask=np.arange(28).reshape(7, 4) % 9 == 1)


@pytest.mark.parametrize(
    ("given", "label", "count"),
    [
        (MASKED, "array", 3),
        ({"x": MASKED}, "array:x", 3),
        ([MASKED[0], MASKED[1]], "array", 1),
        ([MASKED[5:6, :2], MASKED[2]], "array", 1),
        (iter([DENSE, MASKED]), "list_iterator", 3),
    ],
    ids=["lone", "named", "rows", "uneven rows", "batches"],
)
def test_masked_values_are_refused(given, label, count):
    with pytest.raises(kprobe.KprobeError) as caught:
        read(given)
    assert caught.value.faults == (
        f"{label}: expected an array without masked values, received {count} of them",
    )
    assert caught.value.hint == "say what is to stand for them: array.filled(0)"


def test_a_mask_that_masks_nothing_is_no_matter():
    np.testing.assert_array_equal(read(np.ma.masked_array(DENSE, mask=False))[0], DENSE)


def test_functions_refuse_masked_values_too():
    x = keras.Input((4,), name="x")
    function = kprobe.function(keras.Model(x, keras.layers.Dense(3, name="d")(x)), "d")
    with pytest.raises(kprobe.KprobeError, match="x: expected an array without masked values"):
        function(MASKED)


def test_an_empty_list_is_refused():
    with pytest.raises(kprobe.KprobeError) as caught:
        SampleSpec(inputs=[])
    assert str(caught.value) == (
        "inputs: expected samples, received an empty list; leave inputs out for random ones"
    )


@pytest.mark.parametrize("nothing", [None, ()])
def test_nothing_means_random_samples(nothing):
    with open_samples(SampleSpec(inputs=nothing, random=5), [X]) as samples:
        assert samples.random
        assert samples.rows == 5
