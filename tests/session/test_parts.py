"""Complete models inside a model, which its own call doesn't run, have addresses and inputs."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tf_keras
from click.testing import CliRunner

import kprobe
from kprobe.cli.main import cli

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
NOISE, REAL, ROWS = (RNG.normal(size=(5, n)).astype("float32") for n in (4, 8, 12))


def make_generator(k):
    layers = [k.layers.Input((4,)), k.layers.Dense(8, name="img")]
    return k.Sequential(layers, name="generator")


def make_discriminator(k):
    layers = [k.layers.Dense(5, "relu", name="feat"), k.layers.Dense(1, name="score")]
    return k.Sequential([k.layers.Input((8,)), *layers], name="discriminator")


@functools.cache
def make_gan(k):
    """A model whose call runs one of two parts."""

    class GAN(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.generator, self.discriminator = make_generator(k), make_discriminator(k)

        def call(self, z):
            return self.generator(z)

    model = GAN()
    model(NOISE)
    return model


@functools.cache
def make_vae(k):
    """A model that has no call, with an encoder of two outputs and a decoder."""

    class VAE(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            i = k.Input((12,), name="pixels")
            x = k.layers.Dense(7, "relu", name="hidden")(i)
            outputs = [k.layers.Dense(2, name=n)(x) for n in ("z_mean", "z_log_var")]
            self.encoder = k.Model(i, outputs, name="encoder")
            z = k.Input((2,))
            self.decoder = k.Model(z, k.layers.Dense(12, name="drawn")(z), name="decoder")

    return VAE()


@functools.cache
def make_teacher(k):
    """A model in a layer that isn't called, with two inputs; and one that can't be run."""

    class Holder(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            left, right = k.Input((4,), name="left"), k.Input((4,), name="right")
            added = k.layers.Subtract(name="minus")([left, right])
            self.teacher = k.Model([left, right], added, name="teacher")

    class Student(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.head = k.layers.Dense(3, name="head")
            self.holder = Holder(name="holder")

        def call(self, x):
            return self.head(x)

    model = Student()
    model(NOISE)
    return model


def check(received, expected):
    np.testing.assert_allclose(received, np.asarray(expected), rtol=1e-5, atol=1e-6)


@KERASES
def test_a_part_that_is_not_run_has_samples_of_its_own(k):
    model = make_gan(k)
    feat = model.discriminator.get_layer("feat")
    for inputs in (REAL, {"discriminator": REAL}):
        received = kprobe.activations(
            model, "discriminator/feat,discriminator,score", inputs, exact=True
        )
        check(received["discriminator/feat"], feat(REAL))
        check(received["discriminator"], model.discriminator(REAL))
        check(received["discriminator/score"], model.discriminator(REAL))
    check(kprobe.activations(model, "generator/img", NOISE)["generator/img"], model(NOISE))
    both = kprobe.activations(model, "img,feat", {"inputs": NOISE, "discriminator": REAL})
    check(both["generator/img"], model(NOISE))
    check(both["discriminator/feat"], feat(REAL))


@KERASES
def test_a_model_without_a_call_has_parts(k):
    model = make_vae(k)
    mean, _ = model.encoder(ROWS)
    check(kprobe.activations(model, "encoder/z_mean", ROWS)["encoder/z_mean"], mean)
    received = kprobe.activations(
        model, "decoder,z_log_var", {"decoder": np.asarray(mean), "encoder": ROWS}
    )
    check(received["decoder"], model.decoder(mean))
    check(received["encoder/z_log_var"], model.encoder(ROWS)[1])
    every = kprobe.activations(model, None, random=2)
    assert set(every) == {
        "encoder[0]",
        "encoder[1]",
        "encoder/hidden",
        "encoder/z_mean",
        "encoder/z_log_var",
        "decoder",
        "decoder/drawn",
    }
    computed = kprobe.function(model, "decoder/drawn")(np.asarray(mean))
    check(computed["decoder/drawn"], model.decoder(mean))


@KERASES
@pytest.mark.filterwarnings("ignore:`build..` was called on layer 'student'")
def test_a_part_of_several_inputs_names_them_behind_its_address(k):
    model = make_teacher(k)
    given = {"teacher/left": NOISE, "teacher/right": NOISE * 3}
    check(kprobe.activations(model, "teacher/minus", given)["teacher/minus"], NOISE * -2)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "minus", {"teacher/left": NOISE})
    assert "received none for teacher/right (None, 4) float32" in str(caught.value)


@KERASES
def test_what_is_left_out_for_want_of_samples_is_said(k, tmp_path):
    model = make_gan(k)
    kprobe.dump(model, None, inputs=NOISE, output=tmp_path / "own.h5")
    with kprobe.open_dump(tmp_path / "own.h5") as dump:
        check(dump["generator"][:], model(NOISE))
        assert "discriminator" not in dump
    received = kprobe.activations(model, "**", {"discriminator": REAL})
    computed = {address for address in received if not address.startswith("discriminator/")}
    assert computed == {"discriminator"}
    received = kprobe.activations(model, None, {"inputs": NOISE, "discriminator": REAL})
    assert {"generator", "discriminator"} <= set(received)


LAYERS = """
import keras
from keras import layers as L

class GAN(keras.Model):
    def __init__(self, **kw):
        super().__init__(**kw)
        layers = [keras.Input((4,)), L.Dense(8, name="img")]
        self.generator = keras.Sequential(layers, name="generator")
        self.discriminator = keras.Sequential(
            [keras.Input((8,)), L.Dense(5, "relu", name="feat"), L.Dense(1, name="score")],
            name="discriminator",
        )
    def call(self, z):
        return self.generator(z)

class VAE(keras.Model):
    def __init__(self, **kw):
        super().__init__(**kw)
        i = keras.Input((12,))
        x = L.Dense(7, name="hidden")(i)
        self.encoder = keras.Model(i, L.Dense(2, name="z_mean")(x), name="encoder")
"""


def test_a_file_has_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gan_layers.py").write_text(LAYERS)
    made = {}
    exec(LAYERS, made)
    gan, vae = made["GAN"](), made["VAE"]()
    gan(NOISE)
    gan.save("gan.keras")
    vae.built = True
    vae.save("vae.keras")
    np.save("real.npy", REAL)
    np.save("x.npy", ROWS)
    common = ["dump", "-v", "--custom-objects", "gan_layers.py", "--overwrite", "-o", "a.h5"]
    for model, layer, source, expected in (
        ("gan.keras", "discriminator/feat", "real.npy", gan.discriminator.get_layer("feat")(REAL)),
        ("vae.keras", "encoder/z_mean", "x.npy", vae.encoder(ROWS)),
        ("vae.keras", "encoder/z_mean", "encoder=x.npy", vae.encoder(ROWS)),
    ):
        done = CliRunner().invoke(cli, [*common, model, "-l", layer, "-i", source])
        assert done.exit_code == 0, done.output
        with kprobe.open_dump("a.h5") as dump:
            check(dump[layer][:], expected)
    done = CliRunner().invoke(cli, [*common, "gan.keras", "--all", "-i", "inputs=real.npy"])
    assert done.exit_code == 2
    np.save("z.npy", NOISE)
    done = CliRunner().invoke(cli, [*common, "gan.keras", "--all", "-i", "z.npy"])
    assert done.exit_code == 0, done.output
    assert "discriminator isn't run by the model's own call, and no samples are given for it" in (
        done.output
    )
