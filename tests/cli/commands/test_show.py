"""`kprobe show`: what a dump is, and the command that makes it again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import kprobe

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"
ROI = "sample_models/shapes_roi.keras"


def test_a_dump_is_shown(kprobe_here, expected):
    arguments = ["--layers", "features,scores=digit", "--input", "sample_models/digits.npz"]
    kprobe_here("dump", DIGITS, *arguments, "--scale", "1/2", "--limit", "20", "-o", "a.h5")
    done = kprobe_here("show", "a.h5")
    assert (done.exit_code, done.stderr) == (0, "")
    shown = re.sub(r"(?<= )[0-9a-f]{64}", "SHA-256", done.stdout)
    shown = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", shown)
    shown = re.sub(r"(versions:).*", r"\1 …", shown)
    assert shown == expected("show.txt")


def test_a_dump_is_shown_as_json(kprobe_here):
    kprobe_here("dump", DIGITS, "--layers", "features", "--random", "3", "-o", "a.h5")
    found = json.loads(kprobe_here("show", "a.h5", "--json").stdout)
    assert (found["path"], found["complete"]) == ("a.h5", True)
    assert (found["samples"], found["committed"]) == (3, 3)
    assert found["bytes"] == Path("a.h5").stat().st_size
    assert found["started"] <= found["finished"]
    (features,) = found["datasets"]
    assert (features["addresses"], features["shape"]) == (["features"], [3, 64])
    assert found["job"] == {"model": DIGITS, "layers": ["features"], "inputs": [], "random": 3}
    assert found["inputs"][0]["input"] == "scan"


def test_an_unfinished_dump_is_shown(kprobe_here):
    arguments = ("--layers", "digit", "--random", "100000", "--batch-size", "1", "-o", "a.h5")
    done = kprobe_here("dump", DIGITS, *arguments, "--stop-after", "0.2s")
    assert done.exit_code == 75
    shown = kprobe_here("show", "a.h5.partial").stdout
    assert re.search(r"samples:  100,000 samples, not complete: [\d,]+ samples committed\n", shown)
    found = json.loads(kprobe_here("show", "a.h5.partial", "--json").stdout)
    assert 0 < found["committed"] < found["samples"]
    assert found["finished"] is None
    done = kprobe_here("show", "a.h5")
    assert done.stderr == (
        "kprobe: a.h5: expected a dump, received a path where there is no file; "
        "a.h5.partial holds what was written of it\n"
    )
    assert done.exit_code == 2


def make_folders():
    """Images of two classes, one of which can't be read."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("cats/a.png", "cats/b.png", "dogs/c.png", "dogs/dü.png")):
        Path(f"pets/{name}").parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(f"pets/{name}")
        if number == 1:
            Path(f"pets/{name}").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9))


def test_the_last_line_and_show_say_the_same_and_each_sample_is_listed(kprobe_here):
    make_folders()
    arguments = ["--layers", "features,digit", "--input", "pets", "--labels-from-folders"]
    arguments += ["--on-error", "skip", "-o", "a.h5"]
    done = kprobe_here("dump", DIGITS, *arguments)
    assert done.exit_code == 3, done.stderr
    counts = "4 samples (1 left out) of 2 datasets, 1.2 kB in "
    assert f"kprobe: a.h5: {counts}" in done.stderr
    told = json.loads(kprobe_here("dump", DIGITS, *arguments, "--overwrite", "--json").stdout)
    shown = kprobe_here("show", "a.h5").stdout
    found = json.loads(kprobe_here("show", "a.h5", "--json").stdout)
    assert "samples:  4 samples (1 left out), complete\n" in shown
    assert "datasets: 2 datasets, 1.2 kB\n" in shown
    assert "labels:   2 cats, 2 dogs\n" in shown
    assert (told["samples"], told["left_out"]) == (found["samples"], found["left_out"]) == (4, 1)
    assert told["datasets"] == len(found["datasets"]) == 2
    stored = 4 * (64 + 10) * 4
    assert told["written"] == sum(dataset["bytes"] for dataset in found["datasets"]) == stored
    assert found["labels"] == {"cats": 2, "dogs": 2}
    with kprobe.open_dump("a.h5") as dump:
        names, reasons = dump.sample.tolist(), dump.reason.tolist()
    assert names[3].endswith("dü.png")
    assert (found["first_samples"], found["format_version"]) == (names[:3], 2)
    assert f"names:    {', '.join(names[:3])}, …\n" in shown
    assert re.search(r"^versions:.* format 2$", shown, re.MULTILINE)
    records = json.loads(kprobe_here("show", "a.h5", "--samples", "--json").stdout)
    labels = ["cats", "cats", "dogs", "dogs"]
    assert [[*record.values()] for record in records] == [
        [row, name, label, reason]
        for row, (name, label, reason) in enumerate(zip(names, labels, reasons, strict=True))
    ]
    assert bool(reasons[1])
    listed = kprobe_here("show", "a.h5", "--samples").stdout.splitlines()
    assert listed == ["\t".join(map(str, record.values())) for record in records]
    refused = kprobe_here("show", "a.h5", "--samples", "--as-config")
    assert (refused.exit_code, refused.stdout) == (2, "")


STREAM = """
import numpy as np

def batches():
    yield np.zeros((10, 8, 8, 1), "float32")
    yield np.zeros((10, 8, 8, 1), "float32")
    raise OSError("gone")
"""


def test_an_unfinished_dump_of_unknown_length_is_shown(kprobe_here):
    Path("given.py").write_text(STREAM)
    arguments = ("--input", "given.py:batches", "--batch-size", "10", "--on-error", "skip")
    done = kprobe_here("dump", DIGITS, "--layers", "digit", *arguments, "-o", "a.h5")
    assert done.exit_code == 2
    # The places of its rows take gigabytes to read.
    shown = kprobe_here("show", "a.h5.partial").stdout
    assert "samples:  nobody knows how many, not complete: 20 samples committed\n" in shown
    assert "names:    given.py:batches[0], given.py:batches[1], given.py:batches[2], …\n" in shown
    assert "(?,10)" in shown
    found = json.loads(kprobe_here("show", "a.h5.partial", "--json").stdout)
    assert (found["samples"], found["committed"], found["left_out"]) == (None, 20, 0)


def test_a_name_that_is_not_utf_8_is_shown_with_escapes(kprobe_here):
    name = os.fsdecode(b"x\xff.npy")
    np.save(name, np.zeros((3, 8, 8, 1), "float32"))
    kprobe_here("dump", DIGITS, "--layers", "digit", "--input", name, "-o", "a.h5")
    assert "scan: x\\udcff.npy\n" in kprobe_here("show", "a.h5").stdout
    done = kprobe_here("show", "a.h5", "--as-config")
    assert done.exit_code == 2
    assert "x\\udcff.npy\"]: isn't UTF-8, and can't be written as TOML" in done.stderr


JOBS = {
    "chosen": [DIGITS, "--layers", "relu*,type:Dense", "--input", "sample_models/digits.npz"],
    "all": [DIGITS, "--all", "--random", "5", "--seed", "3", "--training", "--dtype", "float16"],
    "several inputs": [
        *(SIAMESE, "--layers", "encoder@*/conv1,score=same", "--exact", "--limit", "9"),
        *("--input", "left=digits.npy", "--input", "right=digits.npy"),
        *("--scale", "left=1/3", "--mean", "right=0.1", "--std", "right=0.7"),
    ],
    "fed": [SIAMESE, "--layers", "same", "--feed", "add=noise:0.3", "--random", "4"],
    "ragged": [
        *(ROI, "--layers", "nms=ROI//*NonMaxSuppression*:0", "--batch-size", "1"),
        *("--input", "sample_models/shapes.npz", "--limit", "3"),
        *("--custom-objects", "sample_models/roi_layer.py"),
    ],
    "images": [
        *("make.py:make_model", "--layers", "conv", "--input", "images", "--resize", "20x12"),
        *("--fit", "crop", "--channels", "3", "--on-error", "skip", "--arg", "units=3"),
        *("--arg", "name='7'", "--random-weights", "--batch-size", "2"),
    ],
    "weights": [DIGITS, "--layers", "conv1:*"],
}


def make_images_and_code():
    Path("make.py").write_text(
        "import keras\n"
        "def make_model(units, name):\n"
        "    assert name == '7'\n"
        "    keras.utils.set_random_seed(0)\n"
        "    x = keras.Input((20, 12, 3), name='image')\n"
        "    return keras.Model(x, keras.layers.Conv2D(units, 3, name='conv')(x))\n"
    )
    Path("images").mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        pixels = generator.integers(0, 256, (30 + number, 20, 3), np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.png")
    Path("images/2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9))


@pytest.mark.parametrize("name", JOBS)
def test_a_dump_tells_how_to_make_it_again(kprobe_here, digits, name):
    np.save("digits.npy", digits[:9])
    make_images_and_code()
    assert kprobe_here("dump", *JOBS[name], "-o", "a.h5").exit_code in (0, 3)
    shown = kprobe_here("show", "a.h5", "--as-config")
    assert (shown.exit_code, shown.stderr) == (0, "")
    Path("job.toml").write_text(shown.stdout)
    done = kprobe_here("dump", "--config", "job.toml", "-o", "b.h5")
    assert done.exit_code == (3 if name == "images" else 0), done.stderr
    with kprobe.open_dump("a.h5") as one, kprobe.open_dump("b.h5") as other:
        assert list(one) == list(other)
        assert len(one)
        np.testing.assert_array_equal(one.sample, other.sample)
        for address in one:
            for row, same in zip(one[address], other[address], strict=True):
                np.testing.assert_array_equal(row, same)
        others = {k: v for k, v in other.attrs.items() if k != "job"}
        assert {k: v for k, v in one.attrs.items() if k != "job"} == others


def test_what_was_in_memory_cannot_be_named(kprobe_here, digits_cnn, digits):
    kprobe.dump(digits_cnn, "digit", output="a.h5")
    kprobe.dump(DIGITS, "digit", inputs=digits[:3], output="b.h5")
    for name, part in (("a.h5", "model"), ("b.h5", "inputs")):
        done = kprobe_here("show", name, "--as-config")
        assert done.exit_code == 2
        assert done.stderr == (
            f"kprobe: {name}: its {part} came from the memory of a Python program, which no "
            "command can name\n"
        )
        assert kprobe_here("show", name).exit_code == 0


def test_a_dump_is_shown_in_one_form(kprobe_here, old_dump):
    done = kprobe_here("show", "a.h5", "--json", "--as-config")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "kprobe: expected either --json or --as-config, received both\n"


def test_a_dump_that_does_not_say_how_it_was_made_is_shown_all_the_same(kprobe_here, old_dump):
    done = kprobe_here("show", "a.h5", "--as-config")
    assert done.exit_code == 2
    assert done.stderr == "kprobe: a.h5: doesn't say by what command it was made\n"
    assert kprobe_here("show", "a.h5").exit_code == 0


def test_a_run_goes_on_under_another_name_of_its_model(kprobe_here, folder):
    arguments = ("--layers", "digit", "--random", "3000", "-o", "a.h5")
    stopped = kprobe_here("dump", DIGITS, *arguments, "--batch-size", "1", "--stop-after", "0.1s")
    assert stopped.exit_code == 75
    done = kprobe_here("dump", str(folder / DIGITS), *arguments, "--batch-size", "1", "--resume")
    assert done.exit_code == 0, done.stderr


def damage(path):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "kprobe dump"
        file.attrs["format_version"] = 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "a path where there is no file; check the path"),
        (lambda path: path.mkdir(), "a directory\n"),
        (lambda path: path.write_text("text"), "a file that HDF5 can't open: "),
        (lambda path: h5py.File(path, "w").close(), "an HDF5 file of another tool"),
        (damage, "a damaged one: "),
    ],
)
def test_what_is_no_dump_is_one_line(kprobe_here, folder, make, said):
    make(folder / "a.h5")
    done = kprobe_here("show", "a.h5")
    assert done.exit_code == 2
    assert done.stderr.startswith("kprobe: a.h5: expected a dump, received ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_control_characters_in_names_are_shown_with_escapes(kprobe_here):
    name = "a\nb\x1b[31m\t\u2028.npy"
    shown = r"a\nb\x1b[31m\t\u2028.npy"
    np.save(name, np.zeros((2, 8, 8, 1), "float32"))
    done = kprobe_here("dump", DIGITS, "--layers", "digit", "--input", name, "-o", "a.h5")
    assert done.exit_code == 0
    listed = kprobe_here("show", "a.h5", "--samples").stdout
    assert listed.splitlines() == [f"0\t{shown}[0]", f"1\t{shown}[1]"]
    told = kprobe_here("show", "a.h5").stdout
    assert f"scan: {shown}\n" in told
    assert f"names:    {shown}[0], {shown}[1]\n" in told
    missing = kprobe_here("dump", "gone\n\x1b[2J.keras", "--layers", "digit", "-o", "b.h5")
    assert missing.stderr.count("\n") == 1
    assert r"gone\n\x1b[2J.keras" in missing.stderr
