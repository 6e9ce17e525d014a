"""Models given as code: what is imported, called and taken, and what isn't."""

from __future__ import annotations

import contextlib
import sys

import keras
import pytest
import tf_keras

from kprobe.errors import ModelCodeError, ModelError
from kprobe.models.code import Code, find_code
from kprobe.models.load import find_source, load_source
from kprobe.models.spec import ModelSpec

BUILD = """
import sys

import {keras} as keras

seen = sys.argv

def make_model(units=4, *, activation="relu", name="made"):
    layers = [keras.layers.Dense(units, activation=activation, name="hidden")]
    return keras.Sequential([keras.Input((3,)), *layers], name=name)

class Net(keras.Model):
    def __init__(self, units, depth=1):
        super().__init__(name="net")
        self.blocks = [keras.layers.Dense(units) for _ in range(depth)]

class Holder:
    def __init__(self, attribute="keras_model"):
        setattr(self, attribute, make_model())

ready = make_model(name="ready")
held = Holder("model")
number = 3

def nothing():
    make_model()

def pair():
    return make_model(), 1

def from_elsewhere():
    from tensorflow.python.keras import Sequential
    return Sequential()

def deep(n=20):
    if n:
        return deeper(n)
    raise KeyError("scale\\nand more")

def deeper(n):
    return deep(n - 1)

def shallow():
    keras.layers.Dense(-1)

def leave():
    sys.exit(3)

def needs(depth, width, activation="relu"):
    return make_model()

def beside():
    import lies_beside
    return make_model(name=lies_beside.NAME)
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Write build.py into the working directory, and load what is named in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build_swirl.py").write_text(BUILD.format(keras="keras"))
    before, path = dict(sys.modules), list(sys.path)
    yield lambda name, **arguments: load_source(f"build_swirl.py:{name}", arguments=arguments)
    assert sys.path == path
    for name in set(sys.modules) - set(before):
        if "swirl" in name or name in ("package", "lies_beside"):
            del sys.modules[name]


def fault(build, name, **arguments):
    with pytest.raises(ModelError) as caught:
        build(name, **arguments)
    assert all(len(line.splitlines()) == 1 for line in caught.value.lines)
    line = "\n".join(caught.value.lines).removeprefix(f"build_swirl.py:{name}")
    return line.lstrip(": "), caught.value


def test_a_function_is_called_with_the_arguments(build):
    model = build("make_model", units=7, activation="tanh")
    assert isinstance(model, keras.Model)
    assert (model.layers[-1].units, model.layers[-1].activation) == (7, keras.activations.tanh)


def test_a_class_is_called_and_a_model_is_taken_as_it_is(build):
    assert len(build("Net", units=2, depth=3).blocks) == 3
    assert build("ready").name == "ready"


@pytest.mark.parametrize("attribute", ["keras_model", "model"])
def test_an_object_gives_the_model_it_holds(build, attribute):
    assert build("Holder", attribute=attribute).name == "made"
    assert build("held").name == "made"


def test_a_module_is_found_in_the_working_directory(build, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "swirl.py").write_text(BUILD.format(keras="tf_keras"))
    model = load_source("package.swirl:make_model")
    assert isinstance(model, tf_keras.Model)
    assert load_source("package.swirl:ready", keras=2).name == "ready"


def test_code_sees_no_arguments_but_its_own_name(build):
    build("make_model")
    assert sys.modules["build_swirl"].seen == ["build_swirl.py"]
    assert sys.argv != ["build_swirl.py"]


def test_a_function_may_import_what_lies_beside_it(build, tmp_path):
    (tmp_path / "lies_beside.py").write_text("NAME = 'beside'")
    assert build("beside").name == "beside"


def test_the_context_is_entered_after_the_import_and_before_the_call(build, tmp_path):
    events = []

    @contextlib.contextmanager
    def around():
        events.append("build_swirl" in sys.modules)
        yield
        events.append("left")

    load_source("build_swirl.py:make_model", around=around)
    assert events == [True, "left"]


def test_what_raises_shows_its_own_traceback_shortened(build):
    line, error = fault(build, "deep")
    # A KeyError's message is the repr of its key.
    assert line == "raised KeyError: 'scale\\nand more'"
    assert isinstance(error, ModelCodeError)
    shown = error.excerpt.splitlines()
    assert shown[0] == "Traceback (most recent call last; shortened):"
    assert "  ... 35 more" in shown
    assert sum("build_swirl.py" in line for line in shown) == 6
    assert "kprobe" not in error.excerpt
    assert shown[-1].strip() == 'raise KeyError("scale\\nand more")'


def test_what_raises_inside_a_library_shows_the_last_step_there(build):
    _, error = fault(build, "shallow")
    files = [line for line in error.excerpt.splitlines() if line.startswith("  File")]
    assert [("build_swirl.py" in file, "keras/src" in file) for file in files] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("nothing", {}, "expected a model of keras or tf_keras, or an object that holds one as "
         ".keras_model or .model, received None; does it end with `return model`?"),
        ("pair", {}, "expected a model of keras or tf_keras, or an object that holds one as "
         ".keras_model or .model, received an object of type tuple; return the model alone"),
        ("number", {}, "expected a callable, received an object of type int; name a function or a "
         "class that makes the model"),
        ("ready", {"units": 3}, "is a model, which takes no arguments"),
        ("needs", {}, "needs the argument depth, width; "
         'give arguments={"depth": VALUE, "width": VALUE}'),
        ("needs", {"depth": 1, "wide": 2},
         "takes no argument wide: it takes depth, width, activation\n"
         'build_swirl.py:needs needs the argument width\nhint: give arguments={"width": VALUE}'),
        ("Net", {}, 'needs the argument units; give arguments={"units": VALUE}'),
        ("leave", {}, "raised SystemExit: it ends the program; "
         "put what a script does under `if __name__ == '__main__':`"),
    ],
)  # fmt: skip
def test_what_makes_no_model_is_one_line(build, name, arguments, expected):
    assert fault(build, name, **arguments)[0] == expected


def test_tensorflows_own_copy_of_keras_is_told_apart(build):
    line, _ = fault(build, "from_elsewhere")
    assert "received an object of type Sequential" in line
    assert line.endswith("tensorflow.python.keras is TensorFlow's own copy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build_swirl.py:make_modl", "{}: build_swirl.py has no make_modl; nearest: make_model"),
        ("missing.py:make", "{}: there is no file missing.py"),
        ("no_such_package.x:make", "{}: there is no module no_such_package; it is looked for in "
         "the working directory and where Python is installed"),
        ("build_swirl.py", "{} is Python code: expected {}:CALLABLE, what makes the model; it "
         "defines make_model, Net, Holder, nothing, pair, from_elsewhere, deep, deeper and 4 more"),
        ("wrong.py:make", "{} can't be imported: SyntaxError: invalid syntax (wrong.py, line 1)"),
        ("model.h5:make", "{}: no such file; check the model's path"),
    ],
)  # fmt: skip
def test_code_that_is_not_there_is_one_line(build, tmp_path, text, expected):
    (tmp_path / "wrong.py").write_text("def make(:")
    (tmp_path / "model.h5").write_bytes(b"x")
    with pytest.raises(ModelError) as caught:
        load_source(text)
    assert caught.value.lines == [expected.format(text, text)]


def test_what_exists_as_a_file_is_no_code(build, tmp_path):
    assert find_code("package.module:make") == Code("package.module", "make")
    (tmp_path / "package.module:make").write_bytes(b"{}")
    assert find_code("package.module:make") is None


def test_code_is_not_run_to_find_out_what_it_is(build, tmp_path):
    (tmp_path / "once_swirl.py").write_text("1 / 0")
    spec = ModelSpec(model="once_swirl.py:make")
    assert find_source(spec) == Code("once_swirl.py", "make")


def test_arguments_are_for_code(samples):
    with pytest.raises(ModelError, match="is a model file, which takes no arguments"):
        load_source(samples / "siamese.keras", arguments={"units": 3})


def test_the_wrong_keras_is_told(build):
    with pytest.raises(
        ModelError, match=r"expected a model of Keras 2, received one of keras 3\.\d+"
    ):
        load_source("build_swirl.py:make_model", keras=2)
