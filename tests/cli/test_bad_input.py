"""What bad input gets: one clear line, exit code 2, and no file that looks finished."""

from __future__ import annotations

import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.errors import KprobeError

DIGITS = "sample_models/digits_cnn.keras"
SIAMESE = "sample_models/siamese.keras"


@pytest.fixture(autouse=True)
def files(folder):
    Path("text.h5").write_text("not a model")
    with h5py.File("digits.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros(3)
    np.save("flat.npy", np.zeros((4, 8, 8), "float32"))
    np.save("complex.npy", np.zeros((4, 8, 8, 1), "complex64"))
    np.save("good.npy", np.zeros((4, 8, 8, 1), "float32"))
    np.save("more.npy", np.zeros((5, 8, 8, 1), "float32"))
    np.save("empty.npy", np.zeros((0, 8, 8, 1), "float32"))
    np.save("objects.npy", np.array([{}], object))
    np.savez("objects.npz", scan=np.array([{}], object))


PICKLED = (
    "expected an array of plain values, received pickled objects, which are never loaded; "
    "save it with a plain dtype, e.g. np.save(file, np.stack(list_of_arrays))"
)
CASES = {
    "a missing file": (
        ["nothing.keras", "--layers", "digit"],
        "nothing.keras: no such file; check the model's path",
    ),
    "a file that isn't a model": (
        ["text.h5", "--layers", "digit"],
        "text.h5: expected HDF5, as .h5 says, received something else; give the file that "
        "`model.save(...)` wrote, .keras or .h5, with its ending",
    ),
    "a weights-only file": (
        ["digits.weights.h5", "--layers", "digit"],
        "digits.weights.h5 holds weights only: it doesn't say what the model is; build the "
        "model, load these weights, then `model.save('model.keras')`",
    ),
    "a name that doesn't exist": (
        [DIGITS, "--layers", "fetures"],
        "no layer 'fetures'; nearest: features",
    ),
    "a name that fits several places": (
        [SIAMESE, "--layers", "conv1"],
        "'conv1' fits 2 calls: encoder@0/conv1, encoder@1/conv1; name one of them, or all with "
        "encoder@*/conv1",
    ),
    "a shared layer without @": (
        [SIAMESE, "--layers", "encoder"],
        "'encoder' fits 2 calls: encoder@0, encoder@1; name one of them, or all with encoder@*",
    ),
    "an input of the wrong shape": (
        [DIGITS, "--layers", "digit", "--input", "flat.npy"],
        "input 'scan' expects shape (None, 8, 8, 1), received (4, 8, 8) from flat.npy; flat.npy "
        "lacks the last axis: give array[..., None]",
    ),
    "an input of the wrong dtype": (
        [DIGITS, "--layers", "digit", "--input", "complex.npy"],
        "input 'scan' expects float32, received complex64 from complex.npy",
    ),
    "an input of the wrong name": (
        [DIGITS, "--layers", "digit", "--input", "scans=good.npy"],
        "scans=good.npy: no input 'scans'; the model's inputs: scan (None, 8, 8, 1) float32; "
        "did you mean scan=...?",
    ),
    "too few inputs": (
        [SIAMESE, "--layers", "same", "--input", "left=good.npy"],
        "expected a source for every input that these layers need, received none for "
        "right (None, 8, 8, 1) float32; "
        "add --input right=FILE",
    ),
    "inputs of different lengths": (
        [SIAMESE, "--layers", "same", "--input", "left=good.npy", "--input", "right=more.npy"],
        "expected as many rows for every input, received 4 from good.npy, 5 from more.npy",
    ),
    "an empty input": (
        [DIGITS, "--layers", "digit", "--input", "empty.npy"],
        "input 'scan' expects samples, received none: empty.npy has 0 rows",
    ),
    "a .npy with pickled objects": (
        [DIGITS, "--layers", "digit", "--input", "objects.npy"],
        f"objects.npy: {PICKLED}",
    ),
    "a .npz with pickled objects": (
        [DIGITS, "--layers", "digit", "--input", "objects.npz"],
        f"objects.npz:scan: {PICKLED}",
    ),
    "an output without a directory": (
        [DIGITS, "--layers", "digit", "-o", "nowhere/a.h5"],
        "nowhere/a.h5: there is no directory nowhere; make it first",
    ),
    "an output that is a directory": (
        [DIGITS, "--layers", "digit", "-o", "sample_models"],
        "sample_models: expected the name of a file, received a directory; name a file in it",
    ),
    "a missing list of layers": (
        [DIGITS, "--layers", "@layers.txt"],
        "--layers @layers.txt can't be read: No such file or directory",
    ),
    "no layers": (
        [DIGITS, "--layers", ""],
        "no layers are asked for; name some with --layers, or --all",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_gets_one_line_and_no_output(case, kprobe_warm, folder):
    arguments, line = CASES[case]
    before = sorted(folder.iterdir())
    done = kprobe_warm("dump", *arguments)
    assert done.stderr == f"kprobe: {line}\n"
    assert (done.returncode, done.stdout) == (2, "")
    assert sorted(folder.iterdir()) == before


def test_a_custom_layer_that_is_not_registered_is_named(kprobe_warm, custom_model, folder):
    before = sorted(folder.iterdir())
    done = kprobe_warm("dump", custom_model.name, "--layers", "digit")
    assert done.stderr == (
        "kprobe: custom.keras: layer 'relu1' is of class Mine (module mine), which is not Keras's "
        "own; give it with `--custom-objects FILE.py`\n"
    )
    assert done.returncode == 4
    assert sorted(folder.iterdir()) == before


def test_several_mistakes_are_told_at_once(kprobe_warm):
    done = kprobe_warm(
        "dump", DIGITS, "--layers", "fetures,at:99", "--input", "flat.npy", "-o", "nowhere/a.h5"
    )
    assert done.returncode == 2
    assert done.stderr == (
        "kprobe: nowhere/a.h5: there is no directory nowhere; make it first\n"
        "kprobe: no layer 'fetures'; nearest: features\n"
        "kprobe: 'at:99' matches no layer; `kprobe ls MODEL` lists the layers\n"
        "kprobe: input 'scan' expects shape (None, 8, 8, 1), received (4, 8, 8) from flat.npy; "
        "flat.npy lacks the last axis: give array[..., None]\n"
    )


@pytest.mark.parametrize("form", ["neither", "both"])
def test_layers_or_all_is_wanted_not_both(form, kprobe_warm):
    given = {"neither": [], "both": ["--layers", "digit", "--all"]}[form]
    done = kprobe_warm("dump", DIGITS, *given)
    assert done.returncode == 2
    assert done.stderr == f"kprobe: expected either --layers or --all, received {form}\n"


# --- found when the run begins ----------------------------------------------------------------


def refuse(**options) -> KprobeError:
    with pytest.raises(KprobeError) as caught:
        kprobe.dump(DIGITS, "digit", inputs="good.npy", **{"output": "a.h5", **options})
    assert caught.value.exit_code == 2
    assert len(caught.value.lines) == 1
    return caught.value


def test_an_unwritable_output_is_refused(folder, monkeypatch):
    # root may write everywhere but where nothing can be written.
    place = Path("/proc")
    if subprocess.run(["id", "-u"], capture_output=True, check=True).stdout != b"0\n":
        place = folder / "locked"
        place.mkdir(mode=0o500)
    error = refuse(output=place / "a.h5")
    assert error.faults[0].startswith(f"{place / 'a.h5.partial'}: can't be written: ")
    assert not (place / "a.h5").exists()


@pytest.fixture
def tiny_disk(folder):
    place = folder / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_refused_before_anything_is_computed(tiny_disk):
    with pytest.raises(KprobeError) as caught:
        kprobe.dump(DIGITS, "relu1", random=1000, output=tiny_disk / "a.h5")
    assert caught.value.exit_code == 2
    (line,) = caught.value.lines
    assert line.startswith(f"{tiny_disk / 'a.h5'}: 4,")
    assert line.endswith(
        " bytes are needed, and 65,536 bytes are free; free some space, write to another disk, "
        "or dump fewer layers or samples; the largest: relu1 (4,096,000 bytes)"
    )
    assert not list(tiny_disk.iterdir())


def test_a_device_that_is_not_there_is_refused_with_what_there_is():
    assert (
        refuse(device="gpu:7").faults[0].startswith("there is no device 'gpu:7' here; there is cpu")
    )


def test_an_unknown_model_family_is_refused_with_what_there_is(kprobe_here):
    done = kprobe_here("dump", DIGITS, "--layers", "digit", "--preprocess", "resnet51")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "kprobe: no model family 'resnet51' in keras.applications; it has convnext, densenet, "
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("--scale", "a/b", "expected a number or a fraction such as 1/255, received 'a/b'"),
        ("--scale", "1/0", "expected a number or a fraction such as 1/255, received '1/0'"),
        ("--mean", "1,x", "expected a number, or one for each channel with commas, received '1,x'"),
    ],
)
def test_a_number_that_is_none_is_refused(option, value, fault, kprobe_warm):
    done = kprobe_warm("dump", DIGITS, "--layers", "digit", option, value)
    assert done.returncode == 2
    assert done.stderr == f"kprobe: {option}: {fault}\n"
