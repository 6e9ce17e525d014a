"""What a config may name, against what Keras itself has under these names."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import keras
import list_names
import pytest
import tf_keras

from kprobe.gate.names import allowed
from kprobe.gate.names.allowed_tensorflow import allows_activation

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


@pytest.fixture(scope="module")
def installed():
    return list_names.list_installed()


def test_whatever_the_installed_keras_defines_is_listed_or_left_out_with_a_reason(installed):
    listed, left_out = list_names.read_list("installed"), list_names.read_list("left_out")
    unlisted = {
        f"{kind} {name} {module}"
        for (kind, name), modules in installed.items()
        for module in modules - listed.get((kind, name), set())
        if (kind, name) not in left_out
    }
    assert len(installed) > 1100
    # Run tests/gate/list_names.py, and read what it adds.
    assert unlisted == set()


@KERASES
def test_no_room_of_the_installed_keras_is_overlooked(k):
    """A new room is to be one of those that are listed, or one of which files name nothing."""
    assert list_names.list_uncovered(Path(k.__file__).parent) == []


def test_a_new_room_and_a_new_class_in_an_old_one_are_noticed(tmp_path):
    made = {
        "swirls/swirl.py": "@keras_export('keras.Swirl')\nclass Swirl(layers.Layer): ...",
        "eddies.py": "",
        "callbacks/whirl.py": "@keras_export('keras.Whirl')\nclass Whirl:\n"
        " @classmethod\n def from_config(cls, config): ...",
        "callbacks/inner.py": "# keras_export\nclass Inner(layers.Layer): ...",
        "backend/dense.py": "@keras_export('keras.Dense')\nclass Dense(Layer): ...",
        "layers/other.py": "@keras_export('keras.Other')\nclass Other(Layer): ...",
    }
    for name, text in made.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list_names.list_uncovered(tmp_path) == [
        "callbacks: Whirl",
        "eddies",
        "swirls",
        "swirls: Swirl",
    ]


def test_whatever_is_listed_is_a_class_of_a_model_or_a_function_of_tensors():
    """What an older Keras had, no installed one tells; what the installed ones have, they do."""
    barred = {*list_names.read_list("left_out")}
    roots = ("keras.src", "tf_keras.src", "keras", "tf_keras")
    judged = 0
    for listing in ("installed", "older"):
        for (kind, name), modules in list_names.read_list(listing).items():
            for module in modules:
                for root in roots:
                    place = sys.modules.get(f"{root}.{module}".rstrip("."))
                    thing = vars(place).get(name) if place else None
                    if thing is None:
                        continue
                    judged += 1
                    is_own = thing.__module__.startswith(("keras.src.", "tf_keras.src."))
                    assert is_own or allows_activation(thing.__module__, thing.__name__), name
                    # `l1_l2` is a function in one Keras, and a class in the other.
                    is_function = inspect.isfunction(thing) and (
                        kind == "function" or name == "l1_l2"
                    )
                    assert is_function or inspect.isclass(thing), name
                    assert (kind, name) not in barred, name
    assert judged > 2000


def list_layers(k):
    return {
        name: thing
        for name, thing in vars(k.layers).items()
        if inspect.isclass(thing) and issubclass(thing, k.layers.Layer)
    }


def list_functions(module):
    return {name: thing for name, thing in vars(module).items() if inspect.isfunction(thing)}


@KERASES
def test_every_layer_of_keras_is_judged(k):
    layers = list_layers(k)
    assert len(layers) > 100
    known = allowed.LAYER_CLASSES | set(allowed.UNSAFE_CLASSES)
    assert {layer.__name__ for layer in layers.values()} <= known
    assert not allowed.LAYER_CLASSES & set(allowed.UNSAFE_CLASSES)
    for layer in layers.values():
        if layer.__name__ not in allowed.UNSAFE_CLASSES:
            assert allowed.allows_class(layer.__module__, layer.__name__), layer


@KERASES
@pytest.mark.parametrize("part", ["activations", "losses"])
def test_the_functions_that_models_are_made_of_are_allowed(k, part):
    functions = list_functions(getattr(k, part))
    machinery = {"deserialize", "get", "serialize"}
    assert len(functions) > 15
    for name, function in functions.items():
        allows = allowed.allows_function(function.__module__, function.__name__)
        assert allows == (name not in machinery), name


@KERASES
@pytest.mark.parametrize(
    "part", ["utils", "saving", "applications", "config", "models", "datasets"]
)
def test_what_reads_files_or_the_network_is_no_function_of_a_model(k, part):
    module = getattr(k, part, None)
    for name, function in list_functions(module).items() if module else ():
        assert not allowed.allows_function(function.__module__, function.__name__), name
        assert not allowed.allows_function(f"{k.__name__}.{part}", name), name


@pytest.mark.parametrize(
    ("module", "below"),
    [
        ("keras.src.layers.core.dense", "layers.core.dense"),
        ("tf_keras.src.layers", "layers"),
        ("tensorflow.keras.layers", "layers"),
        ("tensorflow.python.keras.layers", "layers"),
        ("keras.layers", "layers"),
        ("keras", ""),
        ("keras.src", ""),
        ("kerasx.layers", None),
        ("mykeras.layers", None),
        ("tensorflow", None),
        ("os", None),
        ("", None),
    ],
)
def test_only_keras_s_own_modules_are_below_its_root(module, below):
    assert allowed.split_module(module) == below


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "System"),
        ("keras.utils", "CustomObjectScope"),
        ("keras.src.utils.file_utils", "Path"),
        ("keras.layers", "dense"),
        ("keras.layers", "Dense.call"),
        ("keras.layers", "Dense\n"),
        ("keras.layers", "D\u00e9nse"),
        ("keras.applications", "ResNet50"),
        ("keras.applications.inception_resnet_v2", "InceptionResNetV2"),
        ("keras.src.applications.convnext", "Layer"),
        ("mine.applications", "CustomScaleLayer"),
    ],
)
def test_no_other_class_is_allowed(module, name):
    assert not allowed.allows_class(module, name)


@KERASES
def test_every_layer_of_keras_s_applications_is_allowed(k):
    root = f"{k.__name__}.src.applications."
    modules = {name: module for name, module in sys.modules.items() if name.startswith(root)}
    layers = {
        (name, thing.__name__)
        for name, module in modules.items()
        for thing in vars(module).values()
        if inspect.isclass(thing) and thing.__module__ == name and issubclass(thing, k.layers.Layer)
    }
    assert (f"{root}inception_resnet_v2", "CustomScaleLayer") in layers
    for module, name in layers:
        assert allowed.allows_class(module, name), (module, name)
    for name, module in modules.items():
        for function in list_functions(module):
            assert not allowed.allows_class(name, function), function
            assert not allowed.allows_function(name, function), function
