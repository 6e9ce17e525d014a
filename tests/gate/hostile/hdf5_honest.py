"""HDF5 files that are odd, and harmless."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from gate.hostile.hdf5_files import BIAS, bias, case, nothing, of_data

if TYPE_CHECKING:
    from pathlib import Path


def _name_layers_in_text(file: Any, _folder: Path) -> None:
    weights = file["model_weights"]
    weights.attrs["layer_names"] = ["dense"]
    weights["dense"].attrs["weight_names"] = ["dense/kernel:0", "dense/bias:0"]


def _name_layers_in_parts(file: Any, _folder: Path) -> None:
    # As Keras does where the names of all layers don't fit into one attribute.
    del file["model_weights"].attrs["layer_names"]
    file["model_weights"].attrs["layer_names0"] = np.array([b"dense"])


def _train(file: Any, _folder: Path) -> None:
    """Add what Keras 2 keeps of the optimizer."""
    file.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": {}})
    group = file.create_group("optimizer_weights")
    group.attrs["weight_names"] = np.array([b"Adam/iteration:0", b"Adam/m/dense/kernel:0"])
    group["Adam/iteration:0"] = np.int64(5)
    group["Adam/m/dense/kernel:0"] = np.zeros((3, 2), np.float32)


def _add_layer_without_weights(file: Any, _folder: Path) -> None:
    weights = file["model_weights"]
    weights.attrs["layer_names"] = np.array([b"input_1", b"dense"])
    weights.create_group("input_1").attrs["weight_names"] = []


def _add_odd_values(file: Any, _folder: Path) -> None:
    # No layer has them, and Keras writes their like: of quantized models, and of seeds.
    group = file.create_group("optimizer_weights/odd")
    group["bool"] = np.array([True, False])
    group["half"] = np.ones(2, np.float16)
    group["bfloat16"] = np.ones(2, np.uint16).view("V2")
    group["bfloat16"].attrs["dtype"] = "bfloat16"
    group["float8"] = np.ones(2, np.uint8).view("V1")
    group["complex"] = np.ones(2, np.complex64)
    group["seed"] = np.array([1, 2], np.uint32)
    group["text"] = np.array([b"one", b"three"])
    group["texts"] = ["one", "three"]
    group["none"] = np.zeros((0, 3), np.float32)
    group["big"] = np.ones(2, ">f8")
    group["café au lait"] = 1
    group.create_group("empty")


def _compact(file: Any, name: str, _folder: Path) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2,))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=settings).write(
        h5py.h5s.ALL, h5py.h5s.ALL, BIAS
    )


def _know_many_things(file: Any, _folder: Path) -> None:
    for number in range(30):
        file.attrs[f"note{number}"] = ["some", "words" * number]


def _incompressible(file: Any, name: str, _folder: Path) -> None:
    """Leave a block as it is, which no filter makes smaller."""
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)
    for number, options in enumerate(
        (
            {"compression": "gzip", "shuffle": True, "fletcher32": True},
            {"compression": "lzf"},
            {"fletcher32": True},
            {"compression": "lzf", "shuffle": True},
        )
    ):
        for kind, values in (("noise", noise), ("zeros", noise * 0), ("some", noise % 3)):
            at = f"optimizer_weights/{kind}{number}"
            file.create_dataset(at, data=values, chunks=(1000,), **options)
    file[name] = BIAS


CASES = (
    case("incompressible", bias(_incompressible), None),
    case("plain", nothing, None),
    case("plain-in-keras", nothing, None, kind="keras"),
    case("user-block-of-none", nothing, None, userblock_size=0),
    case("gzip", bias(of_data(BIAS, chunks=(2,), compression="gzip")), None),
    case(
        "all-filters",
        bias(of_data(BIAS, chunks=(1,), compression="lzf", shuffle=True, fletcher32=True)),
        None,
    ),
    case(
        "gzip-in-keras",
        bias(of_data(BIAS, chunks=(2,), compression="gzip"), "keras"),
        None,
        kind="keras",
    ),
    case("blocks-beyond-the-edge", bias(of_data(BIAS, chunks=(3,), maxshape=(None,))), None),
    case("compact", bias(_compact), None),
    case("big-endian", bias(of_data(BIAS.astype(">f4"))), None),
    case("latest", nothing, None, libver="latest"),
    case("latest-in-keras", nothing, None, kind="keras", libver="latest"),
    case("of-hdf5-1.8", nothing, None, libver=("v108", "v108")),
    case("latest-blocks", bias(of_data(BIAS, chunks=(1,))), None, libver="latest"),
    case("in-order", nothing, None, track_order=True),
    case("notes", _know_many_things, None),
    case("notes-in-a-heap", _know_many_things, None, libver="latest"),
    case("names-as-texts", _name_layers_in_text, None),
    case("names-in-parts", _name_layers_in_parts, None),
    case("trained", _train, None),
    case("layer-without-weights", _add_layer_without_weights, None),
    case("odd-values", _add_odd_values, None),
)
