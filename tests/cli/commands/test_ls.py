"""kprobe ls: what is in a model file."""

from __future__ import annotations

import json
import runpy
import shlex

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

SIAMESE = "sample_models/siamese.keras"


@pytest.mark.parametrize(
    "model", ["shapes_rpn.h5", "shapes_roi.keras", "digits_cnn.keras", "siamese.keras"]
)
def test_the_table_of_a_sample_model(kprobe_light, expected, model):
    done = kprobe_light("ls", f"sample_models/{model}")
    note = ""
    if model == "shapes_roi.keras":  # of which a layer is of the user's own class
        own = "--custom-objects FILE.py"
        command = f"kprobe dump sample_models/{model} {own} --all --dry-run"
        note = f"kprobe: 1 output without a shape: `{command}` runs the model to tell them\n"
    assert (done.returncode, done.stderr) == (0, note)
    assert done.stdout == expected(f"ls_{model.partition('.')[0]}.txt")


@pytest.mark.parametrize(
    ("arguments", "addresses"),
    [
        (["encoder"], ["encoder@0", "encoder@1"]),
        (["conv1"], ["encoder@0/conv1", "encoder@1/conv1"]),
        (["encoder@1/conv*"], ["encoder@1/conv1", "encoder@1/conv2"]),
        (["*/pool"], ["encoder@0/pool", "encoder@1/pool"]),
        (["**/flatten"], ["encoder@0/flatten", "encoder@1/flatten"]),
        (["--type", "Dense"], ["encoder@0/embedding", "encoder@1/embedding", "same"]),
        (["encoder@0/*", "--type", "Dense"], ["encoder@0/embedding"]),
        (["type:Subtract"], ["difference"]),
        (["at:-1"], ["same"]),
        (["re:a.*"], ["absolute", "add"]),
    ],
)
def test_patterns_and_classes_narrow_the_list(kprobe_here, arguments, addresses):
    done = kprobe_here("ls", SIAMESE, *arguments, "--json")
    assert [entry["address"] for entry in json.loads(done.stdout)] == addresses


def test_json_tells_what_the_table_tells(kprobe_here):
    entries = json.loads(kprobe_here("ls", SIAMESE, "--json").stdout)
    assert len(entries) == 21
    assert entries[4] == {
        "address": "encoder@0/conv1",
        "class": "Conv2D",
        "output_shape": [None, 8, 8, 16],
        "parameters": 160,
        "depth": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["conv9"], "no layer 'conv9'; nearest: encoder@1/conv2, encoder@1/conv1"),
        (["zzz*"], "'zzz*' matches no layer; `kprobe ls MODEL` lists the layers"),
        (["--type", "Conv9D"], f"{SIAMESE} has no layer of class Conv9D; nearest: Conv2D"),
        (["same", "--type", "Conv2D"], f"{SIAMESE} has no layer 'same' of class Conv2D"),
    ],
)
def test_nothing_found_is_an_error(kprobe_here, arguments, line):
    done = kprobe_here("ls", SIAMESE, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"kprobe: {line}\n"


def test_a_file_that_is_no_model_is_one_line(kprobe_here):
    done = kprobe_here("ls", "nothing.h5")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "kprobe: nothing.h5: no such file; check the model's path\n"


def test_what_the_file_does_not_tell_is_told_by_the_command_that_is_named(kprobe_here, tmp_path):
    x = tf_keras.Input((4,), name="x")
    cut = tf_keras.layers.Lambda(lambda rows: rows[:, 1:], name="cut")(x)
    model = tf_keras.Model(x, tf_keras.layers.Dense(2, name="out")(cut))
    model.save("a b.h5")
    done = kprobe_here("ls", "a b.h5")
    command = "kprobe dump 'a b.h5' --allow lambda --all --dry-run"
    assert done.stderr == (
        f"kprobe: 2 outputs without a shape: `{command}` runs the model to tell them: only for "
        "files you trust\n"
    )
    (tmp_path / "cut it.py").write_text("def cut(x): return x\n")
    given = ["--custom-objects", "cut it.py", "--keras", "2", "--unsafe"]
    command = command.replace("--allow lambda", shlex.join(given))
    assert f"`{command}` runs" in kprobe_here("ls", "a b.h5", *given).stderr
    assert kprobe_here("ls", "a b.h5", "--json").stderr == ""
    planned = kprobe_here(*shlex.split(command)[1:], "--json")
    shapes = {each["address"]: each["shape"] for each in json.loads(planned.stdout)["datasets"]}
    assert shapes["cut"] == [3]
    assert shapes["out"] == [2]


def test_a_layer_without_a_name_is_listed_by_its_place_and_that_is_said(kprobe_here, tmp_path):
    layers = [{"class_name": kind, "config": {}} for kind in ("Grow", "Half", "Grow")]
    layers.insert(1, {"class_name": "Sequential", "config": {"name": "inner", "layers": layers[:]}})
    config = {"class_name": "Sequential", "config": {"name": "outer", "layers": layers}}
    (tmp_path / "model.json").write_text(json.dumps(config))
    done = kprobe_here("ls", str(tmp_path / "model.json"))
    listed = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    inside = ["inner/at:0", "inner/at:1", "inner/at:2"]
    assert listed == ["at:0", "inner", *inside, "at:2", "at:3"]
    assert (
        "kprobe: the file has no name for at:0, inner/at:0, inner/at:1, inner/at:2 and 2 more: "
        "`at:` gives the place of each"
    ) in done.stderr.splitlines()
    done = kprobe_here("ls", str(tmp_path / "model.json"), "inner/at:1", "--json")
    assert [entry["class"] for entry in json.loads(done.stdout)] == ["Half"]


def test_layers_that_only_code_names_are_said_and_listed_with_the_code(
    kprobe_here, saved, tmp_path
):
    model = str(saved / "k2_tower.keras")
    done = kprobe_here("ls", model)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == (
        "kprobe: the file doesn't name the layers inside the model: with --custom-objects FILE.py "
        "it is loaded, and they are listed\n"
    )
    (tmp_path / "tower.py").write_text(TOWER)
    np.save(tmp_path / "rows.npy", np.zeros((2, 4), "f4"))
    given = ("--custom-objects", str(tmp_path / "tower.py"))
    done = kprobe_here("ls", model, "-v", *given, "--input", str(tmp_path / "rows.npy"))
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["base", "top"]


HALVES = """
import {library} as keras


@keras.saving.register_keras_serializable(package="own")
class Halves(keras.layers.Layer):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.scale = keras.layers.Dense(3, name="scale")
        self.clip = keras.layers.ReLU(name="clip")

    def build(self, shape):
        self.scale.build(shape)
        super().build(shape)

    def call(self, x):
        return self.clip(self.scale(x))
"""


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_layers_without_weights_that_hdf5_leaves_out_are_said_and_listed_with_the_code(
    kprobe_here, tmp_path, library
):
    k = {"keras": keras, "tf_keras": tf_keras}[library]
    (tmp_path / "halves.py").write_text(HALVES.format(library=library))
    halves = runpy.run_path(str(tmp_path / "halves.py"))["Halves"]
    layers = [halves(name="half"), k.layers.Dense(2, name="top")]
    nested = k.Sequential([k.Input((4,)), *layers], name="inner")
    x = k.Input((4,), name="x")
    model = k.Model(x, k.layers.Dense(2, name="end")(nested(x)))
    model.save(tmp_path / "m.h5")
    done = kprobe_here("ls", "m.h5")  # where it has no name
    assert (
        "kprobe: layers without weights inside inner/at:0, if any, aren't in the file: with "
        "--custom-objects FILE.py it is loaded, and they are listed"
    ) in done.stderr.splitlines()
    given = ("m.h5", "--custom-objects", "halves.py")
    done = kprobe_here("ls", "-v", *given)
    listed = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    assert {"inner/half/scale", "inner/half/clip"} <= listed
    assert "aren't in the file" not in done.stderr
    for layers in ("--all", "inner/at:0"):
        asked = [layers] if layers == "--all" else ["--layers", layers]
        done = kprobe_here("dump", *given, *asked, "--random", "2", "-o", f"{layers[-1]}.h5")
        assert done.exit_code == 0, done.stderr
    with kprobe.open_dump("l.h5") as every, kprobe.open_dump("0.h5") as one:
        assert "inner/half/clip" in every
        assert {*every} <= listed
        (values,) = one.values()
        np.testing.assert_array_equal(values[:], every["inner/half"][:])
    model.save(tmp_path / "m.keras")
    assert "aren't in the file" not in kprobe_here("ls", "m.keras").stderr


def test_layers_that_lie_with_a_model_of_the_hub_are_said_and_listed_with_the_code(
    kprobe_here, tmp_path
):
    x = tf_keras.Input((4,))
    encoder = tf_keras.Model(x, tf_keras.layers.Dense(3, name="d")(x), name="encoder")
    encoder.save(tmp_path / "encoder")
    (tmp_path / "hub.py").write_text(HUB)
    objects = runpy.run_path(str(tmp_path / "hub.py"))
    hub = objects["KerasLayer"](str(tmp_path / "encoder"), name="hub")
    model = tf_keras.Sequential([tf_keras.Input((4,)), hub, tf_keras.layers.Dense(2, name="top")])
    model.save(tmp_path / "m.h5")
    rows = np.eye(4, dtype="f4")
    np.save(tmp_path / "rows.npy", rows)
    done = kprobe_here("ls", "m.h5")
    assert (
        "kprobe: the file doesn't name the layers inside hub: with --custom-objects FILE.py it is "
        "loaded, and they are listed"
    ) in done.stderr.splitlines()
    given = ("m.h5", "--custom-objects", "hub.py", "--input", "rows.npy")
    listed = [line.split()[0] for line in kprobe_here("ls", "-v", *given).stdout.splitlines()[1:]]
    done = kprobe_here("dump", *given, "--all", "--exact", "-o", "a.h5")
    assert done.exit_code == 0, done.stderr
    with kprobe.open_dump("a.h5") as dump:
        assert "hub/encoder/d" in listed
        assert {*dump} <= {*listed}
        np.testing.assert_array_equal(dump["hub/encoder/d"], encoder(rows))


HUB = """
import tf_keras

class KerasLayer(tf_keras.layers.Layer):
    def __init__(self, handle, **kwargs):
        super().__init__(**kwargs)
        self.handle = handle
        self.encoder = tf_keras.models.load_model(handle)

    def call(self, x):
        return self.encoder(x)

    def get_config(self):
        return {**super().get_config(), "handle": self.handle}
"""

TOWER = """
import tf_keras

class Tower(tf_keras.Model):
    def __init__(self):
        super().__init__(name="tower")
        self.first = tf_keras.layers.Dense(3, name="base")
        self.blocks = [tf_keras.layers.Dense(4, name="top")]

    def call(self, x):
        return self.blocks[0](self.first(x))

    @classmethod
    def from_config(cls, config):
        return cls()
"""
