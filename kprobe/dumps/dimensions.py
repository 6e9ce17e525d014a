"""Names for the axes of datasets: HDF5 dimension scales as netCDF-4 uses them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import h5py
import numpy as np

# How netCDF-4 marks a scale that has a size and no values, followed by the size in 10 columns.
# The full stop belongs to it.
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10d}"


class Dimensions:
    """The dimensions of one file: `sample`, and one without values for each size of axis.

    An axis of 64 has the dimension `dim_64`; a second one of that size in the same dataset has
    `dim_64_2`, since xarray wants the dimensions of an array to differ.

    The attributes that tie datasets and scales together are written here, and not by
    `attach_scale`: that one rewrites the list of a scale for every dataset attached, which at
    2,000 datasets doubles the time and makes the file five times larger.

    Args:
        file: The file, open for writing.
        sample: The dataset that becomes the dimension of every axis of samples.
    """

    def __init__(self, file: Any, sample: Any) -> None:
        self._file = file
        sample.make_scale("sample")
        self._scales = {"sample": sample}
        self._uses: dict[str, list[tuple[Any, int]]] = {"sample": []}

    def label(self, dataset: Any, *, by_sample: bool) -> None:
        """Name every axis of a dataset, of which the first may be `sample`."""
        names = ["sample"] if by_sample else []
        seen: Counter[int] = Counter()
        for size in dataset.shape[len(names) :]:
            seen[size] += 1
            names.append(f"dim_{size}" if seen[size] == 1 else f"dim_{size}_{seen[size]}")
        if not names:
            return  # netCDF-4's scalars have no list of dimensions
        references = np.empty(len(names), dtype=object)
        for axis, name in enumerate(names):
            scale = self._scale(name, dataset.shape[axis])
            references[axis] = np.array([scale.ref], dtype=h5py.ref_dtype)
            self._uses[name].append((dataset.ref, axis))
        dataset.attrs.create("DIMENSION_LIST", references, dtype=h5py.vlen_dtype(h5py.ref_dtype))

    def finish(self) -> None:
        """Write to every scale the list of the axes that use it."""
        entry = np.dtype([("dataset", h5py.ref_dtype), ("dimension", np.int32)], align=True)
        for name, uses in self._uses.items():
            if uses:
                self._scales[name].attrs.create("REFERENCE_LIST", np.array(uses, dtype=entry))

    def _scale(self, name: str, size: int) -> Any:
        if name not in self._scales:
            # Never written to, so it takes up no space.
            scale = self._file.create_dataset(name, (size,), np.dtype(">f4"))
            scale.make_scale(_NO_VARIABLE.format(size))
            self._scales[name] = scale
            self._uses[name] = []
        return self._scales[name]
