"""Names for the axes of datasets: HDF5 dimension scales as netCDF-4 uses them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

# How netCDF-4 marks a scale that has a size and no values, followed by the size in 10 columns.
# The full stop belongs to it.
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10d}"

# An axis: what it is called, as far as that is known, and its size.
Axis = tuple[str | None, int]


class AxisNames:
    """The names of the dimensions that several arrays have, which differ where sizes do.

    An axis that is known, such as `height`, has its own name where all such axes have one size, and
    no array is called so; else its size stands behind it, as in `height_64`. An unknown axis of 64
    is `dim_64`. A second one in the same array is `dim_64_2`, since xarray wants the dimensions of
    an array to differ.

    Args:
        arrays: The axes of each array, those of samples excepted.
        taken: The names of the arrays.
    """

    def __init__(self, arrays: Iterable[Sequence[Axis]], taken: Collection[str]) -> None:
        self._taken = taken
        self._sizes: defaultdict[str | None, set[int]] = defaultdict(set)
        for axes in arrays:
            for name, size in axes:
                self._sizes[name].add(size)

    def choose(self, axes: Sequence[Axis]) -> list[str]:
        """Choose the names of an array's dimensions."""
        seen: Counter[Axis] = Counter()
        names: list[str] = []
        for name, size in axes:
            chosen = None if name is None else self._choose_known(name, size)
            if chosen is None or chosen in names:
                seen[None, size] += 1
                number = seen[None, size]
                chosen = f"dim_{size}" if number == 1 else f"dim_{size}_{number}"
            names.append(chosen)
        return names

    def _choose_known(self, name: str, size: int) -> str:
        sized = f"{name}_{size}"
        if len(self._sizes[name]) == 1 and name not in self._taken:
            return name
        return sized if sized not in self._taken else f"dim_{sized}"


def pair_axes(names: Sequence[str | None], shape: Sequence[int]) -> list[Axis]:
    """Give the axes of an array, of which the names may be unknown, or all of them be left out."""
    return list(zip(names or [None] * len(shape), shape, strict=True))


class Dimensions:
    """The dimensions of one file: `sample`, and a scale without values for every other.

    The attributes that tie datasets and scales together are written here, and not by
    `attach_scale`: that one rewrites the list of a scale for every dataset attached, which at
    2,000 datasets doubles the time and makes the file five times larger.

    Args:
        file: The file, open for writing.
        sample: The dataset that becomes the dimension of every axis of samples.
        axes: The axes of each dataset that will be labelled, by its name, that of samples excepted.
    """

    def __init__(self, file: Any, sample: Any, axes: Mapping[str, Sequence[Axis]]) -> None:
        self._file = file
        self._axes = axes
        self._names = AxisNames(axes.values(), axes.keys())
        sample.make_scale("sample")
        self._scales = {"sample": sample}
        self._uses: dict[str, list[tuple[Any, int]]] = {"sample": []}

    def label(self, dataset: Any, name: str, *, by_sample: bool) -> None:
        """Name every axis of a dataset, of which the first may be `sample`."""
        axes = self._axes.get(name, ())
        names = [*(["sample"] if by_sample else []), *self._names.choose(axes)]
        if not names:
            return  # netCDF-4's scalars have no list of dimensions
        references = np.empty(len(names), dtype=object)
        for axis, chosen in enumerate(names):
            scale = self._scale(chosen, dataset.shape[axis])
            references[axis] = np.array([scale.ref], dtype=h5py.ref_dtype)
            self._uses[chosen].append((dataset.ref, axis))
        dataset.attrs.create("DIMENSION_LIST", references, dtype=h5py.vlen_dtype(h5py.ref_dtype))
        if any(known for known, _ in axes):
            labels = [*(["sample"] if by_sample else []), *(known or "" for known, _ in axes)]
            dataset.attrs.create("DIMENSION_LABELS", labels, dtype=h5py.string_dtype("ascii"))

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


def read_axes(dataset: Any) -> list[Axis]:
    """Give the axes of a dataset in a dump, that of samples excepted."""
    axes = list(zip(read_labels(dataset), dataset.shape, strict=True))
    return axes if dataset.attrs.get("layout") == "weight" else axes[1:]


def read_labels(dataset: Any) -> list[str | None]:
    """Give what the axes of a dataset are called, None for what isn't known.

    HDF5's own function (H5DSget_label) writes behind the memory that it reserves where a file
    names more axes than there are. So the attribute is read as any other, here and nowhere else.
    """
    labels = dataset.attrs.get("DIMENSION_LABELS")
    if np.shape(labels) != (dataset.ndim,):
        return [None] * dataset.ndim
    return [str(label) if isinstance(label, str) and label else None for label in labels]
