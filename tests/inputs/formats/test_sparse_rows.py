"""Sparse matrices as samples, against what scipy makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs.sources.model_input import ModelInput

INPUT = [ModelInput("x", (None, 6), "float32")]


def make_matrix(dtype):
    random = np.random.default_rng(0)
    dense = random.integers(1, 9, (23, 6)) * (random.random((23, 6)) < 0.3)
    dense[[0, 7, 22]] = 0
    return dense.astype(dtype)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_rows_are_those_of_scipy(kind, dtype, compressed, tmp_path):
    dense = make_matrix(dtype)
    path = tmp_path / "m.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(dense).asformat(kind), compressed)
    with open_all([str(path)], INPUT) as samples:
        batches = [batch["x"] for _, batch in samples.batches(5)]
        np.testing.assert_array_equal(np.concatenate(batches), dense)
        assert batches[0].dtype == dtype
        np.testing.assert_array_equal(samples.peek(3)["x"], dense[:3])
        assert samples.names(22, 23)[0].decode().endswith("m.npz[22]")


def test_entries_stored_twice_are_added_as_scipy_does(tmp_path):
    matrix = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([1, 1, 0], [2, 2, 5])), shape=(2, 6))
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    with open_all([str(tmp_path / "m.npz")], INPUT) as samples:
        np.testing.assert_array_equal(samples.peek(2)["x"], matrix.toarray())


def test_other_formats_and_damaged_files_are_refused_in_a_line(tmp_path):
    path = tmp_path / "m.npz"
    dense = make_matrix("float32")
    scipy.sparse.save_npz(path, scipy.sparse.dia_matrix(dense))
    with pytest.raises(InputError, match="csr, csc or coo, received 'dia'") as caught:
        open_all([str(path)], INPUT)
    assert "tocsr" in caught.value.lines[0]
    matrix = scipy.sparse.csr_matrix(dense)
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    for wrong in (
        {"indices": matrix.indices + 6},
        {"indices": matrix.indices - 6},
        {"indptr": matrix.indptr[:-1]},
        {"indptr": matrix.indptr[::-1]},
        {"data": matrix.data[1:]},
    ):
        np.savez(path, format=b"csr", shape=dense.shape, **{**parts, **wrong})
        with pytest.raises(InputError, match="damaged"):
            open_all([str(path)], INPUT)
    np.savez(path, format=b"csr", shape=dense.shape, data=matrix.data)
    with pytest.raises(InputError, match="'csr' without indices, indptr"):
        open_all([str(path)], INPUT)
    scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(dense[:, :4]))
    with pytest.raises(InputError, match=r"expects shape \(None, 6\), received \(23, 4\)"):
        open_all([str(path)], INPUT)
