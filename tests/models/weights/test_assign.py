"""Weights from one file, the architecture from another: every layout, across both Kerases."""

from __future__ import annotations

import functools
import json
import re

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.weights import assign
from kprobe.models.weights.stored_weights import open_weights
from kprobe.models.weights.weights_file import open_weights_file

KERASES = [keras, tf_keras]
IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
# Keras's, when it saves a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def assign_weights(model, path, **settings):
    return assign.assign_weights(model, open_weights_file(path), **settings)


def make_network(k, prefix=""):
    layers = k.layers
    encoder_input = k.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name=f"{prefix}conv")(encoder_input)
    encoder = k.Model(encoder_input, layers.BatchNormalization(name="norm")(x), name=f"{prefix}enc")
    image = k.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name=f"{prefix}first")(image)
    x = layers.Conv2D(4, 3, padding="same", name=f"{prefix}second")(x)
    x = layers.Dropout(0.5, name=f"{prefix}drop")(encoder(encoder(x)))
    x = layers.Reshape((8, 32), name=f"{prefix}rows")(x)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    recurrent = layers.LSTM(3, activation="relu", return_sequences=True)
    x = layers.Bidirectional(recurrent, name=f"{prefix}both")(x)
    x = layers.GRU(4, activation="relu", name=f"{prefix}gru")(x)
    return k.Model(image, layers.Dense(2, name=f"{prefix}out")(x))


def draw_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    return model


def save(model, layout, folder):
    path = folder / {"old": "w.h5", "old model": "model.h5"}.get(layout, f"model{layout}")
    if layout == ".weights.h5" or (layout == "old" and isinstance(model, tf_keras.Model)):
        model.save_weights(path)
    elif layout == "old":
        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    else:
        model.save(path)
    return path


@functools.cache
def train(k):
    """Give a network with weights, and what it computes."""
    trained = draw_weights(make_network(k))
    return trained, trained(IMAGES).numpy()


@functools.cache
def make_target(k, prefix):
    """Give a network whose weights each test draws anew."""
    return make_network(k, prefix)


@pytest.mark.parametrize("layout", [".keras", ".weights.h5", "old", "old model"])
@pytest.mark.parametrize("target", KERASES, ids=lambda k: f"to {k.__name__}")
@pytest.mark.parametrize("source", KERASES, ids=lambda k: f"from {k.__name__}")
def test_weights_of_every_layout_go_into_both_kerases(source, target, layout, tmp_path):
    trained, expected = train(source)
    path = save(trained, layout, tmp_path)
    # Only Keras 3 notes names in a file of weights alone.
    noted = not (source is tf_keras and layout == ".weights.h5")
    for prefix, how in (("", "by name" if noted else "in order"), ("other_", "in order")):
        model = draw_weights(make_target(target, prefix), seed=1)
        assignment = assign_weights(model, path)
        assert assignment.how == how
        assert not assignment.unused
        np.testing.assert_allclose(model(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", KERASES, ids=lambda k: f"to {k.__name__}")
def test_weights_in_several_files_are_those_in_one(target, tmp_path):
    trained = draw_weights(make_network(keras))
    path = tmp_path / "m.weights.json"
    trained.save_weights(path, max_shard_size=2e-6)
    shards = [path, *sorted(tmp_path.glob("m_*.weights.h5"))]
    assert len(shards) > 2
    assert [file.path for file in open_weights_file(path).list_files()] == shards
    model = make_network(target)
    assert assign_weights(model, path).how == "by name"
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    shards[-1].unlink()
    with pytest.raises(ModelError) as caught:
        assign_weights(model, path)
    assert str(caught.value) == (
        f"{path}: its weights are in {len(shards) - 1} files, and {shards[-1].name} isn't there; "
        "put all of them beside it"
    )


@pytest.mark.parametrize(
    "name", ["../other.weights.h5", "{folder}/other.weights.h5", "..", ".", "", 3, [["a"]]]
)
def test_weights_in_files_that_lie_elsewhere_are_refused(name, tmp_path):
    model = stack(keras, "a:4")
    (tmp_path / "in").mkdir()
    draw_weights(stack(keras, "a:4")).save_weights(tmp_path / "other.weights.h5")
    name = name.format(folder=tmp_path) if isinstance(name, str) else name
    path = tmp_path / "in" / "m.weights.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": name}}))
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"aren't beside it|holds no weights"):
        assign_weights(model, path)
    for mine, own in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, own)


def stack(k, *layers):
    names_and_units = [layer.split(":") for layer in layers]
    return k.Sequential(
        [k.Input((4,)), *(k.layers.Dense(int(units), name=name) for name, units in names_and_units)]
    )


@pytest.mark.parametrize("layout", [".keras", ".weights.h5", "old model"])
def test_a_part_of_a_model_takes_its_layers_by_name(layout, tmp_path):
    # By their places in the file, "b" would be given what belongs to "a".
    trained = draw_weights(stack(keras, "a:4", "b:4", "head:3"))
    path = save(trained, layout, tmp_path)
    model = stack(keras, "b:4")
    assignment = assign_weights(model, path)
    assert len(assignment.unused) == 2
    for mine, theirs in zip(model.get_weights(), trained.layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert str(assignment).startswith(f"{path}: weights of 1 layer, by name; not the model's: ")


@pytest.mark.parametrize("layout", [".weights.h5", "old"])
def test_names_that_are_numbered_differently_are_matched_in_order(layout, tmp_path):
    # Every name but one is there, and names another layer.
    trained = draw_weights(stack(tf_keras, "dense_1:4", "dense_2:4", "dense_3:4"))
    model = stack(tf_keras, "dense:4", "dense_1:4", "dense_2:4")
    assert assign_weights(model, save(trained, layout, tmp_path)).how == "in order"
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("layout", [".keras", ".weights.h5", "old", "old model"])
@pytest.mark.parametrize("target", KERASES, ids=lambda k: f"to {k.__name__}")
def test_what_goes_by_another_name_or_to_no_layer_is_said_by_the_names_in_the_file(
    target, layout, tmp_path
):
    path = save(draw_weights(stack(keras, "a:4", "c:4")), layout, tmp_path)
    said = f"{path}: weights of 2 layers, in order: b from c"
    assert str(assign_weights(stack(target, "a:4", "b:4"), path)) == said
    trained = draw_weights(make_network(keras))
    path = save(trained, layout, tmp_path)
    inner = target.Sequential([target.Input((8, 8, 3)), target.layers.Conv2D(4, 3, name="first")])
    said = str(assign_weights(inner, path))
    unused = "enc" if "old" in layout else "enc/conv"
    assert said.startswith(f"{path}: weights of 1 layer, by name; not the model's: ")
    named = said.partition("model's: ")[2].split(", ")
    assert "second" in named
    assert unused in named
    assert not any("layers/" in name for name in named)


@pytest.mark.parametrize("layout", [".keras", ".weights.h5", "old", "old model"])
@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_what_does_not_fit_is_named_with_both_shapes(k, layout, tmp_path):
    path = save(stack(k, "a:4", "b:5", "c:5"), layout, tmp_path)
    model = stack(k, "a:4", "b:6", "c:5")
    before = model.get_weights()
    with pytest.raises(ModelError) as caught:
        assign_weights(model, path)
    assert caught.value.faults == (
        f"{path}: b expects weights of shape {shapes(4, 6)}, received {shapes(4, 5)}",
        f"{path}: c expects weights of shape {shapes(6, 5)}, received {shapes(5, 5)}",
    )
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def shapes(*sizes):
    return f"{sizes} ({sizes[1]},)"


@pytest.mark.parametrize(
    ("k", "layout"),
    # tf_keras's .weights.h5 has no names.
    [(k, layout) for k in KERASES for layout in (".keras", "old model")] + [(keras, ".weights.h5")],
)
def test_the_layers_without_weights_are_named_or_left_alone(k, layout, tmp_path):
    trained = draw_weights(stack(k, "a:4", "b:4", "head:7"))
    path = save(trained, layout, tmp_path)
    model = stack(k, "a:4", "b:4", "extra:4", "head:2")
    with pytest.raises(ModelError) as caught:
        assign_weights(model, path)
    assert caught.value.faults == (
        f"{path}: head expects weights of shape {shapes(4, 2)}, received {shapes(4, 7)}",
        f"{path} has no weights for extra",
    )
    before = model.get_weights()
    assignment = assign_weights(model, path, partial=True)
    assert str(assignment) == (
        f"{path}: weights of 2 layers, by name; left as they were: extra, head"
    )
    expected = [*trained.get_weights()[:4], *before[4:]]
    for mine, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_a_subclassed_model_takes_its_layers_by_attribute(k, tmp_path):
    def make(units):
        class Net(k.Model):
            def __init__(self):
                super().__init__()
                self.blocks = [k.layers.Dense(4), k.layers.Dense(units)]
                self.heads = {"mean": k.layers.Dense(2), "spread": k.layers.Dense(2)}

            def call(self, x):
                for block in self.blocks:
                    x = block(x)
                return self.heads["mean"](x) - self.heads["spread"](x)

        model = Net()
        model(np.ones((1, 4), "float32"))
        return draw_weights(model, units)

    trained, model = make(3), make(3)
    model.set_weights([0 * weight for weight in model.get_weights()])
    path = save(trained, ".weights.h5", tmp_path)
    # tf_keras numbers the layers of subclassed models, too.
    how, place = {"keras": ("by attribute", "blocks"), "tf_keras": ("in order", "layers")}[
        k.__name__
    ]
    assert assign_weights(model, path).how == how
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ModelError) as caught:
        assign_weights(make(5), path)
    assert caught.value.faults[0] == (
        f"{path}: {place}/dense_1 expects weights of shape (4, 5) (5,), received (4, 3) (3,)"
    )


@pytest.mark.parametrize("layout", [".keras", ".weights.h5", "old"])
def test_what_belongs_to_the_model_itself_comes_along(layout, tmp_path):
    class Scaled(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = tf_keras.layers.Dense(2, name="dense")
            self.scale = self.add_weight(name="scale", shape=(2,), initializer="ones")

        def get_config(self):
            return {}

        def call(self, x):
            return self.dense(x) * self.scale

    def make(seed):
        model = Scaled()
        model(np.ones((1, 4), "float32"))
        return draw_weights(model, seed)

    trained, model = make(1), make(2)
    assign_weights(model, save(trained, layout, tmp_path))
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_normalization_is_ready_to_use_with_its_new_statistics(tmp_path):
    for k in KERASES:
        model, trained = (
            k.Sequential([k.Input((2,)), k.layers.Normalization(name="norm")]) for _ in range(2)
        )
        trained.layers[-1].adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
        for layout in (".keras", "old model"):
            assign_weights(model, save(trained, layout, tmp_path))
            np.testing.assert_allclose(model(np.array([[2.0, 30.0]])), [[0, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("none.h5", None, "weights: there is no file {path}; check the path"),
        ("text.h5", b"hello", "{path}: expected HDF5, as .h5 says, received something else; "),
        ("text", b"hello", "{path} holds no weights: neither HDF5 nor a .keras archive; "),
        ("cut.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 20, "{path}: ends after 28 bytes"),
        ("other.zip", b"PK\x03\x04", "{path}: is cut short or damaged: "),
    ],
)
def test_a_file_without_weights_is_one_line(name, content, fault, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        assign_weights(stack(keras, "a:4"), path)
    assert caught.value.lines[0].startswith(fault.format(path=path))
    assert len(caught.value.lines) == 1


def test_hdf5_that_is_something_else_holds_no_weights(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(ModelError, match="holds no weights"):
        assign_weights(stack(keras, "a:4"), path)


@pytest.mark.parametrize("layout", [".weights.h5", "old model"])
def test_arrays_in_another_file_are_refused(layout, tmp_path):
    path = save(stack(keras, "a:4"), layout, tmp_path)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = np.zeros((4,))
    with h5py.File(path, "r+") as file:
        shapes = {}
        file.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", None)}))
        bias = next(name for name, shape in shapes.items() if shape == (4,))
        del file[bias]
        file[bias] = h5py.ExternalLink("secret.h5", "secret")
    with pytest.raises(UnsafeModelError, match="is a link to another file"):
        assign_weights(stack(keras, "a:4"), path)


# --- whose fault it is -------------------------------------------------------------------------


def make_with_own_loading(k, fail):
    """A model with a layer whose own code loads its weights."""

    class Careful(k.layers.Dense):
        def load_own_variables(self, store):
            fail(store)
            super().load_own_variables(store)

    return k.Sequential([k.Input((4,)), k.layers.Dense(4, name="first"), Careful(3, name="care")])


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("layout", [".weights.h5", ".keras"])
@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError])
def test_what_a_layers_own_code_raises_is_told_as_such(k, layout, partial, kind, tmp_path):
    def fail(_store):
        raise kind("no calibration")

    path = save(make_with_own_loading(k, lambda store: None), layout, tmp_path)
    with pytest.raises(ModelError) as caught:
        assign_weights(make_with_own_loading(k, fail), path, partial=partial)
    (fault,) = caught.value.faults
    assert re.fullmatch(
        rf"{path}: (care|layers/\w+) can't be given its weights: {kind.__name__}: "
        "'?no calibration'?",
        fault,
    )
    assert caught.value.hint is None
    assert type(caught.value.__cause__) is kind


@pytest.mark.parametrize("layout", ["old", "old model"])
def test_what_a_layers_own_code_raises_on_the_old_layout_is_told_as_such(layout, tmp_path):
    class Careful(tf_keras.layers.Normalization):
        def finalize_state(self):
            super().finalize_state()
            if ready:
                raise OSError("no calibration")

    def make(layer):
        return tf_keras.Sequential([tf_keras.Input((4,)), layer(name="norm")])

    trained = make(tf_keras.layers.Normalization)
    trained.layers[-1].adapt(np.ones((3, 4)))
    path = save(trained, layout, tmp_path)
    ready = []
    model = make(Careful)
    ready.append(True)
    with pytest.raises(ModelError) as caught:
        assign_weights(model, path)
    assert caught.value.faults == (
        f"{path}: its weights can't be given to the model: OSError: no calibration",
    )
    assert type(caught.value.__cause__) is OSError


@pytest.mark.parametrize("layout", [".weights.h5", "old"])
@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
@pytest.mark.parametrize("partial", [False, True])
def test_damage_inside_the_file_is_told_as_such(k, layout, partial, tmp_path):
    model = draw_weights(stack(k, "a:4", "b:3"))
    path = save(model, layout, tmp_path)
    damage_largest(path)
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"its weights are truncated or damaged: ") as caught:
        assign_weights(model, path, partial=partial)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.hint == "copy or save the file again"
    assert len(before) == 4


def damage_largest(path):
    """Change a byte in the largest array, which a checksum guards."""
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name = max(names, key=lambda name: file[name].size)
        values, attrs = file[name][()], dict(file[name].attrs)
        del file[name]
        dataset = file.create_dataset(name, data=values, chunks=values.shape, fletcher32=True)
        dataset.attrs.update(attrs)
        offset = dataset.id.get_chunk_info(0).byte_offset
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 255]))


def test_a_block_that_reads_weights_keeps_its_own_errors(tmp_path):
    path = save(stack(keras, "a:4"), ".weights.h5", tmp_path)
    for error in (OSError("mine"), ValueError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, open_weights(open_weights_file(path)):
            raise error
        assert caught.value is error


def test_nothing_is_said_to_open_weights_that_are_refused(tmp_path):
    path = save(stack(keras, "a:4"), ".weights.h5", tmp_path)
    with h5py.File(path, "r+") as file:
        file["outside"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with pytest.raises(UnsafeModelError) as caught, open_weights(open_weights_file(path)):
        pass
    assert caught.value.hint == "save the weights again, or leave weights out"
