"""Files of old Kerases open, and their layers give what the old Keras computed."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.file import read_model_file
from kprobe.models.listing import list_layers

OLD = Path(__file__).parent / "old"
NAMES = sorted(path.stem for path in OLD.glob("*.npz"))
LAMBDA = """
import tf_keras

class Lambda(tf_keras.layers.Layer):
    def __init__(self, name, **_):
        super().__init__(name=name)

    def call(self, x):
        return x * 2 + 1
"""
# Recurrent models take seconds each to load and trace.
SLOW = {"keras-2.3.1-rnn", "tf-1.13.2-rnn", "tf-2.1.4-rnn"}
UNSAFE = [name for name in NAMES if name.endswith("lambdas")]


def read_reference(name):
    """Read what `reference.py` wrote: the inputs, and every call's output by address."""
    with np.load(OLD / f"{name}.npz") as arrays:
        found = {key: arrays[key] for key in arrays.files}
    return [
        {key[len(kind) :]: value for key, value in found.items() if key.startswith(kind)}
        for kind in ("in ", "out ")
    ]


def compute(name, addresses, **options):
    inputs, _ = read_reference(name)
    function = kprobe.function(kprobe.load_model(OLD / f"{name}.h5", **options), addresses)
    if len(inputs) == 1:  # Sequentials don't say their input's name
        return function(*inputs.values())
    return function({feed: inputs[feed] for feed in function.feeds})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in sorted(set(NAMES) - set(UNSAFE))
    ],
)
def test_every_layer_gives_what_the_old_keras_computed(name):
    _, outputs = read_reference(name)
    made = compute(name, list(outputs))
    if name == "tf-2.1.4-rnn":
        # There the LSTM of TensorFlow 2.0 and 2.1 didn't give zeros, and that of 1.13 did, whose
        # files say the same version of Keras; the first sample's last two words are masked.
        for arrays in (made, outputs):
            arrays.update({key: array[1:] for key, array in arrays.items()})
    for address, expected in outputs.items():
        np.testing.assert_allclose(made[address], expected, 1e-4, 1e-5, err_msg=address)


@pytest.mark.parametrize("name", NAMES)
def test_the_listing_has_every_call(name):
    _, outputs = read_reference(name)
    entries = list_layers(read_model_file(OLD / f"{name}.h5"))
    told = {entry.address: entry for entry in entries}
    assert set(told) >= {address.partition("[")[0] for address in outputs}
    for address, expected in outputs.items():
        shape = told[address].output_shape if address in told else None
        if shape is not None:
            assert all(a in (None, b) for a, b in zip(shape, expected.shape, strict=True)), address
    assert any(entry.output_shape is not None and not entry.is_input for entry in entries) or (
        "lambdas" in name
    )
    assert all(entry.parameters is not None for entry in entries if entry.depth == 0)


def test_the_listing_needs_no_tensorflow():
    code = (
        "import sys; from kprobe.models.file import read_model_file as read; "
        "from kprobe.models.listing import list_layers; "
        "[list_layers(read(path)) for path in sys.argv[1:]]; "
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    files = [str(OLD / f"{name}.h5") for name in NAMES]
    assert subprocess.run([sys.executable, "-c", code, *files], check=False).returncode == 0


@pytest.mark.parametrize("name", ["keras-1.2.2-nested", "keras-2.0.9-cnn", "tf-2.4.4-ops"])
def test_an_old_file_is_dumped(name, tmp_path):
    path = tmp_path / "acts.h5"
    kprobe.dump(OLD / f"{name}.h5", "**", output=path, random=2)
    with kprobe.open_dump(path) as dump:
        assert len(dump.sample) == 2


@pytest.mark.parametrize("name", UNSAFE)
def test_bytecode_is_refused(name):
    with pytest.raises(UnsafeModelError, match=r"'twice' .*Lambda"):
        kprobe.load_model(OLD / f"{name}.h5")


def test_bytecode_of_another_python_is_said_to_be_that():
    with pytest.raises(ModelError, match="bytecode of another version of Python"):
        kprobe.load_model(OLD / "keras-2.2.4-lambdas.h5", unsafe=True)


@pytest.mark.parametrize("name", UNSAFE)
def test_a_function_takes_the_place_of_bytecode(name, tmp_path):
    # Bytecode is of one version of Python; a class of the same name is found first.
    source = tmp_path / f"own_{name[:3]}.py"
    source.write_text(LAMBDA)
    _, outputs = read_reference(name)
    made = compute(name, list(outputs), custom_objects=[str(source)], unsafe=True)
    for address, expected in outputs.items():
        np.testing.assert_allclose(made[address], expected, 1e-4, 1e-5)


def test_a_file_without_its_version_is_read_as_keras_2(tmp_path):
    path = tmp_path / "unknown.h5"
    shutil.copy(OLD / "keras-2.2.4-cnn.h5", path)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
    inputs, outputs = read_reference("keras-2.2.4-cnn")
    made = kprobe.function(kprobe.load_model(path), "digit")(*inputs.values())
    np.testing.assert_allclose(made["digit"], outputs["digit"], 1e-4, 1e-5)


def test_weights_alone_are_no_model():
    with pytest.raises(ModelError, match="holds weights only"):
        kprobe.load_model(OLD / "keras-2.2.4-weights.h5")


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ({"class_name": "Merge", "config": {"name": "m", "mode": "cos"}}, "Merge with mode='cos'"),
        (
            {"class_name": "BatchNormalization", "config": {"name": "m", "mode": 2}},
            "BatchNormalization with mode=2",
        ),
    ],
)
def test_what_keras_2_lacks_is_refused(write_h5, layer, what):
    path = write_h5({"class_name": "Sequential", "config": [layer]}, version="1.2.2")
    with pytest.raises(ModelError) as caught:
        kprobe.load_model(path)
    assert what in caught.value.faults[0]
    assert "Keras 1" in caught.value.faults[0]
