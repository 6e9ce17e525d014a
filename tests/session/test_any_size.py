"""The size that a subclassed model was first called with isn't the only one that it takes."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tf_keras
from PIL import Image

import kprobe

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
PICTURES = RNG.random((3, 24, 20, 3)).astype("float32")
TOKENS = RNG.integers(1, 9, (3, 9)).astype("int32")


@functools.cache
def make_net(k):
    """A model of convolutions, called on images of 16x16 first."""

    class Net(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.c1 = k.layers.Conv2D(4, 3, padding="same", name="c1")
            self.c2 = k.layers.Conv2D(2, 1, name="c2")

        def call(self, x):
            return self.c2(self.c1(x))

    model = Net()
    model(np.zeros((1, 16, 16, 3), "float32"))
    return model


@functools.cache
def make_reader(k):
    """A model of tokens, called on rows of 5 first."""

    class Reader(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.embedded = k.layers.Embedding(9, 4, name="embedded")
            # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
            self.lstm = k.layers.LSTM(3, activation="relu", name="lstm")

        def call(self, x):
            return self.lstm(self.embedded(x))

    model = Reader()
    model(np.zeros((1, 5), "int32"))
    return model


@functools.cache
def make_classifier(k):
    """A model that takes one size only, since it has a weight for each pixel."""

    class Classifier(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.flat = k.layers.Flatten(name="flat")
            self.head = k.layers.Dense(2, name="head")

        def call(self, x):
            return self.head(self.flat(x))

    model = Classifier()
    model(np.zeros((1, 16, 16, 3), "float32"))
    return model


def check(received, expected):
    np.testing.assert_allclose(received, np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.fixture
def folder(tmp_path):
    """Images of 24x20, and what is in them."""
    arrays = (RNG.random((3, 24, 20, 3)) * 255).astype("uint8")
    (tmp_path / "images").mkdir()
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images", arrays.astype("float32")


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_arrays_of_any_size_are_taken(k, eager):
    model = make_net(k)
    received = kprobe.activations(model, "c1,c2", PICTURES, eager=eager)
    check(received["c1"], model.c1(PICTURES))
    check(received["c2"], model(PICTURES))
    reader = make_reader(k)
    received = kprobe.activations(reader, "embedded,lstm", TOKENS, eager=eager)
    check(received["embedded"], reader.embedded(TOKENS))
    check(received["lstm"], reader(TOKENS))


@KERASES
def test_rows_of_several_lengths_are_taken(k):
    reader = make_reader(k)
    rows = [TOKENS[0, :length] for length in (4, 9, 6)]
    received = kprobe.activations(reader, "embedded,lstm", {"inputs": rows})
    for number, row in enumerate(rows):
        check(received["embedded"][number], reader.embedded(row[None])[0])
        check(received["lstm"][number], reader(row[None])[0])


@KERASES
def test_images_are_resized_as_asked_and_not_in_silence(k, folder):
    model, (path, pictures) = make_net(k), folder
    check(kprobe.activations(model, "c1", str(path))["c1"], model.c1(pictures))
    for asked, shape in (((8, 12), (3, 8, 12, 4)), ("model", (3, 16, 16, 4))):
        images = kprobe.ImageOptions(resize=asked, interpolation="nearest")
        received = kprobe.activations(model, "c1,in=c1:in", str(path), images=images)
        assert received["c1"].shape == shape
        check(received["c1"], model.c1(received["in"]))


@KERASES
def test_preprocessing_takes_any_size(k):
    model = make_net(k)
    mean = (0.1, 0.2, 0.3)
    received = kprobe.activations(
        model, "c1", PICTURES, preprocessing=kprobe.Preprocessing(mean=mean)
    )
    check(received["c1"], model.c1(PICTURES - np.array(mean, "float32")))


@KERASES
def test_random_samples_have_the_size_that_it_was_called_with(k):
    received = kprobe.activations(make_net(k), "c1", random=2)
    assert received["c1"].shape == (2, 16, 16, 4)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(make_net(k), "c1", PICTURES[0])
    assert "expects shape (None, 16, 16, 3) or of other sizes, received (24, 20, 3)" in str(
        caught.value
    )


@KERASES
def test_a_size_that_the_model_does_not_take_is_told_with_the_one_it_was_called_with(k, folder):
    model, (path, pictures) = make_classifier(k), folder
    told = "'inputs' was first called on samples of shape (16, 16, 3), received (24, 20, 3)"
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "head", pictures)
    assert told in str(caught.value)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "head", str(path))
    assert told in str(caught.value)
    assert "images=ImageOptions(resize=(16, 16))" in str(caught.value) or (
        "images=(16, 16)" in str(caught.value)
    )
    images = kprobe.ImageOptions(resize=(16, 16))
    received = kprobe.activations(model, "head,flat", str(path), images=images)
    check(received["head"], model.head(received["flat"]))


@KERASES
def test_a_function_takes_any_size(k):
    model = make_net(k)
    function = kprobe.function(model, "c1")
    for size in ((16, 16), (24, 20), (9, 5), (24, 20)):
        data = PICTURES[:, : size[0], : size[1]]
        check(function(data)["c1"], model.c1(data))
    function = kprobe.function(make_classifier(k), "head")
    with pytest.raises(kprobe.KprobeError):
        function(PICTURES)


LAYERS = """
import keras
import numpy as np

@keras.saving.register_keras_serializable("sizes")
class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.c1 = keras.layers.Conv2D(4, 3, padding="same", name="c1")

    def call(self, x):
        return self.c1(x)

def make():
    model = Net()
    model(np.zeros((1, 16, 16, 3), "float32"))
    return model
"""


def test_a_file_and_code_take_any_size(tmp_path):
    (tmp_path / "sizes_net.py").write_text(LAYERS)
    made = {}
    exec(LAYERS, made)
    model = made["make"]()
    model.save(tmp_path / "net.keras")
    file = str(tmp_path / "sizes_net.py")
    received = kprobe.activations(tmp_path / "net.keras", "c1", PICTURES, custom_objects=file)
    check(received["c1"], model.c1(PICTURES))
    received = kprobe.activations(f"{file}:make", "c1,c1:in,c1:kernel,c1:bias", PICTURES)
    layer = made["keras"].layers.Conv2D(4, 3, padding="same")
    layer.build((None, None, None, 3))
    layer.set_weights([received["c1:kernel"], received["c1:bias"]])
    check(received["c1"], layer(PICTURES))
