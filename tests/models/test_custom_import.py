"""What is taken of the Python that users name: by which names, and what stays refused."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import types

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kprobe.errors import UnsafeModelError
from kprobe.models.custom_import import find_custom_objects
from kprobe.models.load import load_source

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
ROWS = np.array([[1, -2, 3], [0.5, 0, -1]], "float32")
pytestmark = [
    # NumPy says so of every model that Keras 3 saves, tf_keras of initializers of TensorFlow.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:The `keras.initializers.serialize.* API should only"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory whose modules and registered names are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    registries = [k.saving.get_custom_objects() for k in (keras, tf_keras)]
    before, kept = set(sys.modules), [dict(registry) for registry in registries]
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("swirl"):
            del sys.modules[name]
    for registry, old in zip(registries, kept, strict=True):
        registry.clear()
        registry.update(old)


def write(folder, **sources):
    """Write modules, with "__" for dots: those with others in them are packages."""
    for name, source in sources.items():
        path = folder / (name.replace("__", "/") + ".py")
        if any(other.startswith(f"{name}__") for other in sources):
            path = folder / name.replace("__", "/") / "__init__.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(source))


def plus(k, number, name="Plus", module="swirl_gone"):
    """Make a layer that adds a number, as a stand-in of the class that the user has."""
    return type(name, (k.layers.Layer,), {"__module__": module, "call": lambda self, x: x + number})


def save(k, layer, path):
    k.Sequential([k.Input((3,)), layer(name="own")]).save(path)
    return path


def run(path, given):
    return np.asarray(load_source(path, custom_objects=given)(ROWS))


PLUS = """
import {k}
class {name}({k}.layers.Layer):
    def call(self, x):
        return x + {number}
"""


def source(k, number, name="Plus"):
    return PLUS.format(k=k.__name__, name=name, number=number)


# --- what an import puts into Keras's registry --------------------------------------------------


@KERASES
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("package", ["Custom", "swirl"])
def test_what_a_part_of_a_package_registers_is_taken(k, ending, package, folder):
    registered = f"@{k.__name__}.saving.register_keras_serializable({package!r})\nclass Plus"
    inner = source(k, 5).replace("class Plus", registered)
    write(folder, swirl_a="from swirl_a import deep", swirl_a__deep="from swirl_a.deep import own",
          swirl_a__deep__own=inner)  # fmt: skip
    layer = k.saving.register_keras_serializable(package)(plus(k, 0))
    path = save(k, layer, folder / f"m{ending}")
    del k.saving.get_custom_objects()[f"{package}>Plus"]
    with pytest.raises(UnsafeModelError, match=r"layer 'own' is of class Plus"):
        load_source(path)
    np.testing.assert_array_equal(run(path, "swirl_a"), ROWS + 5)
    # The second import puts nothing into it.
    np.testing.assert_array_equal(run(path, "swirl_a"), ROWS + 5)


@KERASES
def test_what_a_file_puts_there_itself_is_taken(k, folder):
    write(folder, swirl_b_layers=source(k, 6), swirl_b=f"""
        import {k.__name__}, swirl_b_layers
        {k.__name__}.saving.get_custom_objects().update({{"Plus": swirl_b_layers.Plus}})
    """)  # fmt: skip
    path = save(k, plus(k, 0), folder / "m.h5")
    np.testing.assert_array_equal(run(path, str(folder / "swirl_b.py")), ROWS + 6)


@KERASES
def test_what_was_imported_before_is_taken(k, folder, monkeypatch):
    registered = f"@{k.__name__}.saving.register_keras_serializable('swirl')\nclass Plus"
    write(folder, swirl_c="from swirl_c import own",
          swirl_c__own=source(k, 7).replace("class Plus", registered))  # fmt: skip
    monkeypatch.syspath_prepend(folder)
    __import__("swirl_c")
    layer = k.saving.register_keras_serializable("swirl")(plus(k, 0))
    path = save(k, layer, folder / "m.keras")
    k.saving.get_custom_objects()["swirl>Plus"] = sys.modules["swirl_c.own"].Plus
    np.testing.assert_array_equal(run(path, "swirl_c"), ROWS + 7)


def test_the_registry_of_the_other_keras_is_left_alone(folder):
    both = "".join(
        source(k, number, f"Plus{number}")
        + f"{k.__name__}.saving.get_custom_objects()['swirl>Plus'] = Plus{number}\n"
        for k, number in ((keras, 3), (tf_keras, 2))
    )
    write(folder, swirl_d="import swirl_d.own", swirl_d__own=both)
    for k, number in ((keras, 3), (tf_keras, 2)):
        found = find_custom_objects("swirl_d", k)
        assert found["swirl>Plus"] is sys.modules["swirl_d.own"].__dict__[f"Plus{number}"]


@KERASES
def test_what_another_import_registered_stays_refused(k, folder):
    registered = f"@{k.__name__}.saving.register_keras_serializable('swirl')\nclass Plus"
    write(folder, swirl_e=source(k, 8).replace("class Plus", registered), swirl_f="x = 1")
    find_custom_objects("swirl_e", k)
    layer = k.saving.register_keras_serializable("swirl")(plus(k, 0))
    path = save(k, layer, folder / "m.keras")
    with pytest.raises(UnsafeModelError, match=r"layer 'own' is of class Plus"):
        load_source(path, custom_objects="swirl_f")
    with pytest.raises(UnsafeModelError, match=r"layer 'own' is of class Plus"):
        load_source(path, custom_objects={"Other": layer})


@KERASES
def test_what_is_registered_of_a_library_stays_refused(k, folder):
    write(folder, swirl_g=f"""
        import functools, operator, os, subprocess
        import {k.__name__} as k
        k.saving.get_custom_objects().update(
            {{"run": subprocess.run, "Popen": subprocess.Popen, "get_file": k.utils.get_file,
              "shell": functools.partial(functools.partial(os.system)), "Lambda": k.layers.Lambda,
              "call": operator.methodcaller("system", "x")}}
        )
    """)  # fmt: skip
    assert find_custom_objects("swirl_g", k) == {}


# --- names, and what isn't a class ---------------------------------------------------------------


@KERASES
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["_Plus", "_plus", "_2"])
def test_a_class_with_a_leading_underscore_is_taken(k, ending, name, folder):
    write(folder, swirl_h=source(k, 4, name))
    path = save(k, plus(k, 0, name, "swirl_h"), folder / f"m{ending}")
    with pytest.raises(UnsafeModelError, match=rf"layer 'own' is of class {name}"):
        load_source(path)
    np.testing.assert_array_equal(run(path, "swirl_h"), ROWS + 4)


ODD = {
    "a partial function": "conv3 = functools.partial(max, default=0)",
    "an object that is called": "class A:\n    def __call__(self, x): return x\nhelp = A()",
    "one without a hash": "class A(dict):\n    def __call__(self, x): return x\nhelp = A()",
    "a function with a cache": "help = functools.lru_cache(lambda x: x)",
    "a method in C": "help = [].append",
    "a class without a module": "help = type('X', (), {'__module__': None})",
    "what stands for a module that isn't there": (
        "class Late:\n"
        "    def __call__(self): return 1\n"
        "    def __getattribute__(self, name): raise ImportError(name)\n"
        "help = Late()"
    ),
    "an initializer": "help = k.initializers.Constant(2)",
}


@KERASES
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_callable_does_no_harm(k, odd, folder):
    write(folder, swirl_i=f"import functools\nimport {k.__name__} as k\n{ODD[odd]}\n{source(k, 3)}")
    path = save(k, plus(k, 0, module="swirl_i"), folder / "m.keras")
    np.testing.assert_array_equal(run(path, "swirl_i"), ROWS + 3)


def test_what_is_a_library_s_own_is_not_taken(folder):
    write(folder, swirl_j="""
        import functools, operator, os, subprocess
        from os import system as _system
        from subprocess import Popen as _Popen, run
        shell = functools.partial(os.system)
        deep = functools.partial(functools.partial(subprocess.run, shell=True), check=True)
        caller = operator.methodcaller("system", "x")
        attribute = operator.attrgetter("system")
        bound = subprocess.Popen.communicate
        append = [].append
        own = functools.partial(print)
        def mine(x): return x
        cached = functools.lru_cache(mine)
        part = functools.partial(mine)
    """)  # fmt: skip
    assert set(find_custom_objects("swirl_j")) == {"mine", "cached", "part"}


OWN = """
import {k} as k
class Twos(k.initializers.Initializer):
    def __call__(self, shape, dtype=None, **kwargs):
        return k.initializers.Constant(2.0)(shape, dtype)
class Half(k.constraints.Constraint):
    def __call__(self, w): return w / 2
class Sum(k.regularizers.Regularizer):
    def __call__(self, w): return 0.0
    def get_config(self): return {{}}
def thrice(x): return x * 3
"""


@KERASES
def test_objects_that_are_no_layers_are_taken(k, folder):
    write(folder, swirl_k=OWN.format(k=k.__name__))
    own = types.ModuleType("swirl_k")
    exec(OWN.format(k=k.__name__), vars(own))
    path = folder / "m.keras"
    dense = k.layers.Dense(
        2, own.thrice, kernel_initializer=own.Twos(), kernel_constraint=own.Half(),
        bias_regularizer=own.Sum(), name="own",
    )  # fmt: skip
    model = k.Sequential([k.Input((3,)), dense])
    model.save(path)
    names = r"layer 'own' names (the function )?swirl_k\.\w+, which is not Keras's own"
    with pytest.raises(UnsafeModelError) as caught:
        load_source(path)
    assert len(caught.value.faults) == 4
    assert re.search(names, "\n".join(caught.value.faults))
    assert "unsafe" not in str(caught.value)
    expected = 3 * (ROWS @ np.full((3, 2), 2, "float32"))
    np.testing.assert_allclose(run(path, "swirl_k"), expected, rtol=1e-6)


# --- TensorFlow's own ---------------------------------------------------------------------------

FUNCTIONS = {
    "relu": (tf.nn.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (tf.nn.leaky_relu, lambda x: np.where(x > 0, x, 0.2 * x)),
    "swish": (tf.nn.swish, lambda x: x / (1 + np.exp(-x))),
    "softmax": (tf.nn.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    "log_softmax": (
        tf.nn.log_softmax,
        lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    ),
}
INITIALIZERS = {
    "constant": tf.constant_initializer(0.5),
    "normal": tf.random_normal_initializer(0.0, 0.02),
    "uniform": tf.random_uniform_initializer(-0.1, 0.1),
    "ones": tf.ones_initializer(),
}


@KERASES
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_tensorflow_s_own_functions_and_initializers_are_taken(k, ending, folder):
    """As in the tutorials of TensorFlow: each in a layer of its own, in one model."""
    x = k.Input((3,))
    # What tf_keras writes of a function that it doesn't know, it can't read itself.
    known = [
        name for name in FUNCTIONS if name != "log_softmax" or (k, ending) != (tf_keras, ".h5")
    ]
    layers = [
        k.layers.Dense(
            3, FUNCTIONS[name][0], name=name, bias_initializer=tf.constant_initializer(0.5)
        )
        for name in known
    ]
    layers += [
        k.layers.Dense(3, kernel_initializer=initializer, name=name)
        for name, initializer in INITIALIZERS.items()
    ]
    path = folder / f"m{ending}"
    k.Model(x, [layer(x) for layer in layers]).save(path)
    loaded = load_source(path)
    for layer, values in zip(layers, loaded(ROWS), strict=True):
        kernel, bias = layer.get_weights()
        compute = FUNCTIONS.get(layer.name, (None, lambda x: x))[1]
        np.testing.assert_allclose(values, compute(ROWS @ kernel + bias), rtol=1e-5, atol=1e-6)
    made = type(loaded.get_layer("constant").kernel_initializer).__name__
    assert made == "Constant"


@KERASES
def test_a_function_that_may_be_the_user_s_own_is_asked_for(k, folder):
    """Keras notes no module of it: `square` may be TensorFlow's or the user's."""
    path = folder / "m.keras"
    k.Sequential([k.Input((3,)), k.layers.Activation(tf.abs, name="own")]).save(path)
    with pytest.raises(UnsafeModelError, match="layer 'own' uses the function abs") as caught:
        load_source(path)
    assert "unsafe" not in str(caught.value)
    write(folder, swirl_o="import tensorflow as tf\nabs = tf.abs")
    for given in ("swirl_o", {"abs": tf.abs}):
        np.testing.assert_array_equal(run(path, given), np.abs(ROWS))


def test_nothing_else_of_tensorflow_is_passed_on(folder):
    write(folder, swirl_p="""
        import tensorflow as tf
        read, run, load = tf.io.read_file, tf.py_function, tf.saved_model.load
        name, plugin, write = tf.numpy_function, tf.load_op_library, tf.io.write_file
        sin, relu = tf.sin, tf.nn.relu
    """)  # fmt: skip
    assert set(find_custom_objects("swirl_p")) == {"sin", "relu"}


# --- modules that make their parts when they are asked for them ----------------------------------

LAZY = {
    "listed by a function": "def __dir__(): return ['Plus', 'other', '__version__']",
    "listed by name": "__all__ = ['Plus', 'other']",
}
GETATTR = """
import importlib
{listed}
def __getattr__(name):
    if name == "Plus":
        return importlib.import_module("swirl_l.own").Plus
    if name == "other":
        return importlib.import_module("swirl_l.other")
    if name == "Needs":
        raise RuntimeError("swirl_not_here isn't installed")
    import subprocess
    return getattr(subprocess, name)
"""


@KERASES
@pytest.mark.parametrize("listed", LAZY)
def test_what_a_module_makes_when_asked_is_taken(k, listed, folder):
    write(folder, swirl_l=GETATTR.format(listed=LAZY[listed]), swirl_l__own=source(k, 9))
    path = save(k, plus(k, 0, module="swirl_l.own"), folder / "m.keras")
    np.testing.assert_array_equal(run(path, "swirl_l"), ROWS + 9)


@KERASES
def test_what_a_class_of_modules_makes_when_asked_is_taken(k, folder):
    write(folder, swirl_m="""
        import importlib, sys, types
        class Lazy(types.ModuleType):
            def __dir__(self): return ["Plus"]
            def __getattr__(self, name):
                if name == "Plus": return importlib.import_module("swirl_m_own").Plus
                raise AttributeError(name)
        sys.modules[__name__].__class__ = Lazy
    """, swirl_m_own=source(k, 2))  # fmt: skip
    path = save(k, plus(k, 0, module="swirl_m_own"), folder / "m.h5")
    np.testing.assert_array_equal(run(path, "swirl_m"), ROWS + 2)


@pytest.mark.parametrize("listed", LAZY)
def test_a_config_can_not_choose_what_is_imported(listed, folder):
    written = folder / "imported"
    evil = f"import pathlib; pathlib.Path({str(written)!r}).touch()"
    write(folder, swirl_l=GETATTR.format(listed=LAZY[listed]), swirl_l__own="Plus = print",
          swirl_l__other=evil, swirl_l__evil=evil)  # fmt: skip
    names = ["other", "evil", "Popen", "run", "__version__", "__class__", "Needs", "own.Plus", ""]
    assert find_custom_objects("swirl_l", wanted=names) == {}
    assert not written.exists()
    assert "swirl_l.other" not in sys.modules


@pytest.mark.parametrize("name", ["other", "evil", "Popen"])
def test_a_file_can_not_have_a_module_imported_by_naming_it(name, folder):
    written = folder / "imported"
    evil = f"import pathlib; pathlib.Path({str(written)!r}).touch()"
    write(folder, swirl_l=GETATTR.format(listed=LAZY["listed by name"]), swirl_l__other=evil,
          swirl_l__evil=evil, swirl_l__own=source(tf_keras, 1))  # fmt: skip
    path = save(tf_keras, plus(tf_keras, 0, module="swirl_l.own"), folder / "m.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["class_name"] = name
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnsafeModelError, match=rf"layer 'own' is of class {name}"):
        load_source(path, custom_objects="swirl_l")
    assert not written.exists()


@pytest.mark.parametrize("listed", ["__all__ = 3", "__all__ = [['x'], 2]", "def __dir__(): 1 / 0"])
def test_a_list_that_can_not_be_read_is_none(listed, folder):
    write(folder, swirl_q=f"{listed}\ndef mine(x): return x")
    assert set(find_custom_objects("swirl_q", wanted=["x", "mine"])) == {"mine"}
