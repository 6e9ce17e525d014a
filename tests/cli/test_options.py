"""--dtype, --batch-size, --exact, --dry-run, --json: what they do to a dump."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import click
import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.cli.options.per_input import Pixels
from kprobe.cli.options.values import Size

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"
SCANS = ("--input", "sample_models/digits.npz")


@pytest.fixture
def dump_features(kprobe_here):
    def run(*arguments):
        done = kprobe_here(
            *("dump", DIGITS, "--layers", "features", *SCANS, "-o", "a.h5", "--overwrite"),
            *arguments,
        )
        assert done.exit_code == 0, done.stderr
        with kprobe.open_dump("a.h5") as dump:
            return dump["features"][...], dump.attrs

    return run


@pytest.mark.parametrize(
    ("dtype", "stored", "error"),
    [("float16", "float16", 1e-3), ("float32", "float32", 0), ("as-is", "float32", 0)],
)
def test_dtype_is_what_floats_are_stored_as(dump_features, dtype, stored, error):
    expected, _ = dump_features()
    features, attrs = dump_features("--dtype", dtype)
    assert features.dtype == stored
    assert json.loads(attrs["options"])["dtype"] == dtype
    np.testing.assert_allclose(features, expected, rtol=error, atol=error)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_the_batch_size_does_not_move_results(dump_features, size):
    expected, _ = dump_features()
    features, attrs = dump_features("--batch-size", str(size))
    assert attrs["batch_size"] == size
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_what_is_asked_for_is_recorded(dump_features):
    _, attrs = dump_features("--exact", "--seed", "5")
    assert json.loads(attrs["options"])["exact"]
    assert attrs["seed"] == 5
    assert not attrs["frozen"]
    assert attrs["model"] == "digits_cnn.keras"
    assert re.fullmatch("[0-9a-f]{64}", attrs["model_sha256"])


DRY_RUN = ["dump", SIAMESE, "--layers", "encoder@*/conv1,score=same", "--random", "1016"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(kprobe_here, expected, folder):
    done = kprobe_here(*DRY_RUN, "--dry-run")
    assert done.exit_code == 0
    pattern = (
        r"\n[\d.]+ [kMGT]?B( free on the disk)"
        r"\n(?:under )?[\d.]+ (?:s|min)( to compute in one batch)(, .*\n)\Z"
    )
    table = re.sub(pattern, r"\n…\1\n…\2\3", done.stdout)
    assert table == expected("dry_run.txt")
    assert done.stderr == "kprobe: no --input: 1,016 random samples, seed 0\n"
    assert sorted(path.name for path in folder.iterdir()) == ["sample_models"]


def test_a_dry_run_says_how_many_samples_are_computed_at_a_time(kprobe_here):
    done = kprobe_here(*DRY_RUN[:-1], "100", "--batch-size", "8", "--streams", "2", "--dry-run")
    assert done.stdout.splitlines()[-1].endswith(
        " to compute in batches of 8, 2 at a time, from three timed"
    )


def test_weights_count_once_whatever_the_samples(kprobe_here):
    done = kprobe_here(*DRY_RUN[:2], "--layers", "same,encoder/conv1:kernel", "--dry-run")
    assert done.stdout.splitlines()[:-2] == [
        "address               dtype    shape       a sample  8 samples",
        "same                  float32  (1)              4 B       32 B",
        "encoder/conv1:kernel  float32  (3,3,1,16)       0 B      576 B",
        "in all                                          4 B      608 B",
    ]


def test_weights_alone_are_dumped_without_samples(kprobe_here):
    done = kprobe_here(*DRY_RUN[:2], "--layers", "encoder/conv1:*", "-o", "a.h5")
    assert done.exit_code == 0
    said = re.sub(r"[\d.]+ s$", "… s", done.stderr)
    assert said == (
        "kprobe: weights alone are asked for: no samples are run\n"
        "kprobe: a.h5: 2 weights, 640 B in … s\n"
    )


TOO_LARGE = (
    "kprobe: a.h5: 8,327,136 bytes are needed, and 8,000,000 are allowed; allow more with "
    "--max-bytes, or dump fewer layers "
    "or samples; the largest: encoder@0/conv1 (4,161,536 bytes), encoder@1/conv1 (4,161,536 bytes),"
    " same (4,064 bytes)"
)


def test_a_dump_larger_than_allowed_is_refused_before_it_starts(kprobe_here, folder):
    done = kprobe_here(*DRY_RUN, "--max-bytes", "8M", "-o", "a.h5")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, TOO_LARGE)
    assert sorted(path.name for path in folder.iterdir()) == ["sample_models"]
    done = kprobe_here(*DRY_RUN, "--max-bytes", "8327136", "-o", "a.h5")
    assert done.exit_code == 0


def test_a_dry_run_is_refused_what_the_run_would_be(kprobe_here):
    done = kprobe_here(*DRY_RUN, "--max-bytes", "8M", "-o", "a.h5", "--dry-run")
    assert done.stdout.startswith("address ")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, TOO_LARGE)


@pytest.mark.parametrize(
    ("text", "size"),
    [("5", 5), ("8k", 8000), ("1.5GB", 1500000000), ("2GiB", 2 << 30), ("1T", 10**12)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "5X", "iB", "5 parsecs"])
def test_what_is_no_size_is_a_usage_error(text):
    with pytest.raises(click.BadParameter, match="expected a size such as 500M"):
        Size().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "pixels"),
    [("1", 1), ("89478485", 89478485), ("1G", 10**9), ("2.5M", 2_500_000), ("1Ki", 1024)],
)
def test_pixels_are_counted_as_sizes_are(text, pixels):
    read = Pixels("number").convert(f"photo={text}", None, None)
    assert read == ("photo", pixels)


@pytest.mark.parametrize("text", ["0", "-1", "0.5", "100MB", "many", ""])
def test_what_is_no_number_of_pixels_is_a_usage_error(text):
    with pytest.raises(click.BadParameter, match="such as 1000000 or 100M, received"):
        Pixels("number").convert(text, None, None)


def test_a_profile_is_told_as_json_with_the_rest(kprobe_here, folder):
    arguments = ("dump", DIGITS, "--layers", "conv1", "--random", "99", "--batch-size", "32")
    arguments += ("--profile", "profile")
    plan = json.loads(kprobe_here(*arguments, "--dry-run", "--json").stdout)
    (cost,) = (cost for cost in plan["profile"] if cost["address"] == "conv1")
    assert 0 < cost.pop("seconds") < 10
    assert cost == {"address": "conv1", "layer_class": "Conv2D", "output_bytes": 32 * 4096}
    assert list(folder.glob("profile/plugins/profile/*/*.xplane.pb"))


@pytest.mark.parametrize("training", [(), ("--training",)])
def test_the_time_of_computing_is_estimated_well(kprobe_here, training):
    arguments = ("dump", DIGITS, "--layers", "features", "--random", "20000", *training)
    plan = json.loads(kprobe_here(*arguments, "--dry-run", "--json").stdout)
    receipt = json.loads(kprobe_here(*arguments, "-o", "a.h5", "--json").stdout)
    # Whatever else goes on here: a wrong unit or number of rows is off by far more.
    assert 0.05 < plan["compute_seconds"] / receipt["seconds"] < 5


def test_a_dry_run_to_stdout_still_prints_the_plan(kprobe_here):
    done = kprobe_here(*DRY_RUN, "--dry-run", "-o", "-")
    assert done.stdout.startswith("address ")


def test_a_dry_run_needs_no_permission_to_overwrite(kprobe_here, old_dump):
    path, content = old_dump
    assert kprobe_here(*DRY_RUN, "--dry-run", "-o", "a.h5").exit_code == 0
    assert path.read_bytes() == content


def test_a_dry_run_says_the_same_as_json(kprobe_here, folder):
    done = kprobe_here(*DRY_RUN, "--dry-run", "--json")
    plan = json.loads(done.stdout)
    free = plan.pop("free_bytes")
    assert abs(free - shutil.disk_usage(folder).free) < 1 << 30
    assert 0 < plan.pop("compute_seconds") < 100
    assert 1 <= plan.pop("streams") <= 8
    conv = {"dtype": "float32", "shape": [8, 8, 16], "bytes_per_sample": 4096, "bytes": 4161536}
    conv |= {"also": [], "layout": "dense"}
    same = {"dtype": "float32", "shape": [1], "bytes_per_sample": 4, "bytes": 4064}
    same |= {"also": [], "layout": "dense"}
    assert plan == {
        "datasets": [
            {"address": "encoder@0/conv1", "dataset": "encoder@0.conv1", **conv},
            {"address": "encoder@1/conv1", "dataset": "encoder@1.conv1", **conv},
            {"address": "same", "dataset": "score", **same},
        ],
        "samples": 1016,
        "batch_size": 1024,
        "frozen": True,
        "bytes": 2 * 4161536 + 4064,
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_the_shape_of_random_samples_is_said_or_found(kprobe_here):
    i = keras.Input((None, 4), name="steps")
    x = keras.layers.Cropping1D(100)(keras.layers.Conv1D(8, 3, padding="same", name="c")(i))
    keras.Model(i, x).save("crop.keras")
    common = ["dump", "crop.keras", "-l", "c", "--overwrite", "-o", "a.h5"]
    for shape in ("steps=3,500,4", "3,500,4"):
        done = kprobe_here(*common, "--random-shape", shape)
        assert done.exit_code == 0, done.stderr
        with kprobe.open_dump("a.h5") as dump:
            assert dump["c"].shape == (3, 500, 8)
            assert json.loads(dump.attrs["job"])["random_shape"]
    config = kprobe_here("show", "a.h5", "--as-config").stdout
    assert 'random-shape = ["3,500,4"]' in config
    Path("job.toml").write_text(config)
    done = kprobe_here("dump", "--config", "job.toml", "-o", "b.h5")
    assert done.exit_code == 0, done.stderr
    with kprobe.open_dump("a.h5") as one, kprobe.open_dump("b.h5") as other:
        np.testing.assert_array_equal(one["c"][:], other["c"][:])
    done = kprobe_here(*common, "--random-shape", "steps=3,x")
    assert done.exit_code == 2
    assert "expected sizes of 1 or more with commas, the number of samples first" in done.stderr
    done = kprobe_here(*common, "--random", "2")
    assert done.exit_code == 0, done.stderr
    assert "random samples have shape (256, 4)" in done.stderr
    done = kprobe_here(
        "bench", "-v", *common[1:4], "--random-shape", "6,300,4", "--seconds", "0.05s"
    )
    assert done.exit_code == 0, done.stderr


def test_what_was_measured_beforehand_is_said(kprobe_here):
    done = kprobe_here(
        *("dump", DIGITS, "--layers", "features", *SCANS, "--limit", "8", "-o", "a.h5"),
        *("--audit", "--precision", "bfloat16"),
    )
    with kprobe.open_dump("a.h5") as dump:
        ulps, error = dump.attrs["audit_ulps"], dump.attrs["bfloat16_error"]
    assert done.stderr.splitlines()[:2] == [
        f"kprobe: audit: the fetches change the model's outputs by at most {ulps} ULP",
        f"kprobe: bfloat16: off by {100 * error:.2f}% of a tensor's largest magnitude at most",
    ]


def test_gradients_are_stored_beside_the_layers(dump_features):
    _, attrs = dump_features("--gradients-of", "digit", "--unit", "3", "--exact")
    options = json.loads(attrs["options"])
    assert (options["gradients_of"], options["unit"]) == ("digit", "3")
    assert [*attrs["addresses"]] == ["features", "features:gradient"]
    with kprobe.open_dump("a.h5") as dump, np.load("sample_models/digits.npz") as digits:
        images, gradient = digits[digits.files[0]][:], dump["features:gradient"][:]
    model = keras.saving.load_model(DIGITS)
    features = keras.Model(model.inputs[0], model.get_layer("features").output)(images)
    head = keras.Model(model.get_layer("features").output, model.outputs[0])
    with tf.GradientTape() as tape:
        tape.watch(features)
        chosen = head(features)[:, 3]
    np.testing.assert_allclose(gradient, tape.gradient(chosen, features), rtol=1e-5, atol=1e-8)
