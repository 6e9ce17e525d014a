"""`kprobe diff`: two sides as people compare them, and what they are told."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import kprobe

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
DIGITS = "sample_models/digits_cnn.keras"
SAMPLES = ("--input", "sample_models/digits.npz", "--limit", "20")
KEYS = {
    "same", "first", "born", "verdict", "unmatched_a", "unmatched_b", "tensors",
}  # fmt: skip
OF_TENSORS = {
    "a", "b", "matched_by", "max_abs", "relative", "snr_db", "tolerance", "local_relative",
}  # fmt: skip


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, samples):
    """A copy of digits_cnn.keras with one weight of conv2 changed by 1e-3 of its largest."""
    path = tmp_path_factory.mktemp("faulty") / "faulty.keras"
    model = kprobe.load_model(samples / "digits_cnn.keras")
    layer = model.get_layer("conv2")
    kernel, *rest = layer.get_weights()
    kernel[0, 0, 0, 0] += 1e-3 * np.abs(kernel).max()
    layer.set_weights([kernel, *rest])
    model.save(path)
    return str(path)


def test_a_fault_is_found_where_it_is_born(kprobe_here, faulty):
    done = kprobe_here("diff", DIGITS, faulty, *SAMPLES)
    assert done.exit_code == 1, done.output
    header, first, second, *rest = done.stdout.splitlines()
    assert header.split()[:4] == ["tensor", "local", "channel", "running"]
    assert first.split()[0] == "conv2"
    assert second.split()[1] == "0"
    assert any("born at conv2" in line for line in rest)
    assert "it would pass with --rtol" in rest[-1]
    assert done.stderr == ""


def test_the_outcome_is_told_as_json(kprobe_here, faulty):
    done = kprobe_here("diff", DIGITS, faulty, *SAMPLES, "--json")
    told = json.loads(done.stdout)
    assert set(told) >= KEYS
    assert (done.exit_code, told["same"], told["born"], told["first"]) == (
        1, False, "conv2", "conv2",
    )  # fmt: skip
    assert all(set(tensor) >= OF_TENSORS for tensor in told["tensors"])
    by_name = {tensor["a"]: tensor for tensor in told["tensors"]}
    assert all(
        (tensor["local_relative"] > 0) == (name == "conv2") for name, tensor in by_name.items()
    )
    kprobe_here("dump", DIGITS, "--all", *SAMPLES, "-o", "a.h5")
    kprobe_here("dump", faulty, "--all", *SAMPLES, "-o", "b.h5")
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b:
        for name, tensor in by_name.items():
            one, other = a[name][:].astype("f8"), b[name][:].astype("f8")
            far = np.abs(one - other)
            assert tensor["max_abs"] == pytest.approx(far.max(), rel=1e-2, abs=1e-6)
            wanted = np.sqrt(np.mean(far**2)) / one.std()
            assert tensor["relative"] == pytest.approx(wanted, rel=1e-2, abs=1e-6)


def test_the_same_sides_end_with_0(kprobe_here):
    done = kprobe_here("diff", DIGITS, DIGITS, *SAMPLES, "--layers", "conv*,digit")
    assert done.exit_code == 0
    assert "would pass" not in done.stdout
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:4]] == [
        "conv1",
        "between conv1 and conv2: bn1, relu1, pool1",
        "between conv2 and digit: bn2, relu2, pool2, flatten and 2 more",
    ]
    quiet = kprobe_here("diff", DIGITS, "--against", "batch:3", *SAMPLES, "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_a_tolerance_makes_them_the_same(kprobe_here, faulty):
    arguments = ("diff", DIGITS, faulty, *SAMPLES)
    assert kprobe_here(*arguments, "--rtol", "0.1").exit_code == 0
    # What is said of one tensor isn't said of those behind it.
    assert kprobe_here(*arguments, "--no-local", "--rtol", "conv2=0.1").exit_code == 1
    assert kprobe_here(*arguments, "--no-local", "--atol", "*=10").exit_code == 0


def test_dumps_are_compared(kprobe_here, faulty):
    for model, name in ((DIGITS, "a.h5"), (faulty, "b.h5")):
        kprobe_here("dump", model, "--layers", "conv2,digit", *SAMPLES, "-o", name)
    done = kprobe_here("diff", "a.h5", "b.h5", "--cosine", "--ulps")
    assert done.exit_code == 1, done.output
    header = done.stdout.splitlines()[0].split()
    assert "local" not in header
    assert {"cosine", "ULP"} <= set(header)
    again = kprobe_here("diff", "a.h5", faulty)  # over the samples that the dump was made from
    assert (again.exit_code, again.stderr) == (1, "")
    assert kprobe_here("diff", DIGITS, "a.h5").exit_code == 0


def fails(done):
    """Check that one line says what is wrong, and give it."""
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line.removeprefix("kprobe: ")


def test_what_cant_be_compared_is_one_line(kprobe_here, old_dump):
    assert fails(kprobe_here("diff", DIGITS)) == (
        "expected either B or --against, received neither"
    )
    assert "received both" in fails(kprobe_here("diff", DIGITS, DIGITS, "--against", "exact"))
    against = fails(kprobe_here("diff", DIGITS, "--against", "x"))
    assert against.startswith("expected exact, eager")
    assert "mend --against" in against
    assert fails(kprobe_here("diff", DIGITS, DIGITS, "--match", "x")) == (
        "expected OLD=NEW, received 'x'; mend --match"
    )
    assert fails(kprobe_here("diff", DIGITS, DIGITS, "--match", "a*=b")) == (
        "expected as many * and ? on both sides, received a*=b; mend --match"
    )
    assert "a number from 0 on" in fails(kprobe_here("diff", DIGITS, DIGITS, "--rtol", "-1"))
    assert "no such file" in fails(kprobe_here("diff", DIGITS, "b.keras"))
    assert "is a dump, which can't be computed otherwise" in fails(
        kprobe_here("diff", "a.h5", "--against", "exact")
    )
    assert "a.h5 doesn't say which samples it was made from" in fails(
        kprobe_here("diff", "a.h5", DIGITS)
    )
    roi = "sample_models/shapes_rpn.h5"
    line = fails(kprobe_here("diff", DIGITS, roi, *SAMPLES))
    assert line.startswith(f"{roi}: ")
