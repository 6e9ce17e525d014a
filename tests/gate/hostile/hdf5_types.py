"""HDF5 files of types and filters that no Keras writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from gate.hostile.hdf5_files import BIAS, PLACES, add, bias, case, of_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _of_type(stored: Any) -> Callable[[Any, str, Path], object]:
    """Make a dataset of one value of a type that h5py may not know."""

    def make(file: Any, name: str, _folder: Path) -> None:
        space = h5py.h5s.create_simple((2,))
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        h5py.h5d.create(file.id, name.encode(), stored, space, dcpl=settings)
        file["behind"] = 1

    return make


def _commit_type(file: Any, name: str, _folder: Path) -> None:
    file["kind"] = np.dtype("f4")
    file.create_dataset(name, data=BIAS, dtype=file["kind"])


def _refer(kind: Any, find: Callable[[Any], object]) -> Callable[[Any, str, Path], object]:
    def make(file: Any, name: str, _folder: Path) -> None:
        file.create_dataset(name, (1,), kind)[0] = find(file)

    return make


def _unknown_filter(number: int) -> Callable[[Any, str, Path], object]:
    def make(file: Any, name: str, _folder: Path) -> None:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2,))
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2,))
        made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=settings)
        made.write_direct_chunk((0,), BIAS.tobytes())

    return make


_H5T = h5py.h5t


_TYPES = (
    case("committed-type", bias(_commit_type), "hdf5-types"),
    case(
        "committed-type-aside",
        add(lambda file: file.__setitem__("kind", np.dtype("f4"))),
        "hdf5-types",
    ),
    case("references", bias(_refer(h5py.ref_dtype, lambda file: file["/"].ref)), "hdf5-types"),
    case(
        "region-references",
        bias(
            _refer(h5py.regionref_dtype, lambda file: file[f"{PLACES['h5']}/kernel:0"].regionref[:])
        ),
        "hdf5-types",
    ),
    case("records", bias(of_data(np.zeros(2, [("x", "f4"), ("y", "f4")]))), "hdf5-types"),
    case("bare-bytes", bias(of_data(np.zeros(2, "V1000"))), "hdf5-types"),
    case(
        "times-of-numpy",
        bias(of_data(np.zeros(2, h5py.opaque_dtype("M8[s]")))),
        "hdf5-types",
    ),
    case(
        "enumeration",
        bias(of_data(np.zeros(2, h5py.enum_dtype({"A": 0, "B": 1}, "i4")))),
        "hdf5-types",
    ),
    case("arrays", bias(_of_type(_H5T.array_create(_H5T.IEEE_F32LE, (3,)))), "hdf5-types"),
    case("lists", bias(_of_type(_H5T.vlen_create(_H5T.IEEE_F32LE))), "hdf5-types"),
    case("long-doubles", bias(of_data(np.ones(2, np.longdouble))), "hdf5-types"),
    case("bits", bias(_of_type(_H5T.STD_B8LE)), "hdf5-types"),
    case("no-values", bias(of_data(h5py.Empty("f4"))), "hdf5-types"),
    case(
        "attribute-of-references",
        add(lambda file: file.attrs.__setitem__("ref", file["/"].ref)),
        "hdf5-types",
    ),
    case(
        "attribute-of-records",
        add(lambda file: file.attrs.__setitem__("x", np.zeros(2, [("x", "f4"), ("y", "i4")]))),
        "hdf5-types",
    ),
)


_FILTERS = (
    case("filter-blosc", bias(_unknown_filter(32001)), "hdf5-filters"),
    case("filter-zstd", bias(_unknown_filter(32015)), "hdf5-filters"),
    case("filter-of-ones-own", bias(_unknown_filter(511)), "hdf5-filters"),
    case("filter-scale-offset", bias(of_data(BIAS, chunks=(2,), scaleoffset=2)), "hdf5-filters"),
)


CASES = (*_TYPES, *_FILTERS)
