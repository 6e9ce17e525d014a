"""--input and what is done to the samples before the model sees them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from probing import count_anew

import kprobe

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"


@pytest.fixture
def dump_columns(kprobe_here):
    """Dump some layers, and give the sample names, the arrays by address and stderr."""

    def run(model, layers, *arguments, stdin=""):
        done = kprobe_here(
            *("dump", model, "--layers", layers, "-o", "a.h5", "--overwrite", *arguments),
            stdin=stdin,
        )
        assert done.exit_code == 0, done.stderr
        with kprobe.open_dump("a.h5") as dump:
            arrays = {address: dump[address][...] for address in dump}
            return dump.sample.tolist(), arrays, done.stderr, dump.attrs

    return run


@pytest.fixture
def features(dump_columns):
    """The reference: what all the ways to give the same samples must give."""
    return dump_columns(DIGITS, "features", "--input", "sample_models/digits.npz", "--limit", "9")[
        1
    ]["features"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("sc*.npy", "scans.npy[{}]"),
        ("scans.py:batches", "scans.py:batches[{}]"),
        ("scans.npy", "scans.npy[{}]"),
        ("scans.npz", "scans.npz:scan[{}]"),
        ("lone.npz", "lone.npz:anything[{}]"),
        ("scans.h5:/group/scans", "scans.h5:group/scans[{}]"),
        ("scan=scans.npy", "scans.npy[{}]"),
        ("-", "stdin[{}]"),
    ],
)
def test_every_kind_of_source_gives_the_same(source, names, dump_columns, digits, features, npy):
    scans = digits[:9]
    np.save("scans.npy", scans)
    Path("scans.py").write_text(
        "import numpy as np\ndef batches():\n    yield from [np.load('scans.npy')] * 2"
    )
    np.savez("scans.npz", scan=scans, other=np.zeros(3))
    np.savez_compressed("lone.npz", anything=scans)
    with h5py.File("scans.h5", "w") as file:
        file["group/scans"] = scans
    stdin = npy(scans) if source == "-" else ""
    sample, arrays, stderr, attrs = dump_columns(
        DIGITS, "features", "-i", source, "--limit", "9", stdin=stdin
    )
    np.testing.assert_array_equal(arrays["features"], features)
    assert sample == [names.format(row) for row in range(9)]
    assert "random" not in stderr
    assert not attrs["random"]


def test_a_dataset_of_a_dump_feeds_another_dump(dump_columns, features):
    kprobe.dump(DIGITS, "scan", inputs="sample_models/digits.npz", limit=9, output="scans.h5")
    arrays = dump_columns(DIGITS, "features", "--input", "scans.h5:/scan")[1]
    np.testing.assert_array_equal(arrays["features"], features)


def test_each_of_several_inputs_has_its_source(dump_columns, digits):
    np.save("left.npy", digits[:5])
    np.savez("both.npz", left=digits[:5], right=digits[5:10])
    layers = "left,right,same"
    by_name = dump_columns(SIAMESE, layers, "-i", "right=both.npz:right", "-i", "left=left.npy")[1]
    at_once = dump_columns(SIAMESE, layers, "-i", "both.npz")[1]
    np.testing.assert_array_equal(by_name["left"], digits[:5])
    np.testing.assert_array_equal(by_name["right"], digits[5:10])
    np.testing.assert_array_equal(by_name["same"], at_once["same"])


def test_without_input_random_samples_are_made_and_declared(dump_columns):
    sample, _, stderr, attrs = dump_columns(DIGITS, "digit")
    assert stderr.startswith("kprobe: no --input: 8 random samples, seed 0\n")
    assert sample == [f"random[{row}]" for row in range(8)]
    assert (attrs["random"], attrs["seed"]) == (True, 0)
    (source,) = json.loads(attrs["inputs"])
    assert source == {
        "input": "scan",
        "source": "random",
        "seed": 0,
        "values": "uniform from 0 to 1",
        "rows": 8,
        "shape": [8, 8, 1],
        "dtype": "float32",
    }


def test_random_samples_are_the_same_for_the_same_seed(dump_columns):
    first, again, other = (
        dump_columns(SIAMESE, "left,right", "--random", "3", "--seed", seed)[1]
        for seed in ("7", "7", "8")
    )
    for name in ("left", "right"):
        assert first[name].shape == (3, 8, 8, 1)
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    assert not np.array_equal(first["left"], first["right"])


def test_limit_takes_the_first_samples(dump_columns, digits):
    sample, arrays, stderr, _ = dump_columns(
        DIGITS, "scan", "-i", "sample_models/digits.npz", "--limit", "1"
    )
    assert sample == ["digits.npz:scan[0]"]
    np.testing.assert_array_equal(arrays["scan"], digits[:1])
    assert "a.h5: 1 sample of 1 dataset, " in stderr


def test_bytes_with_a_scale_equal_floats(dump_columns):
    scans = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1), "uint8")
    np.save("bytes.npy", scans)
    np.save("floats.npy", scans.astype("float32") / np.float32(255))
    given = dump_columns(DIGITS, "digit", "-i", "bytes.npy", "--scale", "1/255")
    expected = dump_columns(DIGITS, "digit", "-i", "floats.npy")[1]["digit"]
    np.testing.assert_allclose(given[1]["digit"], expected, rtol=0, atol=1e-6)
    assert json.loads(given[3]["options"])["preprocessing"] == {"": {"scale": 1 / 255}}
    assert json.loads(given[3]["inputs"])[0]["dtype"] == "uint8"


def test_mean_and_deviation_are_those_of_numpy(dump_columns):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
    np.save("images.npy", images)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    prepared = (images.astype("float32") / 255 - np.float32(mean)) / np.float32(std)
    np.save("prepared.npy", prepared.astype("float32"))
    model = "sample_models/shapes_rpn.h5"
    given = dump_columns(
        *(model, "conv5_3", "-i", "images.npy", "--scale", "1/255"),
        *("--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std))),
    )
    expected = dump_columns(model, "conv5_3", "-i", "prepared.npy")[1]["conv5_3"]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(given[1]["conv5_3"], expected, rtol=0, atol=1e-5 * scale)


def test_each_input_can_be_prepared_in_its_own_way(dump_columns, digits):
    np.savez("pairs.npz", left=digits[:4] * 2, right=digits[4:8])
    np.savez("plain.npz", left=digits[:4], right=digits[4:8])
    given = dump_columns(SIAMESE, "same", "-i", "pairs.npz", "--scale", "left=1/2")[1]
    expected = dump_columns(SIAMESE, "same", "-i", "plain.npz")[1]
    np.testing.assert_array_equal(given["same"], expected["same"])


def test_preprocessing_for_one_of_several_inputs_must_say_which(kprobe_here):
    done = kprobe_here("dump", SIAMESE, "--layers", "same", "--scale", "2")
    assert done.exit_code == 2
    assert done.stderr == (
        "kprobe: preprocessing is for one input, and the model has 2; "
        "say which, for example --scale left=0.5\n"
    )


def test_a_family_prepares_as_its_library_does(dump_columns):
    import tf_keras

    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
    np.save("images.npy", images)
    np.save("prepared.npy", tf_keras.applications.vgg16.preprocess_input(images.astype("float32")))
    model = "sample_models/shapes_rpn.h5"
    given = dump_columns(model, "conv5_3", "-i", "images.npy", "--preprocess", "VGG16")[1]
    expected = dump_columns(model, "conv5_3", "-i", "prepared.npy")[1]["conv5_3"]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(given["conv5_3"], expected, rtol=0, atol=1e-5 * scale)


def test_running_samples_one_by_one_is_said_with_the_reason(kprobe_here):
    import keras

    count_anew(keras)
    i = keras.Input((3,), name="x")
    outputs = [keras.layers.ReLU(name="relu")(i), keras.ops.max(i), keras.ops.nonzero(i)[1]]
    keras.Model(i, outputs).save("model.keras")
    np.save("x.npy", np.array([[0, 1, 2], [3, 0, 0]], "float32"))
    command = ["model.keras", "--input", "x.npy", "--layers", "relu,max,nonzero[1]"]
    done = kprobe_here("dump", *command, "-o", "a.h5")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[:2] == [
        "kprobe: samples are run one by one: max has shape () for one sample and () for two: "
        "not a row for each sample",
        "kprobe: samples are run one by one: nonzero[1] has shape (2,) for one sample and "
        "(1,) for another",
    ]
    with kprobe.open_dump("a.h5") as dump:
        assert dump["max"][:].tolist() == [2, 3]
        assert [row.tolist() for row in dump["nonzero[1]"]] == [[1, 2], [0]]
    done = kprobe_here("dump", *command, "--dry-run", "--json")
    *_, ragged = json.loads(done.stdout)["datasets"]
    assert (ragged["layout"], ragged["shape"], ragged["bytes_per_sample"]) == (
        "ragged",
        [None],
        None,
    )
    assert "(?)" in kprobe_here("dump", *command, "--dry-run").stdout
    done = kprobe_here("dump", *command, "--ragged", "relu,@names", "-o", "b.h5")
    assert (done.exit_code, "names" in done.stderr) == (2, True)
