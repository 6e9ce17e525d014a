"""Weights from checkpoints of TensorFlow, of both Kerases and of TensorFlow 1."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.weights import assign
from kprobe.models.weights.weights_file import open_weights_file

KERASES = [keras, tf_keras]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def assign_weights(model, path, **settings):
    return assign.assign_weights(model, open_weights_file(path), **settings)


def make_network(k, prefix=""):
    layers = k.layers
    inner = k.Sequential(
        [
            k.Input((4,)),
            layers.Dense(4, name=f"{prefix}inner"),
            layers.BatchNormalization(name=f"{prefix}norm"),
        ],
        name=f"{prefix}enc",
    )
    x = k.Input((4,), name="x")
    y = layers.Reshape((2, 2), name=f"{prefix}rows")(layers.Dropout(0.5)(inner(x)))
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    y = layers.Bidirectional(layers.LSTM(3, activation="relu"), name=f"{prefix}both")(y)
    return k.Model(x, layers.Dense(2, name=f"{prefix}out")(y))


def draw_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    return model


def save_of_objects(model, folder, **others):
    return tf.train.Checkpoint(model=model, **others).save(folder / "ck")


def save_as_keras_2(model, folder):
    model.save_weights(folder / "w", save_format="tf")
    return folder / "w"


def save_as_tensorflow_1(model, folder):
    """By the names of variables alone."""
    values = {
        getattr(variable, "path", None) or variable.name.removesuffix(":0"): variable.numpy()
        for variable in model.variables
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in values.items():
            tf.compat.v1.get_variable(name, initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver().save(session, str(folder / "named"))


def save_as_savedmodel(model, folder):
    model.save(folder / "saved", save_format="tf")
    return folder / "saved"


def assert_same(model, trained):
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


WAYS = [
    *((k, save) for k in KERASES for save in (save_of_objects, save_as_tensorflow_1)),
    *((tf_keras, save) for save in (save_as_keras_2, save_as_savedmodel)),
]


@pytest.mark.parametrize(("k", "save"), WAYS, ids=lambda part: part.__name__)
def test_a_checkpoint_of_every_kind_gives_its_weights(k, save, tmp_path):
    trained = draw_weights(make_network(k))
    path = save(trained, tmp_path)
    model = draw_weights(make_network(k), 1)
    assert assign_weights(model, path).how == "by name"
    assert_same(model, trained)
    if save is not save_as_tensorflow_1:  # only names are in it
        model = draw_weights(make_network(k, "other_"), 1)
        assignment = assign_weights(model, path)
        assert assignment.how == "by object"
        assert not assignment.unused
        assert_same(model, trained)


def test_every_way_to_name_it_gives_the_same(tmp_path):
    trained = draw_weights(make_network(tf_keras))
    trained.compile("adam", "mse")
    save_of_objects(trained, tmp_path, optimizer=trained.optimizer)
    for name in ("ck-1", "ck-1.index", "ck-1.data-00000-of-00001", "."):
        model = draw_weights(make_network(tf_keras), 1)
        assignment = assign_weights(model, tmp_path / name)
        assert str(assignment) == f"{tmp_path}/ck-1: weights of 3 layers, by name"
        assert_same(model, trained)


def stack(k, *layers):
    named = [layer.split(":") for layer in layers]
    return k.Sequential(
        [k.Input((4,)), *(k.layers.Dense(int(units), name=name) for name, units in named)]
    )


def test_names_count_in_the_other_keras_too(tmp_path):
    trained = draw_weights(stack(tf_keras, "a:4", "b:3"))
    model = stack(keras, "a:4", "b:3")
    assert assign_weights(model, save_as_keras_2(trained, tmp_path)).how == "by name"
    assert_same(model, trained)


@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_names_that_are_numbered_differently_are_matched_by_object(k, tmp_path):
    # Every name but one is there, and names another layer.
    trained = draw_weights(stack(k, "dense_1:4", "dense_2:4", "dense_3:4"))
    model = stack(k, "dense:4", "dense_1:4", "dense_2:4")
    assert assign_weights(model, save_of_objects(trained, tmp_path)).how == "by object"
    assert_same(model, trained)


@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_of_several_models_the_one_that_fits_is_taken(k, tmp_path):
    """As the tutorials of GANs save them."""
    generator, judge = draw_weights(stack(k, "a:4", "b:3")), draw_weights(stack(k, "a:5", "b:3"), 1)
    path = tf.train.Checkpoint(generator=generator, discriminator=judge).save(tmp_path / "ck")
    for trained, units in ((generator, 4), (judge, 5)):
        model = draw_weights(stack(k, f"c:{units}", "d:3"), 2)
        assert assign_weights(model, path).how == "by object"
        assert_same(model, trained)


def test_of_two_models_that_fit_none_is_guessed(tmp_path):
    pair = [draw_weights(stack(keras, "a:4", "b:3"), seed) for seed in range(2)]
    path = tf.train.Checkpoint(model=pair[0], average=pair[1]).save(tmp_path / "ck")
    with pytest.raises(ModelError, match="holds 2 objects that fit the model, and the names"):
        assign_weights(stack(keras, "a:4", "b:3"), path)


def make_subclassed(k):
    class Block(k.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.first, self.second = k.layers.Dense(units), k.layers.Dense(units)
            self.norm = k.layers.LayerNormalization()

        def call(self, x):
            return self.norm(self.second(self.first(x)))

    class Model(k.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = Block(4), Block(4)
            self.scale = self.add_weight(shape=(4,), name="scale", initializer="ones")

        def call(self, x):
            return self.two(self.one(x)) * self.scale

    model = Model()
    model(np.ones((1, 4), "float32"))
    return model


@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_a_subclassed_model_takes_its_weights_by_object(k, tmp_path):
    trained = draw_weights(make_subclassed(k))
    path = save_of_objects(trained, tmp_path)
    k.layers.Dense(3)  # so that Keras's numbers go on
    model = make_subclassed(k)
    assign_weights(model, path)
    assert_same(model, trained)


@pytest.mark.parametrize("k", KERASES, ids=lambda k: k.__name__)
def test_what_does_not_fit_is_told_by_layers(k, tmp_path):
    trained = draw_weights(stack(k, "a:4", "b:3"))
    path = save_of_objects(trained, tmp_path)
    model = draw_weights(stack(k, "a:4", "b:5", "c:2"), 1)
    before = model.get_weights()
    with pytest.raises(ModelError) as caught:
        assign_weights(model, path)
    assert caught.value.faults == (
        f"{path}: b expects weights of shape (4, 5) (5,), received (4, 3) (3,)",
        f"{path} has no weights for c",
    )
    assignment = assign_weights(model, path, partial=True)
    assert list(assignment.pairs) == ["a"]
    for number, mine in enumerate(model.get_weights()):
        theirs = trained.get_weights()[number] if number < 2 else before[number]
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("index", "has a damaged index of its variables: it doesn't end as an index does"),
        ("data-00000-of-00001", ".*: lies outside of its file"),
    ],
)
def test_a_damaged_checkpoint_is_told_as_such(part, fault, tmp_path):
    path = save_of_objects(draw_weights(stack(keras, "a:4", "b:3")), tmp_path)
    file = tmp_path / f"ck-1.{part}"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=rf"ck-1: {fault}; copy or save the model file again"):
        assign_weights(stack(keras, "a:4", "b:3"), path)


def test_a_value_whose_checksum_differs_is_told_as_damage(tmp_path):
    path = save_of_objects(draw_weights(stack(keras, "a:4", "b:3")), tmp_path)
    file = tmp_path / "ck-1.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[:16] = bytes(16)
    file.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        assign_weights(stack(keras, "a:4", "b:3"), path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{tmp_path}/ck-1 is a damaged checkpoint: ")
    assert "/proc/" not in fault


def test_a_checkpoint_that_is_changed_after_it_was_checked_is_refused(tmp_path):
    first, second = (draw_weights(stack(keras, "a:4", "b:3"), seed) for seed in range(2))
    opened = open_weights_file(save_of_objects(first, tmp_path))
    (tmp_path / "other").mkdir()
    save_of_objects(second, tmp_path / "other")
    name = "ck-1.data-00000-of-00001"
    (tmp_path / "other" / name).rename(tmp_path / name)
    with pytest.raises(UnsafeModelError, match=f"was changed after it was checked: '{name}'"):
        assign.assign_weights(stack(keras, "a:4", "b:3"), opened)


def test_what_was_checked_is_read_though_its_folder_is_replaced(tmp_path):
    folder, moved = tmp_path / "here", tmp_path / "moved"
    first, second = (draw_weights(stack(keras, "a:4", "b:3"), seed) for seed in range(2))
    folder.mkdir()
    opened = open_weights_file(save_of_objects(first, folder))
    folder.rename(moved)
    folder.mkdir()
    save_of_objects(second, folder)
    model = stack(keras, "a:4", "b:3")
    assign.assign_weights(model, opened)
    for mine, theirs in zip(model.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


CODE = """
import tf_keras
def make():
    x = tf_keras.Input((4,), name="x")
    return tf_keras.Model(x, tf_keras.layers.Dense(3, name="h")(x))
"""


def test_a_dump_takes_a_checkpoint_and_knows_it_by_all_its_files(tmp_path):
    (tmp_path / "swirl_ckpt.py").write_text(CODE)
    code = f"{tmp_path / 'swirl_ckpt.py'}:make"
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    digests = []
    for seed in range(2):
        trained = draw_weights(stack(tf_keras, "h:3"), seed)
        trained.save_weights(tmp_path / "w", save_format="tf")
        output = tmp_path / f"{seed}.h5"
        kprobe.dump(code, "h", weights=tmp_path / "w", inputs=rows, output=output)
        kernel, bias = trained.get_weights()
        with kprobe.open_dump(output) as dump:
            np.testing.assert_allclose(dump["h"][:], rows @ kernel + bias, rtol=1e-5)
            digests.append(dump.attrs["weights_sha256"])
    assert digests[0] != digests[1]
