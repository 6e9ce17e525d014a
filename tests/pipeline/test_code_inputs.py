"""A model that is given as code takes its samples from everything that a model file does."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import kprobe

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(11, 4)).astype("float32")
CODE = """
import keras

class Pooled(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool")

    def call(self, x):
        return self.pool(x)

class Doubled(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.double = keras.layers.Rescaling(2.0, name="double")

    def call(self, x):
        return self.double(x)
"""


@pytest.fixture(autouse=True)
def pixels(tmp_path, monkeypatch):
    """Images in the folders of two classes, by their paths."""
    monkeypatch.chdir(tmp_path)
    Path("given.py").write_text(CODE)
    drawn = {}
    for number, name in enumerate(("ant/a.png", "ant/b.png", "cat/c.png")):
        drawn[name] = RNG.integers(0, 256, (6 + number, 5, 3), np.uint8)
        Path(f"tree/{name}").parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(drawn[name]).save(f"tree/{name}")
    return drawn


def dump(layer, inputs, **options):
    kprobe.dump(f"given.py:{layer}", None, inputs=inputs, output="a.h5", overwrite=True, **options)
    with kprobe.open_dump("a.h5") as dump:
        return {name: dump[name][:] for name in dump.columns}


@pytest.mark.parametrize("inputs", ["tree", "tree/*/*.png", ["tree/ant/a.png", "tree/ant", "tree"]])
def test_images_are_taken_as_they_are(pixels, inputs):
    pooled = [image.mean((0, 1)) for image in pixels.values()]
    expected = [pooled[0], *pooled[:2], *pooled] if isinstance(inputs, list) else pooled
    np.testing.assert_allclose(dump("Pooled", inputs)["pool"], expected, rtol=1e-5)


def test_what_is_asked_of_images_is_done(pixels):
    Path("tree/cat/d.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    options = {"labels_from_folders": True, "on_error": "skip", "limit": 4}
    images = {"": kprobe.ImageOptions(resize=(4, 4), channels=1)}
    found = dump("Pooled", "tree", images=images, **options)
    assert found["pool"].shape == (4, 1)
    assert np.isnan(found["pool"]).ravel().tolist() == [False, False, False, True]
    with h5py.File("a.h5") as file:
        assert file["label"][:].tolist() == [0, 0, 1, 1]
    with pytest.raises(kprobe.KprobeError, match=r"cat/d\.png: the PNG image is damaged"):
        dump("Pooled", "tree")


def test_an_uneven_list_builds_a_model():
    arrays = [np.ones((5, 5, 3), "float32"), np.ones((6, 5, 3), "float32")]
    assert kprobe.load_model("given.py:Pooled", inputs=arrays).built
    np.testing.assert_allclose(dump("Pooled", arrays)["pool"], np.ones((2, 3)))


class Failing(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        if number == 2:
            raise OSError("no disk")
        return ROWS[:3], ROWS[:3, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: (ROWS[start : start + 3] for start in range(0, 11, 3)),
        lambda: lambda: iter([ROWS]),
        lambda: tf.data.Dataset.from_tensor_slices((ROWS, ROWS[:, 0])),
        lambda: tf.data.Dataset.from_tensor_slices(ROWS).batch(4),
        ROWS.tolist,
    ],
)
def test_what_python_users_have_is_taken(make):
    np.testing.assert_allclose(dump("Doubled", make())["double"], 2 * ROWS, rtol=1e-6)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Rescaling(2.0, name="double")])
    kprobe.dump(model, "double", inputs=make(), output="b.h5")
    with kprobe.open_dump("b.h5") as found:
        np.testing.assert_allclose(found["double"][:], 2 * ROWS, rtol=1e-6)


def test_batch_code_that_raises_is_the_user_s():
    with pytest.raises(kprobe.KprobeError, match=r"^Failing failed: OSError: no disk$"):
        dump("Doubled", Failing())
