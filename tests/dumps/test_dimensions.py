"""A dump in the hands of xarray: dimensions with names, rows with labels."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe

xarray = pytest.importorskip("xarray")


def test_xarray_opens_a_dump_with_labels(samples, tmp_path):
    path = tmp_path / "a.h5"
    kprobe.dump(
        samples / "shapes_rpn.h5",
        ["conv5_3", "scores=rpn_class"],
        inputs=str(samples / "shapes.npz"),
        output=path,
    )
    with xarray.open_dataset(path, engine="h5netcdf") as labelled, kprobe.open_dump(path) as dump:
        assert set(labelled.data_vars) >= {"conv5_3", "scores"}
        for name in ("conv5_3", "scores"):
            assert labelled[name].dims[0] == "sample"
            assert labelled[name].shape == dump[name].shape
            assert labelled[name].dtype == np.float32
            np.testing.assert_array_equal(labelled[name], dump[name])
        labels = [f"shapes.npz:image[{row}]" for row in range(32)]
        assert labelled["sample_name"].values.tolist() == labels
        named = labelled["conv5_3"].set_xindex("sample_name")
        one = named.sel(sample_name="shapes.npz:image[3]")
        np.testing.assert_array_equal(one, dump["conv5_3"][3])
        assert labelled.attrs["format"] == "kprobe dump"
        assert labelled["scores"].attrs["layer"] == "rpn_class"
