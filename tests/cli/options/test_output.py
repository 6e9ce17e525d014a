"""-o: where a dump goes, and what becomes of what was there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe

DIGITS = "sample_models/digits_cnn.keras"


def test_the_default_output_is_named_after_the_model(kprobe_here, folder):
    done = kprobe_here("dump", DIGITS, "--layers", "digit")
    assert done.exit_code == 0
    assert [path.name for path in folder.glob("*.h5*")] == ["digits_cnn.activations.h5"]


def test_a_dump_goes_through_pipes(warm_python, npy, digits, folder):
    (taken, given), (answers, written) = os.pipe(), os.pipe()
    with os.fdopen(given, "wb") as samples:
        samples.write(npy(digits[:20]))  # less than a pipe holds
    with os.fdopen(taken) as stdin, os.fdopen(written, "w") as stdout:
        process = warm_python.start(
            *("-m", "kprobe", "dump", DIGITS, "--layers", "features", "--input", "-", "-o", "-"),
            stdin=stdin,
            stdout=stdout,
        )
    with os.fdopen(answers, "rb") as answers:
        piped = answers.read()
    done = process.wait(text=False)
    assert done.returncode == 0
    assert done.stderr.startswith(b"kprobe: stdout: 20 samples of 1 dataset, ")
    assert done.stderr.count(b"\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["sample_models"]
    Path("piped.h5").write_bytes(piped)
    with h5py.File("piped.h5") as file:
        assert file.id.get_filesize() == len(piped)  # nothing before it, nothing after
    kprobe.dump(DIGITS, "features", inputs=digits[:20], output="direct.h5")
    with kprobe.open_dump("piped.h5") as dump, kprobe.open_dump("direct.h5") as direct:
        assert dump.complete
        np.testing.assert_array_equal(dump["features"], direct["features"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_stdout_that_is_full_is_one_line(kprobe_process, kprobe_warm):
    with Path("/dev/full").open("wb") as full:
        dumped = kprobe_warm("dump", DIGITS, "--layers", "digit", "-q", "-o", "-", stdout=full)
        listed = kprobe_process("ls", DIGITS, stdout=full)
    for done in (dumped, listed):
        assert done.stderr == "kprobe: stdout can't be written: No space left on device\n"
        assert done.returncode == 2


def test_head_gets_its_line(kprobe_command, folder):
    script = f"{' '.join(kprobe_command)} ls {DIGITS} | head -1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout.split()[0], done.stderr) == ("address", "")


def test_an_existing_dump_is_refused_and_untouched(kprobe_light, old_dump, folder):
    path, content = old_dump
    done = kprobe_light("dump", DIGITS, "--layers", "digit", "-o", "a.h5")
    assert done.stderr == "kprobe: a.h5: exists already; replace it with --overwrite\n"
    assert done.returncode == 2
    assert path.read_bytes() == content
    assert sorted(path.name for path in folder.iterdir()) == ["a.h5", "sample_models"]


def test_what_is_no_dump_is_never_replaced(kprobe_light, folder):
    (folder / "model.h5").write_text("precious")
    done = kprobe_light("dump", DIGITS, "--layers", "digit", "-o", "model.h5", "--overwrite")
    assert done.stderr == (
        "kprobe: model.h5: exists and is not a dump of kprobe, and is not replaced; "
        "choose another output\n"
    )
    assert done.returncode == 2
    assert (folder / "model.h5").read_text() == "precious"


def test_overwrite_replaces_a_dump(kprobe_here, old_dump):
    done = kprobe_here("dump", DIGITS, "--layers", "digit", "-o", "a.h5", "--overwrite")
    assert done.exit_code == 0
    with kprobe.open_dump("a.h5") as dump:
        assert (dump.complete, dump.columns) == (True, ["digit"])


def test_a_run_that_fails_leaves_the_old_dump_whole(kprobe_here, old_dump):
    path, old_content = old_dump
    np.savez_compressed("scans.npz", scan=np.random.default_rng(0).random((5000, 8, 8, 1)))
    content = bytearray(Path("scans.npz").read_bytes())
    content[-2000:-1900] = bytes(100)
    Path("scans.npz").write_bytes(content)
    arguments = ["--layers", "digit", "--input", "scans.npz", "-o", "a.h5", "--overwrite"]
    done = kprobe_here("dump", DIGITS, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("kprobe: scans.npz:scan: can't be read: ")
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() == old_content
    partial = path.with_name("a.h5.partial")
    if partial.exists():  # the rows before the damage
        with kprobe.open_dump(partial) as dump:
            assert 0 < dump.committed < dump.rows == 5000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--json", "-o", "-"], "--json and -o - both want stdout"),
        (["--profile", "p", "-o", "-"], "--profile and -o - both want stdout"),
        (["--layers", "-", "--input", "-"], "--layers - and --input - both want stdin"),
        (["--resume", "-o", "-"], "-o - leaves nothing that --resume could continue"),
    ],
)
def test_what_a_stream_cannot_be_used_for_is_refused(kprobe_here, given, said):
    layers = [] if "--layers" in given else ["--layers", "digit"]
    done = kprobe_here("dump", DIGITS, *layers, *given)
    assert (done.exit_code, done.stderr) == (2, f"kprobe: {said}\n")


def test_a_run_to_stdout_that_is_stopped_writes_nothing(kprobe_warm):
    done = kprobe_warm(
        *("dump", DIGITS, "--layers", "digit", "--random", "1000", "--batch-size", "1"),
        *("--stop-after", "0.001s", "-q", "-o", "-"),
    )
    assert done.stderr == "kprobe: stopped, and nothing was written to stdout\n"
    assert (done.returncode, done.stdout) == (75, "")
