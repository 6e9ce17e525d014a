"""The user's own classes: where they are imported from, and what that leaves alone."""

import json
import sys
import warnings

import h5py
import pytest

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.load import load_source

LAYER = """
import keras

class Swirl(keras.layers.Layer):
    def call(self, x):
        return x + {}
"""


@pytest.fixture
def custom_model(tmp_path):
    """Save a model with the layer `Swirl`, as of some module; which library tells the format."""

    def save(module, library="keras"):
        keras = pytest.importorskip(library)
        swirl = type("Swirl", (keras.layers.Layer,), {"__module__": module})
        path = tmp_path / f"{library}.keras"
        keras.Sequential([keras.layers.Input((2,)), swirl(name="swirl")]).save(path)
        return path

    return save


@pytest.fixture(autouse=True)
def modules():
    """Leave no module behind."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - set(before):
        if "swirl" in name or "json" in name:
            del sys.modules[name]


def run(model):
    return float(model(pytest.importorskip("numpy").zeros((1, 2)))[0, 0])


def test_a_file_may_import_what_lies_beside_it(custom_model, tmp_path):
    (tmp_path / "swirl_beside.py").write_text(LAYER.format(5))
    (tmp_path / "swirl_main.py").write_text("from swirl_beside import Swirl")
    model = load_source(
        custom_model("swirl_main"), custom_objects=[str(tmp_path / "swirl_main.py")]
    )
    assert run(model) == 5


def test_a_module_is_found_in_the_working_directory(custom_model, tmp_path, monkeypatch):
    (tmp_path / "swirl_here.py").write_text(LAYER.format(6))
    monkeypatch.chdir(tmp_path)
    assert run(load_source(custom_model("swirl_here"), custom_objects=["swirl_here"])) == 6


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("stem", ["json", "antigravity"])
def test_a_file_named_as_another_module_leaves_that_one_alone(
    custom_model, tmp_path, library, stem
):
    source = tmp_path / f"{stem}.py"
    source.write_text(LAYER.format(7).replace("keras", library))
    model = load_source(custom_model(stem, library), custom_objects=[str(source)])
    assert run(model) == 7
    assert sys.modules["json"] is json
    assert "antigravity" not in sys.modules


def test_a_file_that_was_imported_already_is_not_run_again(custom_model, tmp_path):
    source = tmp_path / "swirl_once.py"
    source.write_text(LAYER.format(8))
    path = custom_model("swirl_once")
    first = load_source(path, custom_objects=[str(source)])
    second = load_source(path, custom_objects=[str(source)])
    assert type(first.layers[-1]) is type(second.layers[-1])
    assert type(first.layers[-1]) is sys.modules["swirl_once"].Swirl


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import sys; sys.exit(0)", "ends the program when it is imported: sys.exit(0)"),
        ("exit()", "ends the program when it is imported: sys.exit()"),
        ("1 / 0", "can't be imported: ZeroDivisionError: division by zero"),
        ("import swirl_no", "can't be imported: ModuleNotFoundError: No module named 'swirl_no'"),
    ],
)
def test_a_file_that_can_not_be_imported_is_an_error(custom_model, tmp_path, code, fault):
    source = tmp_path / "swirl_bad.py"
    source.write_text(code)
    with pytest.raises(ModelError) as caught:
        load_source(custom_model("swirl_bad"), custom_objects=[str(source)])
    assert caught.value.faults == (f"custom objects: {source} {fault}",)
    assert "swirl_bad" not in sys.modules


@pytest.mark.parametrize("source", ["swirl_missing.py", "swirl_missing"])
def test_a_source_that_is_not_there_is_an_error(custom_model, source):
    with pytest.raises(ModelError, match=r"custom objects: .*swirl_missing"):
        load_source(custom_model("swirl_missing"), custom_objects=[source])


# --- classes and functions that are given themselves -------------------------------------------


def make_swirl(library):
    def call(self, x):
        return x + 9

    return type("Swirl", (library.layers.Layer,), {"__module__": "swirl_gone", "call": call})


def swirl_function(x):
    return x + 90


@pytest.fixture(params=["keras .keras", "keras .h5", "keras .json", "tf_keras .keras",
                        "tf_keras .h5", "tf_keras .json", "tf_keras "])  # fmt: skip
def given(request, tmp_path):
    """Save a model with a layer and a function of one's own; gives the file and both."""
    library, suffix = request.param.split(" ")
    k = pytest.importorskip(library)
    layer = make_swirl(k)
    model = k.Sequential(
        [k.Input((2,)), layer(name="swirl"), k.layers.Activation(swirl_function, name="more")]
    )
    path = tmp_path / f"model{suffix}"
    if suffix == ".json":
        path.write_text(model.to_json())
    else:
        model.save(path)
    if request.param == "tf_keras .h5":
        # As Keras wrote it up to 2.12; what tf_keras writes today it can't read itself.
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"][-1]["config"]["activation"] = "swirl_function"
            file.attrs["model_config"] = json.dumps(config)
    return path, {"Swirl": layer, "swirl_function": swirl_function}


def test_classes_and_functions_are_taken_by_name(given):
    path, objects = given
    assert run(load_source(path, custom_objects=objects)) == 99


def test_files_and_classes_go_together(given, tmp_path):
    path, objects = given
    (tmp_path / "swirl_part.py").write_text("def swirl_function(x):\n    return x + 200\n")
    source = str(tmp_path / "swirl_part.py")
    layer = {"Swirl": objects["Swirl"]}
    assert run(load_source(path, custom_objects=[layer, source])) == 209
    # Of two with one name the later one counts.
    assert run(load_source(path, custom_objects=[source, objects])) == 99


def test_a_name_that_is_not_given_is_refused(given):
    path, objects = given
    wrong = {"swirl": objects["Swirl"], "swirl_function": objects["swirl_function"]}
    if path.suffix:
        with pytest.raises(UnsafeModelError, match=r"layer 'swirl' is of class Swirl"):
            load_source(path, custom_objects=wrong)
    else:  # a SavedModel holds the graph of it
        assert run(load_source(path, custom_objects=wrong)) == 99


def test_a_given_class_is_taken_whatever_package_it_was_registered_in(tmp_path):
    keras = pytest.importorskip("keras")
    layer = keras.saving.register_keras_serializable("swirl_pack")(make_swirl(keras))
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), layer(name="swirl")]).save(path)
    for name in ("Swirl", "swirl_pack>Swirl"):
        assert run(load_source(path, custom_objects={name: layer})) == 9
    with pytest.raises(UnsafeModelError):
        load_source(path, custom_objects={"other>Swirl": layer})


def test_what_a_file_imports_from_the_standard_library_is_not_the_models(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    source = tmp_path / "swirl_tools.py"
    source.write_text("from subprocess import Popen\nfrom os import system\n")
    path = tmp_path / "model.h5"
    tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.layers.Dense(1)]).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        dense = config["config"]["layers"][1]["config"]
        dense["kernel_initializer"] = {
            "class_name": "Popen",
            "config": {"args": ["touch", str(tmp_path / "written")]},
            "module": "subprocess",
            "registered_name": "Popen",
        }
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnsafeModelError, match=r"names subprocess\.Popen"):
        load_source(path, custom_objects=[str(source)])
    assert not (tmp_path / "written").exists()


# --- functions without a name ------------------------------------------------------------------


@pytest.fixture(params=["tf_keras .h5", "keras .h5"])
def nameless(request, tmp_path):
    """Save a model whose activation's name is that of every lambda, as Keras 2 wrote it."""
    library, suffix = request.param.split(" ")
    k = pytest.importorskip(library)
    dense = k.layers.Dense(3, use_bias=False, kernel_initializer="identity", name="d")
    path = tmp_path / f"model{suffix}"
    with warnings.catch_warnings(action="ignore"):  # Keras's, when it saves a variable
        k.Sequential([k.Input((3,)), dense]).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["config"]["activation"] = "<lambda>"
        file.attrs["model_config"] = json.dumps(config)
    return path


TENTH, HALF = "tenth = lambda x: x * 0.1\n", "half = lambda x: x * 0.5\n"


def scale(model):
    import numpy as np

    return float(model(np.eye(3, dtype="f4"))[1, 1])


def test_one_function_without_a_name_is_the_one_that_is_meant(nameless, tmp_path):
    source = tmp_path / "swirl_lambda.py"
    source.write_text(f"{TENTH}also = tenth\ndef half(x):\n    return x / 2\n")
    assert scale(load_source(nameless, custom_objects=[str(source)])) == pytest.approx(0.1)


@pytest.mark.parametrize("parts", [[TENTH + HALF], [TENTH, HALF], [HALF, "\n" + TENTH]])
def test_two_functions_without_a_name_are_refused_and_named(nameless, tmp_path, parts):
    sources = []
    for number, text in enumerate(parts):
        sources.append(str(tmp_path / f"swirl_lambdas_{number}.py"))
        (tmp_path / f"swirl_lambdas_{number}.py").write_text(text)
    with pytest.raises(ModelError) as caught:
        load_source(nameless, custom_objects=sources)
    places = [
        f"{name} ({source}:{text[: text.index(name)].count(chr(10)) + 1})"
        for source, text in zip(sources, parts, strict=True)
        for name in ("tenth", "half")
        if name in text
    ]
    [line] = caught.value.lines
    assert line.startswith(
        "layer 'd' of the model has a function that its file calls only <lambda>, and the custom "
        f"objects have 2 of them: {', '.join(places)}"
    )
    assert "alone, in a file of its own" in line


def test_of_two_functions_without_a_name_one_may_be_said_to_be_meant(nameless, tmp_path):
    source = tmp_path / "swirl_chosen.py"
    source.write_text(TENTH + HALF)
    chosen = {"<lambda>": lambda x: x * 0.2}
    assert scale(load_source(nameless, custom_objects=[str(source), chosen])) == pytest.approx(0.2)


def test_functions_without_a_name_do_not_matter_where_the_model_names_none(tmp_path):
    k = pytest.importorskip("tf_keras")
    source = tmp_path / "swirl_unused.py"
    source.write_text(TENTH + HALF)
    k.Sequential([k.Input((3,)), k.layers.Dense(3, "relu")]).save(tmp_path / "model.keras")
    assert load_source(tmp_path / "model.keras", custom_objects=[str(source)]).layers
