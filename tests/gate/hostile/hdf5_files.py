"""HDF5 files of small models, and what changes them: the cases of HDF5 are made with it."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from gate.hostile.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[Any, Path], object]


_KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)


BIAS = np.float32([0.5, -0.5])


PLACES = {"h5": "model_weights/dense/dense", "keras": "layers/dense/vars"}


UNDEFINED = b"\xff" * 8


def _config_of_keras_2() -> str:
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "input_1"},
        },
        {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "linear"}},
    ]
    return json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": layers}})


def _config_of_keras_3() -> str:
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "input_1"},
            "registered_name": None,
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "linear"},
            "registered_name": None,
            "build_config": {"input_shape": [None, 3]},
        },
    ]
    return json.dumps(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "net", "layers": layers},
            "registered_name": None,
        }
    )


def fill_whole(file: Any) -> None:
    """Fill a file as Keras 2 does."""
    file.attrs["keras_version"] = "2.15.0"
    file.attrs["backend"] = "tensorflow"
    file.attrs["model_config"] = _config_of_keras_2()
    weights = file.create_group("model_weights")
    weights.attrs["backend"] = "tensorflow"
    weights.attrs["keras_version"] = "2.15.0"
    weights.attrs["layer_names"] = np.array([b"dense"])
    dense = weights.create_group("dense")
    dense.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
    dense["dense/kernel:0"] = _KERNEL
    dense["dense/bias:0"] = BIAS


def _fill_weights(file: Any) -> None:
    """Fill a file as Keras 3 does."""
    variables = file.create_group("layers/dense/vars")
    variables["0"] = _KERNEL
    variables["1"] = BIAS
    file.create_group("vars")


def nothing(_file: Any, _folder: Path) -> None:
    pass


def make_file(
    folder: Path, kind: str = "h5", change: Change = nothing, **options: Any
) -> tuple[Path, io.BytesIO]:
    """Write a model, changed.

    Args:
        folder: Where it goes.
        kind: Its ending.
        change: Given the HDF5 file, which is open, and the folder, changes it.
        options: How `h5py.File` makes it.

    Returns:
        The model's path, and the content of its HDF5.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        (fill_whole if kind == "h5" else _fill_weights)(file)
        change(file, folder)
    return _put(folder, kind, content), content


def _put(folder: Path, kind: str, content: io.BytesIO) -> Path:
    path = folder / f"model.{kind}"
    if kind == "h5":
        path.write_bytes(content.getbuffer())
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.writestr("config.json", _config_of_keras_3())
        archive.writestr("model.weights.h5", content.getvalue())
    return path


def case(
    name: str,
    change: Change,
    rule: str | None,
    *,
    kind: str = "h5",
    patch: Callable[[bytearray], object] | None = None,
    source: str = "",
    **options: Any,
) -> Case:
    def make(folder: Path, _marker: Path) -> Path:
        path, content = make_file(folder, kind, change, **options)
        if patch is not None:
            patched = bytearray(content.getvalue())
            instead = patch(patched)
            path = _put(folder, kind, io.BytesIO(instead if instead is not None else patched))
        return path

    return Case(f"hdf5-{name}", make, rule, source)


def replace(name: str, make: Callable[[Any, str, Path], object]) -> Change:
    """Put something else in the place of a dataset or group."""

    def change(file: Any, folder: Path) -> None:
        attrs = dict(file[name].attrs)
        del file[name]
        make(file, name, folder)
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.HardLink) and attrs:
            file[name].attrs.update(attrs)

    return change


def bias(make: Callable[[Any, str, Path], object], kind: str = "h5") -> Change:
    return replace(f"{PLACES[kind]}/{'bias:0' if kind == 'h5' else '1'}", make)


def link(target: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.__setitem__(name, target)


def of_data(data: Any, **options: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.create_dataset(name, data=data, **options)


def say_often(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    file["model_weights"].attrs["more"] = ["y" * 9] * 3000


def say_everywhere(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    for number in range(200):
        file.create_group(f"extra/{number}").attrs["name"] = "y" * 9


def say_in_values(file: Any, _folder: Path) -> None:
    file.attrs["long"] = "x" * 500_000
    file["extra"] = ["y" * 9] * 3000


def point_at_long(content: bytearray) -> None:
    """Let all texts of nine bytes lie where the one of 500,000 lies."""
    place = content.index(b"x" * 500_000) - 16
    collection = content.rindex(b"GCOL", 0, place)
    number = struct.unpack_from("<H", content, place)[0]
    long = struct.pack("<IQI", 500_000, collection, number)
    at = 0
    while (at := content.find(b"\x09\0\0\0", at)) >= 0:
        where, number = struct.unpack_from("<QI", content, at + 4)
        # What lies there is a collection of texts, and this its own descriptor.
        if content[where : where + 4] == b"GCOL" and 0 < number < 65_536:
            content[at : at + 16] = long
        at += 1


def write(place: int, value: bytes) -> Callable[[bytearray], None]:
    def patch(content: bytearray) -> None:
        content[place : place + len(value)] = value

    return patch


def rename(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    def patch(content: bytearray) -> None:
        assert len(old) == len(new)
        assert old in content
        content[:] = content.replace(old, new)

    return patch


def add(make: Callable[[Any], object]) -> Change:
    return lambda file, _folder: make(file)


CVE_FILE, CVE_SHAPE = "CVE-2026-1669", "CVE-2026-0897"
