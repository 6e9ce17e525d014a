"""Small honest model files, and seeded changes of them: of the file, of a member, of the config."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import zipfile

import h5py
import numpy as np
from gate.hostile import onnx, saved_models

_TELLING = (0, 1, 0x7F, 0x80, 0xFF)
_TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\ud800", b"NaN", b"Infinity", b"null"),
    *(b"-1", b"0", b"1e999", b"18446744073709551616", b"true", b"\xff", b"\xef\xbb\xbf"),
    *(b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\xff" * 4, b"\xff" * 8),
    *(b"SNOD", b"TREE", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"BTHD", b"FADB", b"EAHD"),
)


def make_config():
    """Give a config of Keras 3 with a layer of weights."""
    layers = [
        ("InputLayer", {"name": "i", "batch_shape": [None, 3], "dtype": "float32"}),
        ("Dense", {"name": "dense", "units": 2, "activation": "relu", "use_bias": True}),
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": class_name,
                    "config": config,
                    "registered_name": None,
                }
                for class_name, config in layers
            ],
        },
        "registered_name": None,
        "build_config": {"input_shape": [None, 3]},
    }


def make_seeds():
    """Give small honest files: the ending and the bytes of each; of most kinds several.

    TensorFlow Lite is there where TensorFlow is, whose schema writes it.
    """
    config = make_config()
    seeds = [("json", json.dumps(config).encode())]
    for compression in (None, "gzip"):
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            group = file.create_group("layers/dense/vars")
            group.create_dataset("0", data=np.ones((3, 2), "f4"), compression=compression)
            group.create_dataset("1", data=np.ones(2, "f4"))
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            members = {
                "metadata.json": b'{"keras_version": "3.9.0"}',
                "config.json": json.dumps(config).encode(),
                "model.weights.h5": weights.getvalue(),
                "assets/layers/a/vocabulary.txt": b"a\nb",
            }
            seeds.append(("keras", pack(members, method)))
    for latest in (False, True):
        whole = io.BytesIO()
        with h5py.File(whole, "w", libver="latest" if latest else "earliest") as file:
            old = {"class_name": "Sequential", "config": {"name": "s", "layers": [
                {"class_name": "Dense", "config": {
                    "name": "dense", "units": 2, "batch_input_shape": [None, 3]}}]}}  # fmt: skip
            file.attrs["model_config"] = json.dumps(old)
            file.attrs["keras_version"] = "2.15.0"
            group = file.create_group("model_weights/dense")
            group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
            file["model_weights"].attrs["layer_names"] = [b"dense"]
            group["dense/kernel:0"] = np.ones((3, 2), "f4")
            group["dense/bias:0"] = np.ones(2, "f4")
        seeds.append(("h5", whole.getvalue()))
    _, graph = saved_models.make_model()
    graph = graph.graph_def.SerializeToString(deterministic=True)
    seeds += [("pb", graph), ("onnx", onnx.PLAIN)]
    if importlib.util.find_spec("tensorflow"):
        from gate.hostile import tflite

        seeds.append(("tflite", tflite.pack(tflite.make_model())))
    return seeds


def pack(members, method):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def mutate(choose, content, other):
    """Change bytes in one to four ways, as a source of chance has it."""
    content = bytearray(content)
    for _ in range(choose.randint(1, 4)):
        if not content:
            break
        place, length = choose.randrange(len(content)), choose.choice((1, 2, 4, 8, 64, 512))
        part = content[place : place + length]
        match choose.randrange(8):
            case 0:
                content[place] ^= 1 << choose.randrange(8)
            case 1:
                content[place] = choose.choice(_TELLING)
            case 2:
                token = choose.choice(_TOKENS)
                content[place : place + len(token) * choose.randrange(2)] = token
            case 3:
                del content[place:]
            case 4:
                del content[place : place + length]
            case 5:
                content[place:place] = part
            case 6:
                start = choose.randrange(len(other))
                content[place : place + length] = other[start : start + length]
            case _:
                content += part
    return bytes(content)


def make_mutation(seeds, number):
    """Give the ending and the bytes of a file that isn't what Keras wrote, the same each time."""
    choose = random.Random(number)
    ending, content = choose.choice(seeds)
    other = choose.choice(seeds)[1]
    if ending == "keras" and choose.random() < 0.6:
        # Inside of an archive that is sound.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = choose.choice(["config.json", "model.weights.h5", *members])
        members[name] = mutate(choose, members[name], other)
        return ending, pack(members, choose.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return ending, mutate(choose, content, other)
