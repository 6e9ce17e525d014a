"""A detector of the TF1 era on the command line: code, eager execution off, weights of its own.

Each command runs in a process of its own, and is compared with `K.function` in another one.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import kprobe

# As people wrap such code: a class that builds the model, and imports the rest only then.
BUILD = """
from tensorflow import keras


class Detector:
    def __init__(self, mode, images=1):
        assert keras.layers.Layer.__module__.startswith("tf_keras")
        import detector

        self.mode = mode
        self.keras_model = detector.make_detector(images)
"""
REFERENCE = """
import numpy as np

import detector

K = detector.keras.src.backend
model = detector.make_detector()
random = np.random.default_rng(0)
model.set_weights([w * random.uniform(0.8, 1.2, w.shape) for w in model.get_weights()])
model.save_weights("weights.h5")
inputs = detector.make_inputs(3)
np.savez("images.npz", **inputs)
layers = ["rpn_class", "ROI", *(f"fpn_p{number}" for number in range(2, 7))]
graph = model.outputs[0].graph
fetches = {name: model.get_layer(name).output for name in layers}
fetches["nms"] = graph.get_tensor_by_name("ROI/rpn_non_max_suppression/NonMaxSuppressionV3:0")
fetches["raw"] = graph.get_tensor_by_name("rpn_model_3/rpn_class_raw/BiasAdd:0")


def compute(feeds, wanted, given):
    run = K.function(feeds, [fetches[name] for name in wanted])
    rows = [run([value[i : i + 1] for value in given]) for i in range(3)]
    columns = zip(wanted, zip(*rows))
    return {
        name: np.stack(parts) if name == "nms" else np.concatenate(parts)
        for name, parts in columns
    }


results = compute(model.inputs, list(fetches), list(inputs.values()))
np.savez("expected.npz", **results)
turned = results["rpn_class"][:, ::-1]
np.save("turned.npy", turned)
feeds = [fetches["rpn_class"], *model.inputs]
np.savez("fed.npz", **compute(feeds, ["ROI"], [turned, *inputs.values()]))
"""
MODEL = ("build.py:Detector", "--keras", "2", "--arg", "mode=inference")
TRAINED = (*MODEL, "--weights", "weights.h5", "--input", "images.npz", "--batch-size", "1")
LAYERS = "rpn_class,ROI,fpn_p2,fpn_p3,fpn_p4,fpn_p5,fpn_p6,nms=ROI//*NonMaxSuppression*:0"
COMMANDS = {
    "dump": (
        *("dump", *TRAINED, "-l", f"{LAYERS},raw=rpn_model@3/rpn_class_raw", "-o", "a.h5"),
        *("--fail-on", "nan"),
    ),
    "fed": ("dump", *TRAINED, "-l", "ROI", "-o", "fed.h5", "--feed", "rpn_class=turned.npy"),
    "plan": ("dump", *TRAINED, "-l", "fpn_p2", "--dry-run", "--json"),
    "bench": ("bench", *TRAINED, "-l", "fpn_p2", "--seconds", "0.1s", "--json"),
    "find": ("find", *MODEL, ".*NonMaxSuppression.*", "--from", "ROI"),
    "ls": ("ls", *MODEL, "--json"),
    "ops": ("ls", *MODEL, "ROI//*NonMaxSuppression*", "--ops", "--json"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("detector")


@pytest.fixture(scope="module")
def done(place, warm_python_of_keras_2):
    """Run everything, two processes at a time."""
    shutil.copy(Path(__file__).parent.parent / "trace" / "detector.py", place)
    (place / "build.py").write_text(BUILD)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}

    def run(command):
        return warm_python_of_keras_2.run(*command, cwd=place, env=clean)

    reference = run(["-c", REFERENCE])
    assert reference.returncode == 0, reference.stderr[-4000:]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(run, [["-m", "kprobe", *command] for command in COMMANDS.values()])
        return dict(zip(COMMANDS, results, strict=True))


def assert_same(path, expected):
    expected = dict(np.load(expected))
    with kprobe.open_dump(path) as dump:
        assert set(dump.columns) == set(expected)
        for name, value in expected.items():
            assert dump[name].dtype == value.dtype, name
            # How far kernels differ depends on what they sum, not on what is left of it.
            scale = np.abs(value).max(initial=0)
            np.testing.assert_allclose(dump[name], value, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_layers_a_pyramid_and_a_suppression_come_out_in_one_run_and_are_looked_at(done, place):
    assert done["dump"].returncode == 0, done["dump"].stderr
    assert "kprobe: weights.h5: weights of 22 layers, by name\n" in done["dump"].stderr
    assert_same(place / "a.h5", place / "expected.npz")
    with kprobe.open_dump(place / "a.h5") as dump:
        assert dump.attrs["model"] == "build.py:Detector"
        assert dump.attrs["keras"].startswith("tf_keras 2")
        # The suppression has something to suppress.
        assert list(dump["nms"][0]) != list(range(12))


def test_an_inner_tensor_is_fed(done, place):
    assert done["fed"].returncode == 0, done["fed"].stderr
    assert_same(place / "fed.h5", place / "fed.npz")
    assert np.abs(np.load(place / "fed.npz")["ROI"] - np.load(place / "expected.npz")["ROI"]).max()


def test_plans_are_timed(done):
    assert done["plan"].returncode == 0, done["plan"].stderr
    assert json.loads(done["plan"].stdout)["compute_seconds"] > 0
    assert done["bench"].returncode == 0, done["bench"].stderr
    assert json.loads(done["bench"].stdout)["best_batch_size"] == 1


def test_find_names_the_suppression(done):
    (row,) = done["find"].stdout.splitlines()[1:]
    assert row.split()[:2] == ["3", "ROI//rpn_non_max_suppression/NonMaxSuppressionV3"]


def test_ls_lists_layers_and_operations(done):
    assert done["ls"].returncode == 0, done["ls"].stderr
    calls = {entry["address"]: entry for entry in json.loads(done["ls"].stdout)}
    assert calls["ROI"]["class"] == "ProposalLayer"
    assert calls["conv1"]["parameters"] == 3 * 3 * 3 * 8 + 8
    raw = [address for address in calls if address.endswith("/rpn_class_raw")]
    assert raw == [f"rpn_model@{number}/rpn_class_raw" for number in range(5)]
    (operation,) = json.loads(done["ops"].stdout)
    assert operation["address"] == "ROI//rpn_non_max_suppression/NonMaxSuppressionV3"
