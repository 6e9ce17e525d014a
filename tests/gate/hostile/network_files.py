"""Model files with a network of one's own, written as either Keras writes them, without it."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np

KERAS_3 = "3.15.0"
KERAS_2 = "2.15.0"


class Form:
    """How one of the Kerases writes layers, calls and files.

    Args:
        major: 3 or 2.
    """

    def __init__(self, major):
        self.major = major

    def ref(self, name, node=0, tensor=0, shape=(None, 4)):
        """Refer to an output of a call."""
        if self.major < 3:
            return [name, node, tensor, {}]
        config = {"shape": list(shape), "dtype": "float32", "keras_history": [name, node, tensor]}
        return {"class_name": "__keras_tensor__", "config": config}

    def call(self, *taken, **keywords):
        """Make a call of names of layers, or of what `ref` gives."""
        taken = [self.ref(each) if isinstance(each, str) else each for each in taken]
        if self.major >= 3:
            return {"args": taken[:1] if len(taken) < 2 else [taken], "kwargs": keywords}
        first = [*taken[0][:3], keywords] if keywords else taken[0]
        return [first, *taken[1:]]

    def layer(self, name, kind="Dense", *calls, **config):
        """Write a layer; a call may be the name of the layer whose output it takes."""
        if kind == "Dense":
            config = {"units": 4, "activation": "linear", "use_bias": True, **config}
        own = {"name": name, "trainable": True, "dtype": "float32", **config}
        calls = [self.call(each) if isinstance(each, str) else each for each in calls]
        written = {"class_name": kind, "config": own, "name": name, "inbound_nodes": calls}
        return {**written, **self._origin("keras.layers")}

    def input(self, name="in", shape=(None, 4)):
        """Write an input layer."""
        key = "batch_shape" if self.major >= 3 else "batch_input_shape"
        config = {key: list(shape), "dtype": "float32", "sparse": False, "name": name}
        written = {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}
        return {**written, **self._origin("keras.layers")}

    def model(self, *layers, inputs=(("in", 0, 0),), outputs=(("out", 0, 0),), name="m", calls=()):
        """Write a graph of layers: a model, or a layer of one."""
        calls = [self.call(each) if isinstance(each, str) else each for each in calls]
        config = {
            "name": name,
            "trainable": True,
            "layers": list(layers),
            "input_layers": [list(each) for each in inputs],
            "output_layers": [list(each) for each in outputs],
        }
        written = {"class_name": "Functional", "config": config}
        return self._as_layer(written, name, calls, "keras.src.models.functional")

    def stack(self, *layers, name="s", calls=(), **config):
        """Write a Sequential: a model, or a layer of one."""
        calls = [self.call(each) if isinstance(each, str) else each for each in calls]
        layers = [
            {key: item for key, item in layer.items() if key != "inbound_nodes"} for layer in layers
        ]
        own = {"name": name, "trainable": True, "layers": layers, **config}
        written = {"class_name": "Sequential", "config": own}
        return self._as_layer(written, name, calls, "keras")

    def file(self, model, weights=None, name="model"):
        """Make a case's file: what writes the model.

        Args:
            model: The config, or what makes it.
            weights: The shapes of the weights, by place: `layers/dense/vars/0` of Keras 3, or
                `dense/dense/kernel:0` of Keras 2; None for those of a model without any.
            name: What the file is called, without its ending.
        """
        arrays = weights or {}

        def make(folder, marker):
            config = model() if callable(model) else model
            if self.major >= 3:
                return write_keras_3(folder / f"{name}.keras", config, arrays)
            return write_keras_2(folder / f"{name}.h5", config, arrays)

        return make

    def _as_layer(self, written, name, calls, module):
        if calls:
            written = {**written, "name": name, "inbound_nodes": calls}
        return {**written, **self._origin(module)}

    def _origin(self, module):
        return {"module": module, "registered_name": None} if self.major >= 3 else {}


def write_keras_3(path, model, weights):
    """Write a `.keras` archive."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("layers")
        for place, shape in weights.items():
            file[place] = np.zeros(shape, "float32")
    metadata = {"keras_version": KERAS_3, "date_saved": "2026-01-01@00:00:00"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


def write_keras_2(path, model, weights):
    """Write an HDF5 model file."""
    layers = model["config"]["layers"] if isinstance(model["config"], dict) else model["config"]
    names = [layer.get("name") or layer["config"]["name"] for layer in layers]
    with h5py.File(path, "w") as file:
        file.attrs.update(
            model_config=json.dumps(model), keras_version=KERAS_2, backend="tensorflow"
        )
        group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = KERAS_2, "tensorflow"
        if max(map(len, names), default=0) * len(names) < 30_000:  # else it takes parts
            group.attrs["layer_names"] = [name.encode() for name in names]
        small = len(names) < 100 and max(map(len, names), default=0) < 100
        for name in dict.fromkeys(names) if small else ():
            own = {place: s for place, s in weights.items() if place.startswith(f"{name}/")}
            inner = group.require_group(name)
            inner.attrs["weight_names"] = [place[len(name) + 1 :].encode() for place in own]
            for place, shape in own.items():
                group[place] = np.zeros(shape, "float32")
    return path


def write_architecture(path, model):
    """Write an architecture without weights."""
    path.write_text(json.dumps({**model, "keras_version": KERAS_3, "backend": "tensorflow"}))
    return path


def read_back(path):
    """Read a model file as it is: its config, its Keras version, and the shapes of its datasets."""
    if path.suffix == ".json":
        config = json.loads(path.read_text())
        return config, config["keras_version"], {}
    shapes = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    if path.suffix == ".h5":
        with h5py.File(path) as file:
            file.visititems(note)
            return json.loads(file.attrs["model_config"]), file.attrs["keras_version"], shapes
    with zipfile.ZipFile(path) as archive:
        config, metadata = (
            json.loads(archive.read(name)) for name in ("config.json", "metadata.json")
        )
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(note)
    return config, metadata["keras_version"], shapes
