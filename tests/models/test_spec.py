"""What a model is asked for by: checked when it is made, by every caller."""

from __future__ import annotations

import dataclasses
import inspect
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tf_keras

from kprobe.errors import ModelError
from kprobe.gate.rules import KINDS
from kprobe.models.code import Code
from kprobe.models.load import find_source
from kprobe.models.spec import ModelSpec


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A file of code that must not be run."""
    monkeypatch.chdir(tmp_path)
    Path("build.py").write_text("1 / 0")
    return "build.py:make_model"


def test_a_text_is_a_file_or_code(code):
    made = ModelSpec(model=code, arguments={"depth": 3})
    assert (made.code, made.in_memory) == (Code("build.py", "make_model"), False)
    Path("build.py").unlink()
    assert find_source(made) == Code("build.py", "make_model")  # it isn't read again
    for name in ("shapes_rpn.h5", Path("there/shapes_rpn.h5")):
        spec = ModelSpec(model=name)
        assert (spec.code, spec.in_memory) == (None, False)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_model_in_memory_is_one(library):
    model = library.Sequential([library.Input((2,)), library.layers.Dense(1)], name="small")
    spec = ModelSpec(model=model, weights="w.h5", random_weights=True)
    assert (spec.in_memory, spec.code, spec.name) == (True, None, "small")
    # How its weights are read may be said all the same.
    ModelSpec(model=model, weights="w.h5", unsafe=True, max_model_bytes=9, allow="operations")
    with pytest.raises(ModelError, match="max_model_bytes: says how a model is loaded or made"):
        ModelSpec(model=model, max_model_bytes=9)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/shapes_rpn.h5", "shapes_rpn"),
        (Path("models/v1.2.keras"), "v1.2"),
        ("saved/", "saved"),
        ("build.py:make_model", "make_model"),
        ("build.py:nets.small", "nets.small"),
        ("keras.applications:VGG16", "VGG16"),
    ],
)
def test_a_dump_is_called_after_its_model(code, model, name):
    assert ModelSpec(model=model).name == name


def test_the_directory_one_is_in_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "saved")
    assert ModelSpec(model=".").name == "saved"
    monkeypatch.chdir("variables")
    assert ModelSpec(model="..").name == "saved"


def test_it_can_not_be_changed(code):
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelSpec(model=code).keras = 2


WRONG = {
    "a model": ({"model": 3}, "model: expected a model file, code such as FILE.py:CALLABLE, or a "
                "built model of keras or tf_keras, received an object of type int"),
    "no model": ({"model": None}, "model: expected a model file, code such as FILE.py:CALLABLE, or "
                 "a built model of keras or tf_keras, received None"),
    "an empty model": ({"model": ""}, "model: expected a model file or code, received an empty "
                       "text"),
    "a layer": ({"model": keras.layers.Dense(1)}, "model: expected a model file, code such as "
                "FILE.py:CALLABLE, or a built model of keras or tf_keras, received an object of "
                "type Dense"),
    "weights": ({"weights": [np.ones(3)]}, "weights: expected a file, received an object of type "
                "list"),
    "a Keras": ({"keras": 1}, "keras: expected 2 or 3, received 1"),
    "a Keras as text": ({"keras": "3"}, "keras: expected 2 or 3, received '3'"),
    "a Keras as fraction": ({"keras": 3.0}, "keras: expected 2 or 3, received 3.0"),
    "a signature": ({"signature": 1}, "signature: expected a name, received 1"),
    "allow": (
        {"allow": "lambada"},
        f"allow: expected {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, "
        "received 'lambada'; did you mean 'lambda'?",
    ),
    "unsafe": ({"unsafe": "no"}, "unsafe: expected True or False, received 'no'"),
    "random weights": ({"random_weights": 1}, "random_weights: expected True or False, received 1"),
    "arguments": ({"arguments": ["n=3"]}, "arguments: expected values by keyword, received an "
                  "object of type list"),
    "keywords": ({"arguments": {"n-1": 3}}, "arguments: expected keywords, received 'n-1'"),
    "custom objects": ({"custom_objects": 3}, "custom_objects: expected Python files, modules, or "
                       "classes and functions by name, received int"),
    "a bare class": ({"custom_objects": keras.layers.Dense}, "custom_objects: expected Python "
                     "files, modules, or classes and functions by name, received Dense"),
    "a class in a list": ({"custom_objects": ["a.py", keras.layers.Dense]}, "custom_objects: "
                          "expected Python files, modules, or classes and functions by name, "
                          "received Dense"),
    "no name": ({"custom_objects": {3: keras.layers.Dense}}, "custom_objects: expected names as "
                'texts, received 3; write custom_objects={"Scale": Scale}'),
    "no class": ({"custom_objects": {"Scale": 3}}, "custom_objects: Scale: expected a class or a "
                 'function, received int; write custom_objects={"Scale": Scale}'),
    "an empty source": ({"custom_objects": ""}, "custom_objects: expected Python files, modules, "
                        "or classes and functions by name, received an empty text"),
    "a missing file": ({"model": "missing.py:make"}, "missing.py:make: there is no file "
                       "missing.py"),
    "no callable": ({"model": "build.py"}, "build.py is Python code: expected build.py:CALLABLE, "
                    "what makes the model"),
    "arguments of a file": ({"arguments": {"n": 3}}, "model.keras is a model file, which takes no "
                            "arguments; leave arguments out"),
    "a signature of code": ({"model": "build.py:make", "signature": "s"}, "build.py:make is code, "
                            "which has no signature 's'; leave signature out"),
    "classes for code": ({"model": "build.py:make", "custom_objects": [{"Scale": abs}]},
                         "build.py:make is code, which makes its layers itself: expected files or "
                         "modules to import, received Scale; let the code import what it uses"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_can_not_be_meant_is_refused(code, name):
    given, line = WRONG[name]
    with pytest.raises(ModelError) as caught:
        ModelSpec(**{"model": "model.keras", **given})
    assert caught.value.lines == [line]


def test_all_faults_are_told_at_once(code):
    with pytest.raises(ModelError) as caught:
        ModelSpec(model="gone.py:make", keras=4, unsafe=1, custom_objects={"Scale": 3})
    assert caught.value.lines == [
        "keras: expected 2 or 3, received 4",
        "unsafe: expected True or False, received 1",
        "custom_objects: Scale: expected a class or a function, received int; "
        'write custom_objects={"Scale": Scale}',
        "gone.py:make: there is no file gone.py",
    ]


def test_how_to_load_means_nothing_in_memory(digits_cnn):
    with pytest.raises(ModelError) as caught:
        ModelSpec(
            model=digits_cnn,
            keras=3,
            signature="s",
            custom_objects={"Scale": abs},
            allow="lambda",
            unsafe=True,
            arguments={"n": 3},
        )
    names = ("keras", "signature", "custom_objects", "allow", "unsafe", "arguments")
    assert caught.value.lines == [
        f"{name}: says how a model is loaded or made, and this one is in memory; leave {name} out"
        for name in names
    ]


@pytest.mark.parametrize(
    ("given", "sources", "names"),
    [
        ((), [], []),
        ([], [], []),
        ({}, [], []),
        ("mine.py", ["mine.py"], []),
        (Path("mine.py"), ["mine.py"], []),
        (["mine.py", "package.layers"], ["mine.py", "package.layers"], []),
        ({"Scale": abs}, [], ["Scale"]),
        (("mine.py", {"Scale": abs, "pkg>Shift": len}), ["mine.py"], ["Scale", "pkg>Shift"]),
    ],
)
def test_custom_objects_are_files_classes_or_both(given, sources, names):
    custom = ModelSpec(model="model.keras", custom_objects=given).custom
    assert (custom.sources, custom.names) == (sources, names)
    assert bool(custom) is bool(sources or names)


def test_a_mapping_is_kept_as_it_was_given():
    given = {"Scale": abs}
    spec = ModelSpec(model="model.keras", custom_objects=given)
    given["Shift"] = len
    assert spec.custom.names == ["Scale"]


def make_scale(x):
    return x


def test_custom_objects_are_recorded_by_where_they_are_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("")
    objects = {"Scale": keras.layers.Rescaling, "make": make_scale, "half": partial(make_scale, 2)}
    custom = ModelSpec(model="model.keras", custom_objects=["mine.py", objects, "mine.py"]).custom
    layer = keras.layers.Rescaling
    assert custom.describe() == [
        "mine.py",
        f"Scale: {layer.__module__}.Rescaling",
        f"make: {__name__}.make_scale",
        "half: functools.partial",
        "mine.py",
    ]
    files = [file.resolve() for file in custom.list_files()]
    assert files[0] == tmp_path / "mine.py"
    assert Path(inspect.getsourcefile(layer)) in files
    assert len(files) == len(set(files))


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ((), set()),
        ("lambda", {"lambda"}),
        ("lambda, torch", {"lambda", "torch"}),
        (["files", "lambda,torch"], {"files", "lambda", "torch"}),
    ],
)
def test_what_is_allowed_is_given_as_a_text_or_several(given, allowed):
    assert ModelSpec(model="m.keras", allow=given).allowed == allowed
