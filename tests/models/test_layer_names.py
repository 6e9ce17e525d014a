"""A layer that is loaded answers to the name that it had when it was saved.

What comes out of it is held against the layer that was saved, run by itself. Names are numbered
from anew before a model is loaded, as in another process.
"""

from __future__ import annotations

import functools
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from probing import count_anew

import kprobe
from kprobe.errors import AddressError
from kprobe.models.file import read_model_file
from kprobe.models.listing import find_untold, list_layers
from kprobe.pipeline.inspect import list_model
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

# Keras's, when it saves a variable; and tf_keras's, where a layer has no config.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

ROWS = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
LIBRARIES = {"k3": keras, "k2": tf_keras}


@functools.cache
def make_layers(k):
    """Layers whose config says nothing of their name."""

    class Grow(k.layers.Layer):
        """With weights, and made anew from its config alone."""

        def build(self, shape):
            random = k.initializers.RandomNormal(seed=len(shape))
            self.kernel = self.add_weight(
                shape=(int(shape[-1]), int(shape[-1])), initializer=random, name="kernel"
            )

        def call(self, x):
            return x @ self.kernel

        def compute_output_shape(self, shape):
            return shape

        def get_config(self):
            return {}

    class Half(k.layers.Layer):
        """Without weights."""

        def call(self, x):
            return x / 2

        def get_config(self):
            return {}

    class Block(k.layers.Layer):
        """With two layers inside, which it leaves to Keras to name."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.up, self.down = k.layers.Dense(4), k.layers.Dense(3)

        def build(self, shape):
            # As each Keras wants it: tf_keras opens the scopes of names in `__call__` alone.
            x = k.Input(shape[1:]) if k is keras else np.zeros((1, *shape[1:]), "f4")
            self.down(self.up(x))
            self.built = True

        def call(self, x):
            return self.down(self.up(x))

        def get_config(self):
            return {}

    class Kept(k.Model):
        """A subclassed model with layers in a list and in a dict."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = k.layers.Dense(3)
            self.blocks = [k.layers.Dense(3), k.layers.Dense(3)]
            self.heads = {"b": k.layers.Dense(3), "a": k.layers.Dense(3)}

        def call(self, x):
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return self.heads["a"](x) + self.heads["b"](x)

        def get_config(self):
            return {}

    return Grow, Half, Block, Kept


def objects_of(k):
    return {kind.__name__: kind for kind in make_layers(k)}


def count_before(k):
    """Make what an earlier cell of a notebook made: names are counted on from there."""
    count_anew(k)
    for kind in make_layers(k)[:3]:
        kind()
    k.layers.Dense(1)


def randomize(model):
    """Give a model weights by which each layer is told from the others."""
    random = np.random.default_rng(1)
    model.set_weights([random.normal(size=w.shape).astype("f4") for w in model.get_weights()])


def run(layers, before=(), x=ROWS):
    """Give what each of some layers gives, run one after the other, by the path of its name.

    The kernel of each that has one stands behind it.
    """
    values = {}
    for layer in layers:
        x = np.asarray(layer(x))
        path = "/".join([*before, layer.name])
        values[path] = x
        if hasattr(layer, "kernel"):
            KERNELS[path] = np.asarray(layer.kernel)
    return values


# Of the model that was built last.
KERNELS = {}


def build_functional(k):
    grow = make_layers(k)[0]
    x = k.Input((3,), name="x")
    first, second = grow(), grow()
    model = k.Model(x, second(first(x)))
    randomize(model)
    return model, run([first, second])


def build_sequential(k):
    grow, half, *_ = make_layers(k)
    model = k.Sequential([k.Input((3,), name="x"), grow(), half(), grow()])
    randomize(model)
    return model, run(model.layers)


def build_nested(k):
    grow = make_layers(k)[0]
    inner = k.Sequential([k.Input((3,)), grow(), grow()], name="inner")
    x = k.Input((3,), name="x")
    last = grow()
    model = k.Model(x, last(inner(x)))
    randomize(model)
    values = run(inner.layers, ["inner"])
    return model, values | run([last], x=values[f"inner/{inner.layers[-1].name}"])


def build_composite(k):
    block = make_layers(k)[2]
    x = k.Input((3,), name="x")
    first, second = block(), block()
    model = k.Model(x, second(first(x)))
    randomize(model)
    outer = run([first, second])
    inner = run([first.up, first.down], [first.name])
    return model, outer | inner | run([second.up, second.down], [second.name], outer[first.name])


def build_subclassed(k):
    model = make_layers(k)[3]()
    model(ROWS)
    randomize(model)
    values = run([model.first, *model.blocks])
    between = values[model.blocks[-1].name]
    for head in model.heads.values():
        values |= run([head], x=between)
    return model, values


BUILDS = {
    "functional": build_functional,
    "sequential": build_sequential,
    "nested": build_nested,
    "composite": build_composite,
    "subclassed": build_subclassed,
}
FORMATS = ["k3 .keras", "k3 .h5", "k2 .keras", "k2 .h5", "k2 "]
# What their files say no name of, and what addresses it then: by place, in the order of `values`.
NAMELESS = {
    ("k2 .keras", "sequential"): ["at:0", "at:1", "at:2"],
    ("k2 .keras", "nested"): ["inner/at:0", "inner/at:1", None],
    ("k2 .keras", "composite"): [None, None, "{0}/at:0", "{0}/at:1", "{1}/at:0", "{1}/at:1"],
    ("k2 .keras", "subclassed"): ["at:0", "at:1", "at:2", "at:4", "at:3"],
}
# What only the code tells, see `list_model`.
UNTOLD = {("k2 .keras", "composite"), ("k2 .keras", "subclassed")}
# tf_keras itself doesn't save these.
LEFT_OUT = {("k2 .h5", "subclassed")}
CASES = [(kind, build) for kind in FORMATS for build in BUILDS if (kind, build) not in LEFT_OUT]


@functools.cache
def save(kind, build, folder):
    """Save a model; gives its file, and its layers' values by their names."""
    library, suffix = kind.split(" ")
    k = LIBRARIES[library]
    count_before(k)
    KERNELS.clear()
    model, values = BUILDS[build](k)
    path = folder / f"{library}_{build}{suffix}"
    with k.utils.custom_object_scope(objects_of(k)):
        model.save(path)
    return path, values, dict(KERNELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("names")


def dump(k, path, addresses):
    count_anew(k)
    return kprobe.activations(path, addresses, ROWS, custom_objects=objects_of(k))


@pytest.mark.parametrize(("kind", "build"), CASES)
def test_a_layer_answers_to_the_name_that_it_was_saved_under(kind, build, folder):
    k = LIBRARIES[kind[:2]]
    path, values, kernels = save(kind, build, folder)
    names = [*values]
    places = NAMELESS.get((kind, build), [None] * len(names))
    places = [place and place.format(*names) for place in places]
    wanted = {}
    for name, place in zip(names, places, strict=True):
        wanted[place or name] = values[name]
        if name in kernels:
            wanted[f"{place or name}:kernel"] = kernels[name]
            around, _, inner = name.partition("/")
            if inner and not place:
                wanted[f"{around}:{inner}/kernel"] = kernels[name]
    found = dump(k, path, [*wanted])
    for address, value in wanted.items():
        np.testing.assert_allclose(found[address], value, rtol=1e-5, atol=1e-6, err_msg=address)
    # The same is listed: of the file alone, but where only the code tells it.
    addresses = {place or name for name, place in zip(names, places, strict=True)}
    untold = find_untold(read_model_file(path))
    assert bool(untold) is ((kind, build) in UNTOLD)
    settings = {"custom_objects": objects_of(k), "inputs": ROWS} if untold else {}
    assert addresses <= {entry.address for entry in list_model(str(path), **settings)}


def build_wrapped(k):
    """A wrapper's layer, built before the wrapper has its name."""
    grow = make_layers(k)[0]
    x = k.Input((3, 2), name="x")
    y = k.layers.TimeDistributed(grow())(k.layers.TimeDistributed(grow())(x))
    return k.Model(x, y), ["time_distributed", "time_distributed_1"]


def build_taken_over(k):
    """Layers of a clone, whose weights are named after that."""
    grow = make_layers(k)[0]
    clone = k.models.clone_model(k.Sequential([k.Input((3,)), grow(), grow()]))
    x = k.Input((3,), name="x")
    return k.Model(x, k.Sequential(clone.layers, name="over")(x)), ["over"]


@pytest.mark.parametrize("build", [build_wrapped, build_taken_over])
@pytest.mark.parametrize("kind", ["k3 .h5", "k2 .h5", "k3 .keras"])
def test_inside_a_layer_the_weights_tell_the_names_and_ls_says_the_same(kind, build, tmp_path):
    library, suffix = kind.split(" ")
    k = LIBRARIES[library]
    count_before(k)
    model, names = build(k)
    randomize(model)
    outer = [layer for layer in model.layers if layer.name in names]
    with k.utils.custom_object_scope(objects_of(k)):
        model.save(tmp_path / f"m{suffix}")
    inside = [(o, i) for o in outer for i in getattr(o, "layers", [getattr(o, "layer", None)])]
    # tf_keras tells nothing of what a wrapper has inside: it is called after its class.
    told = kind != "k2 .h5" or build is not build_wrapped
    paths = {f"{o.name}/{i.name if told else 'grow'}": i for o, i in inside if i.weights}
    k.backend.clear_session()
    wanted = [f"w{number}={path}:kernel" for number, path in enumerate(paths)]
    settings = {"custom_objects": objects_of(k)}
    found = kprobe.activations(tmp_path / f"m{suffix}", wanted, **settings)
    assert len(found) == 2
    for value, inner in zip(found.values(), paths.values(), strict=True):
        np.testing.assert_array_equal(value, inner.kernel)
    listed = {entry.address.split("@")[0] for entry in list_model(str(tmp_path / f"m{suffix}"))}
    assert {*paths} <= listed


def test_models_that_code_makes_without_a_name_have_places_too(tmp_path):
    """Else they would have the next number in each process."""
    k = tf_keras

    class Twice(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.one = k.Sequential([k.layers.Dense(3)])
            self.two = k.Sequential([k.layers.Dense(3)])

        def call(self, x):
            return self.two(self.one(x))

        def get_config(self):
            return {}

    model = Twice()
    model(ROWS)
    randomize(model)
    expected = [np.asarray(model.one(ROWS)), np.asarray(model(ROWS))]
    with k.utils.custom_object_scope({"Twice": Twice}):
        model.save(tmp_path / "m.keras")
    for _ in range(2):
        settings = {"custom_objects": {"Twice": Twice}}
        found = kprobe.activations(tmp_path / "m.keras", "at:0,at:1", ROWS, **settings)
        for place, value in enumerate(expected):
            np.testing.assert_allclose(found[f"at:{place}"], value, rtol=1e-5, atol=1e-6)


def test_what_a_subclassed_model_holds_is_listed_of_an_hdf5_file_too(tmp_path):
    k = keras
    block = make_layers(k)[2]

    class Deep(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.block = block()
            self.inner = k.Sequential([k.layers.Dense(3), k.layers.Dense(3)])

        def call(self, x):
            return self.inner(self.block(x))

        def get_config(self):
            return {}

    count_before(k)
    model = Deep()
    model(ROWS)
    objects = {**objects_of(k), "Deep": Deep}
    with k.utils.custom_object_scope(objects):
        model.save(tmp_path / "m.h5")
    inside = [model.block.up, model.block.down, *model.inner.layers]
    outer = [model.block.name] * 2 + [model.inner.name] * 2
    wanted = [f"{around}/{layer.name}" for around, layer in zip(outer, inside, strict=True)]
    listed = {entry.address: entry for entry in list_model(str(tmp_path / "m.h5"))}
    assert {*listed} == {*wanted, *outer}
    k.backend.clear_session()
    kernels = [f"{address}:kernel" for address in wanted]
    found = kprobe.activations(tmp_path / "m.h5", kernels, ROWS, custom_objects=objects)
    for address, layer in zip(wanted, inside, strict=True):
        np.testing.assert_array_equal(found[f"{address}:kernel"], layer.kernel)
        assert listed[address].parameters == layer.count_params()


@pytest.mark.parametrize(
    ("build", "places"),
    [
        ("sequential", ["at:0", "at:1", "at:2"]),
        ("nested", ["inner/at:0", "inner/at:1", None]),
    ],
)
def test_without_names_in_the_weights_a_place_is_the_address(build, places, folder, tmp_path):
    """As Keras 3 wrote its files up to 3.6."""
    whole, values, _ = save("k3 .keras", build, folder)
    path = tmp_path / "older.keras"
    with zipfile.ZipFile(whole) as archive:
        archive.extractall(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        groups = []
        file.visititems(lambda _, item: groups.append(item) if "name" in item.attrs else None)
        for group in groups:
            del group.attrs["name"]
    with zipfile.ZipFile(path, "w") as archive:
        for member in ("metadata.json", "config.json", "model.weights.h5"):
            archive.write(tmp_path / member, member)
    wanted = {place or name: name for name, place in zip(values, places, strict=True)}
    found = dump(keras, path, [*wanted])
    for address, name in wanted.items():
        np.testing.assert_allclose(found[address], values[name], rtol=1e-5, atol=1e-6)
    assert set(wanted) <= {entry.address for entry in list_model(str(path))}
    made_up = next(iter(values)).rpartition("/")[2].replace("_1", "")
    with pytest.raises(AddressError, match=f"no layer '{made_up}'"):
        dump(keras, path, [made_up])


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_an_architecture_alone_has_places_too(k, tmp_path):
    count_before(k)
    model, _ = build_sequential(k)
    (tmp_path / "model.json").write_text(model.to_json())
    count_anew(k)
    settings = {"custom_objects": objects_of(k), "random_weights": True}
    found = kprobe.activations(tmp_path / "model.json", ["at:0", "at:1"], ROWS, **settings)
    np.testing.assert_allclose(found["at:1"], found["at:0"] / 2, rtol=1e-6)
    job = make_job(model=tmp_path / "model.json", layers=["at:0"], inputs=ROWS, **settings)
    with plan_job(job) as plan:
        assert plan.notes[-1] == (
            f"{tmp_path / 'model.json'} has no name for at:0, at:1, at:2: `at:` gives the place of "
            "each"
        )
    addresses = [entry.address for entry in list_model(str(tmp_path / "model.json"))]
    assert addresses[-3:] == ["at:0", "at:1", "at:2"]


def test_a_name_that_two_layers_have_is_refused(tmp_path):
    class Twins(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.one = keras.layers.Dense(3, name="twin")
            self.other = keras.layers.Dense(3, name="twin")

        def call(self, x):
            return self.other(self.one(x))

        def get_config(self):
            return {}

    model = Twins()
    model(ROWS)
    randomize(model)
    model.save(tmp_path / "twins.keras")
    settings = {"custom_objects": {"Twins": Twins}}
    for address, kind in (("twin", "calls"), ("twin:kernel", "weights")):
        with pytest.raises(AddressError, match=f"'{address}' fits 2 {kind}: twin@0.*, twin@1"):
            kprobe.activations(tmp_path / "twins.keras", [address], ROWS, **settings)
    listed = [entry.address for entry in list_model(str(tmp_path / "twins.keras"))]
    assert listed == ["twin@0", "twin@1"]
    found = kprobe.activations(tmp_path / "twins.keras", ["twin@0", "twin@1"], ROWS, **settings)
    np.testing.assert_allclose(found["twin@0"], model.one(ROWS), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["twin@1"], model(ROWS), rtol=1e-5, atol=1e-6)


def note_names(path, names):
    """Change the names that the weights of a `.keras` file note of its layers, by their groups."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = path.with_suffix(".h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        for group, name in names.items():
            file[f"layers/{group}/vars"].attrs["name"] = name
    members["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


@pytest.mark.parametrize("is_functional", [False, True])
def test_names_in_the_config_go_before_those_in_the_weights(is_functional, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="a")])
    model.add(keras.layers.Dense(3, name="b"))
    if is_functional:
        model = keras.Model(model.inputs, model.outputs)
    model.save(tmp_path / "m.keras")
    expected = run(model.layers[-2:])
    note_names(tmp_path / "m.keras", {"dense": "b", "dense_1": "a"})
    found = kprobe.activations(tmp_path / "m.keras", ["a", "b"], ROWS)
    for name in "ab":
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_what_cannot_be_a_name_is_none(name, tmp_path):
    model, values = build_sequential(keras)
    model.save(tmp_path / "m.keras")
    note_names(tmp_path / "m.keras", {"grow": name})
    custom = objects_of(keras)
    found = kprobe.activations(tmp_path / "m.keras", ["at:0"], ROWS, custom_objects=custom)
    np.testing.assert_allclose(found["at:0"], next(iter(values.values())), rtol=1e-5, atol=1e-6)
    listed = read_model_file(tmp_path / "m.keras")
    assert [entry.address for entry in list_layers(listed)][1] == "at:0"


def test_layers_that_are_listed_backwards_keep_their_names(tmp_path):
    """Their weights Keras takes by the places of what has some, whatever the names there."""
    path = tmp_path / "m.h5"
    tf_keras.utils.set_random_seed(1)
    names = ("first", "second", "third")
    x = i = tf_keras.Input((3,), name="i")
    for name in names:
        x = tf_keras.layers.Dense(3, name=name)(x)
    tf_keras.Model(i, x).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1:] = config["config"]["layers"][:0:-1]
        file.attrs["model_config"] = json.dumps(config)
        group = file["model_weights"].attrs
        group["layer_names"] = [group["layer_names"][0], *group["layer_names"][:0:-1]]
    plain = tf_keras.models.load_model(path, compile=False)
    found = kprobe.activations(path, [*names], inputs=ROWS)
    for name in names:
        expected = tf_keras.Model(plain.input, plain.get_layer(name).output)(ROWS)
        np.testing.assert_allclose(found[name], expected, 1e-5, 1e-6)
