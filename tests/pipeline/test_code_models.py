"""Models that code makes, and subclassed ones that are built on the first sample."""

from __future__ import annotations

import re
import sys
import warnings

import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.errors import InputError

RNG = np.random.default_rng(0)
LEFT = RNG.normal(size=(5, 4)).astype("float32")
RIGHT = RNG.normal(size=(5, 4)).astype("float32")
KERASES = pytest.mark.parametrize("k", ["keras", "tf_keras"])
# Keras's, when it saves a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CODE = """
import KERAS as keras

register = keras.saving.register_keras_serializable("swirl")

class Base(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.blocks = [keras.layers.Dense(4, name=f"block{n}") for n in range(2)]
        self.heads = {"mean": keras.layers.Dense(3, name="mean")}

    def head(self, x):
        for block in self.blocks:
            x = block(x)
        return self.heads["mean"](x)

@register
class Single(Base):
    def call(self, x):
        return self.head(x)

@register
class Dict(Base):
    def call(self, inputs):
        return self.head(inputs["left"]) - self.head(inputs["right"])

@register
class Listed(Base):
    def call(self, inputs):
        left, right = inputs
        return self.head(left) - self.head(right)

@register
class Keywords(Base):
    def call(self, left, right):
        return self.head(left) - self.head(x=right)

@register
class Scaled(Base):
    def call(self, left, scale=2.0, *, right=None, training=None):
        return scale * (self.head(left) - self.head(right))

@register
class Deferred(keras.Sequential):
    def __init__(self, **options):
        super().__init__([keras.layers.Dense(3, name="mean")], **options)

@register
class Shapes(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.pool = keras.layers.MaxPooling1D(2, name="pool")
        self.flat = keras.layers.Flatten(name="flat")
        self.out = keras.layers.Dense(2, name="out")

    def call(self, x):
        once = self.pool(x)
        twice = self.pool(once)
        return self.out(self.flat(twice)) + keras.layers.add([self.flat(once)[:, :2]] * 2)
"""
TWO = {"left": LEFT, "right": RIGHT}
# The class, what it is given, and how it is called.
FORMS = [
    ("Single", LEFT, lambda m: m(LEFT)),
    ("Single", {"picture": LEFT}, lambda m: m(LEFT)),
    ("Dict", TWO, lambda m: m(TWO)),
    ("Listed", TWO, lambda m: m([LEFT, RIGHT])),
    ("Listed", {"z": LEFT, "a": RIGHT}, lambda m: m([LEFT, RIGHT])),
    ("Keywords", TWO, lambda m: m(LEFT, RIGHT)),
    ("Keywords", {"one": LEFT, "other": RIGHT}, lambda m: m(LEFT, RIGHT)),
    ("Scaled", TWO, lambda m: m(LEFT, right=RIGHT)),
    ("Deferred", LEFT, lambda m: m(LEFT)),
]


@pytest.fixture
def code(tmp_path, monkeypatch, k):
    """Write the code with one Keras, and give what names a class in it."""
    monkeypatch.chdir(tmp_path)
    name = f"swirl_{k}"
    (tmp_path / f"{name}.py").write_text(CODE.replace("KERAS", k))
    yield lambda callable_: f"{name}.py:{callable_}"
    sys.modules.pop(name, None)


def dumped(path):
    with kprobe.open_dump(path) as dump:
        return {name: dump[name][:] for name in dump.columns}


def find_line(call):
    with pytest.raises(kprobe.KprobeError) as caught:
        call()
    (line,) = caught.value.lines
    assert "\n" not in line
    return line


def forms(*kinds):
    return pytest.mark.parametrize(
        ("name", "inputs", "call"), kinds, ids=[f"{n}-{'+'.join(i)}" if isinstance(i, dict) else n
                                                for n, i, _ in kinds],
    )  # fmt: skip


@KERASES
@forms(*FORMS)
def test_a_model_that_code_leaves_unbuilt_is_built_on_the_first_sample(
    code, name, inputs, call, tmp_path
):
    model = kprobe.load_model(code(name), inputs=inputs)
    expected = np.asarray(call(model))
    model.save_weights("w.weights.h5")
    function = kprobe.function(model, "mean@*" if name not in ("Single", "Deferred") else "mean")
    first = next(
        iter(function(inputs if isinstance(inputs, dict) else {"inputs": inputs}).values())
    )
    kprobe.dump(
        code(name), "**/mean", inputs=inputs, output="a.h5", weights="w.weights.h5", exact=True
    )
    values = list(dumped("a.h5").values())
    np.testing.assert_allclose(values[0], first, rtol=1e-5, atol=1e-6)
    whole = values[0] if len(values) == 1 else values[0] - values[1]
    np.testing.assert_allclose(
        whole * (2 if name == "Scaled" else 1), expected, rtol=1e-5, atol=1e-5
    )


@KERASES
@forms(*FORMS[:-1])  # a Sequential of its own class needs a from_config of its own
def test_a_saved_model_has_its_weights_however_it_has_to_be_built(
    code, k, name, inputs, call, tmp_path
):
    trained = kprobe.load_model(code(name), inputs=inputs)
    rng = np.random.default_rng(1)
    trained.set_weights([rng.normal(size=weight.shape) for weight in trained.get_weights()])
    trained.save("model.keras")
    custom = [code(name).partition(":")[0]]
    with warnings.catch_warnings():
        # Keras 3, of a model that it can't build; it goes on with random weights.
        warnings.simplefilter("ignore")
        kprobe.dump("model.keras", "**/mean", inputs=inputs, output="a.h5", custom_objects=custom)
        model = kprobe.load_model("model.keras", inputs=inputs, custom_objects=custom)
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    values = list(dumped("a.h5").values())
    whole = values[0] if len(values) == 1 else values[0] - values[1]
    expected = np.asarray(call(trained)) / (2 if name == "Scaled" else 1)
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-4)


@KERASES
def test_a_model_saved_before_it_was_built_has_no_weights(code, k, tmp_path):
    model = kprobe.load_model(code("Single"))
    assert not model.built
    with pytest.warns(UserWarning, match="not yet been built"):
        model.save("model.keras")
    options = {"inputs": LEFT, "custom_objects": [f"swirl_{k}.py"], "output": "a.h5"}
    line = find_line(lambda: kprobe.dump("model.keras", "mean", **options))
    assert re.fullmatch(r"model.keras has no weights for .*; `random_weights=True` leaves .*", line)
    kprobe.dump("model.keras", "mean", **options, random_weights=True)
    assert dumped("a.h5")["mean"].shape == (5, 3)


@KERASES
def test_one_layer_may_be_called_with_different_shapes(code, tmp_path):
    steps = RNG.normal(size=(3, 8, 2)).astype("float32")
    kprobe.dump(code("Shapes"), None, inputs=steps, output="a.h5")
    values = dumped("a.h5")
    once = steps.reshape(3, 4, 2, 2).max(2)
    np.testing.assert_allclose(values["pool@0"], once)
    np.testing.assert_allclose(values["pool@1"], once.reshape(3, 2, 2, 2).max(2))
    assert (values["flat@0"].shape, values["flat@1"].shape) == ((3, 4), (3, 8))


@KERASES
def test_an_eager_run_takes_keywords_too(code, tmp_path):
    model = kprobe.load_model(code("Keywords"), inputs=TWO)
    kprobe.dump(model, "mean@1", inputs=TWO, output="a.h5", eager=True)
    expected = np.asarray(model.head(RIGHT))
    np.testing.assert_allclose(dumped("a.h5")["mean@1"], expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_feeds_leave_out_an_input_of_a_model_built_on_a_sample(code, tmp_path):
    np.savez("two.npz", **TWO)
    np.save("inner.npy", LEFT)
    kprobe.dump(
        code("Keywords"),
        "mean@*",
        inputs=["two.npz"],
        feeds=["block1@0=inner.npy"],
        output="a.h5",
        random_weights=True,
    )
    assert {name: value.shape for name, value in dumped("a.h5").items()} == {
        "mean@0": (5, 3),
        "mean@1": (5, 3),
    }


@KERASES
@pytest.mark.parametrize(
    ("name", "inputs", "line"),
    [
        ("Dict", {"left": LEFT, "wrong": RIGHT}, r"\(Dict\) can't be called on left \(1, 4\) "
         r"float32, wrong \(1, 4\) float32; call\(\{'left': left, 'wrong': wrong\}\): KeyError.*; "
         r"call\(\[left, wrong\]\): .*name its inputs as the code does"),
        ("Keywords", LEFT, r"\(Keywords\) can't be called on inputs \(1, 4\) float32; "
         r"call\(inputs\): TypeError"),
    ],
)  # fmt: skip
def test_inputs_that_fit_in_no_way_are_one_line(code, name, inputs, line, tmp_path):
    found = find_line(lambda: kprobe.dump(code(name), "mean", inputs=inputs, output="a.h5"))
    assert re.search(line, found)


@KERASES
def test_a_model_that_does_not_say_what_it_takes_needs_samples(code, tmp_path):
    line = find_line(lambda: kprobe.dump(code("Keywords"), "mean", output="a.h5"))
    assert re.search(r"\(Keywords\) doesn't say what it takes.*: inputs=", line)


@KERASES
def test_rows_that_differ_in_number_are_refused_before_the_call(code, tmp_path):
    with pytest.raises(InputError, match="expected as many rows for every input"):
        kprobe.dump(code("Dict"), "mean", inputs={"left": LEFT, "right": RIGHT[:2]}, output="a.h5")


@KERASES
@pytest.mark.parametrize("source", ["same", "other"])
def test_an_architecture_takes_its_weights_from_another_file(k, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, other = (keras, tf_keras) if k == "keras" else (tf_keras, keras)

    def make(library):
        x = library.Input((4,), name="x")
        hidden = library.layers.Dense(3, name="hidden")(x)
        return library.Model(x, library.layers.BatchNormalization(name="norm")(hidden))

    (tmp_path / "model.json").write_text(make(own).to_json())
    trained = make(own if source == "same" else other)
    trained.set_weights([RNG.uniform(0.5, 1, size=w.shape) for w in trained.get_weights()])
    trained.save("trained.keras")
    kprobe.dump("model.json", "norm", inputs=LEFT, weights="trained.keras", output="a.h5")
    expected = np.asarray(trained(LEFT))
    np.testing.assert_allclose(dumped("a.h5")["norm"], expected, rtol=1e-5, atol=1e-6)
    with kprobe.open_dump("a.h5") as dump:
        assert dump.attrs["keras"].startswith(f"{k} ")
        assert dump.attrs["weights"] == "trained.keras"
        assert len(dump.attrs["weights_sha256"]) == 64


@KERASES
def test_an_architecture_alone_is_an_error_unless_random_weights_are_asked_for(k, tmp_path):
    library = {"keras": keras, "tf_keras": tf_keras}[k]
    model = library.Sequential([library.Input((4,)), library.layers.Dense(3, name="d")])
    path = tmp_path / "model.json"
    path.write_text(model.to_json())
    fault = "holds an architecture without weights; give them with weights='FILE'; random_weights="
    assert fault in find_line(lambda: kprobe.dump(path, "d", output=tmp_path / "a.h5"))
    assert fault in find_line(lambda: kprobe.load_model(path))
    values = []
    for seed in (1, 1, 2):
        kprobe.dump(
            path,
            "d",
            inputs=LEFT,
            seed=seed,
            random_weights=True,
            output=tmp_path / "a.h5",
            overwrite=True,
        )
        values.append(dumped(tmp_path / "a.h5")["d"])
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.allclose(values[0], values[2])
