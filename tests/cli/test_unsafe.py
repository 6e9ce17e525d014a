"""A model file that would run code of its own is refused; --unsafe opens it all the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.errors import UnsafeModelError


@pytest.fixture(scope="module", params=["h5", "keras"])
def lambda_model(request, tmp_path_factory):
    """A model with a harmless Lambda layer: an .h5 of tf_keras, a .keras of Keras 3."""
    library = {"h5": tf_keras, "keras": keras}[request.param]
    path = tmp_path_factory.mktemp("lambda") / f"lambda.{request.param}"
    x = library.Input((4,), name="x")
    library.Model(x, library.layers.Lambda(lambda t: t * 2, name="double")(x)).save(path)
    return path


def test_a_lambda_is_refused(lambda_model, kprobe_light, folder):
    done = kprobe_light("dump", str(lambda_model), "--layers", "double")
    assert done.stderr == (
        f"kprobe: {lambda_model}: layer 'double' has a Lambda, which runs Python code; "
        "`--allow lambda` opens it all the same, and so does `--unsafe`: only for files you "
        "trust\n"
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert not list(folder.glob("*.h5*"))


def test_python_refuses_it_too(lambda_model):
    with pytest.raises(UnsafeModelError):
        kprobe.dump(lambda_model, "double", output="a.h5")
    with pytest.raises(UnsafeModelError):
        kprobe.load_model(lambda_model)


@pytest.mark.parametrize("opening", [["--unsafe"], ["--allow", "torch,lambda"]])
def test_what_is_allowed_or_trusted_is_opened(opening, lambda_model, kprobe_here):
    np.save("x.npy", np.arange(8, dtype="float32").reshape(2, 4))
    done = kprobe_here(
        "dump",
        str(lambda_model),
        "--layers",
        "double",
        *opening,
        "--input",
        "x.npy",
        "-o",
        "a.h5",
    )
    assert done.exit_code == 0, done.stderr
    lines = [
        f"kprobe: {lambda_model}: layer 'double' has a Lambda, which runs Python code\n",
        f"kprobe: {lambda_model}: layer 'double' holds bytecode: names nothing\n",
    ]
    for line in lines:
        assert line in done.stderr
    with kprobe.open_dump("a.h5") as dump:
        np.testing.assert_array_equal(dump["double"], 2 * np.load("x.npy"))


def test_nothing_else_is_allowed_along(lambda_model, kprobe_here, folder):
    for allowed in ("torch", "files,savedmodel,operations"):
        done = kprobe_here("dump", str(lambda_model), "--layers", "double", "--allow", allowed)
        assert done.exit_code == 4
        assert (
            "layer 'double' has a Lambda, which runs Python code; `--allow lambda`" in done.stderr
        )
    assert not list(folder.glob("*.h5*"))


def test_custom_objects_make_a_model_of_ones_own_safe(custom_model, kprobe_here, digits, folder):
    (folder / "mine.py").write_text("import keras\n\nclass Mine(keras.layers.ReLU):\n    pass\n")
    done = kprobe_here(
        "dump",
        *(custom_model.name, "--layers", "relu1", "--custom-objects", "mine.py"),
        *("--input", "sample_models/digits.npz", "--limit", "4", "-o", "mine.h5"),
    )
    assert done.exit_code == 0, done.stderr
    kprobe.dump("sample_models/digits_cnn.keras", "relu1", inputs=digits[:4], output="keras.h5")
    with kprobe.open_dump("mine.h5") as mine, kprobe.open_dump("keras.h5") as its_own:
        np.testing.assert_array_equal(mine["relu1"], its_own["relu1"])
