"""`kprobe bench`: what it tells, and that it leaves nothing. How fast things are is no promise."""

from __future__ import annotations

import json
import signal
import time

import keras
import numpy as np
import pytest

from kprobe.cli.rendering.measurements import _warn_of_few
from kprobe.pipeline.bench import Measured, Rate

DIGITS = "sample_models/digits_cnn.keras"
SCANS = ("--input", "sample_models/digits.npz")
STAGES = ("reading", "computing", "writing", "dumping")
SHORT = ("--seconds", "0.05s")


@pytest.fixture
def bench_here(kprobe_here):
    def run(*arguments, model=DIGITS, **options):
        return kprobe_here("bench", model, "-v", *SHORT, *arguments, **options)

    return run


@pytest.fixture
def measure(bench_here, folder):
    """Give the JSON of a run, which is to leave nothing behind."""

    def run(*arguments, **options):
        before = {path.name for path in folder.iterdir()}
        done = bench_here("--json", *arguments, **options)
        assert done.exit_code == 0, done.stderr
        # Python keeps what it compiled of code beside it.
        assert {path.name for path in folder.iterdir()} - {"__pycache__"} == before
        return json.loads(done.stdout)

    return run


def check(outcome, sizes, *, read_bytes, row_bytes):
    """Check what must hold however fast anything is."""
    assert [each["batch_size"] for each in outcome["batch_sizes"]] == sizes
    assert outcome["best_batch_size"] in sizes
    for each in outcome["batch_sizes"]:
        assert [*each] == ["batch_size", *STAGES, "dumps", "limit", "ratio"]
        for stage in STAGES:
            rate = each[stage]
            assert rate["bytes"] == rate["samples"] * (
                read_bytes if stage == "reading" else row_bytes
            )
            assert rate["samples"] >= 1
            assert rate["samples_per_s"] == pytest.approx(rate["samples"] / rate["seconds"])
            assert rate["bytes_per_s"] == pytest.approx(rate["bytes"] / rate["seconds"])
        alone = {stage: each[stage]["samples_per_s"] for stage in STAGES[:3]}
        assert alone[each["limit"]] == min(alone.values())
        assert each["ratio"] == pytest.approx(
            each["dumping"]["samples_per_s"] / min(alone.values())
        )
        assert each["dumps"] >= 1


def test_every_stage_is_measured_with_every_batch_size(measure):
    scans = np.load("sample_models/digits.npz")
    (name,) = [name for name in scans.files if scans[name].ndim > 2]
    outcome = measure("--layers", "conv1,conv1:kernel", *SCANS, "--batch-size", "8,3")
    check(outcome, [8, 3], read_bytes=scans[name][0].nbytes, row_bytes=4096)


def test_without_input_and_sizes_it_makes_samples_for_some_sizes(measure):
    outcome = measure("--layers", "conv1", "--dtype", "float16")
    check(outcome, [1, 8, 32, 1024], read_bytes=256, row_bytes=2048)


def test_what_it_says_ends_with_the_best_batch_size(bench_here):
    done = bench_here("--layers", "digit", "--batch-size", "4", *SCANS)
    header, *rows, verdict = done.stdout.splitlines()
    assert header.split() == ["batch", "size", "what", "samples/s", "bytes"]
    whats = ["reading alone", "computing alone", "writing alone", "all together"]
    assert all(f" 4  {what} " in row for what, row in zip(whats, rows, strict=True))
    assert sum(row.endswith("  the limit") for row in rows) == 1
    assert rows[-1].endswith(" of the limit")
    assert verdict.startswith("--batch-size 4 is best here: a dump makes ")


@pytest.mark.parametrize(
    ("rows", "seconds", "said"),
    [(1016, 0.5, True), (1016, 5.0, False), (5000, 0.5, False)],
    ids=["a short dump of all", "a long one of all", "a short one of the first"],
)
def test_a_dump_too_short_to_tell_is_said(rows, seconds, said, capsys):
    alone = Rate(samples=10, bytes=10, seconds=1.0)
    dumping = Rate(samples=2 * 1016, bytes=10, seconds=seconds)
    stages = {"reading": alone, "computing": alone, "writing": alone, "dumping": dumping}
    _warn_of_few(rows, Measured(batch_size=8, **stages, dumps=2))
    assert ("all 1,016 samples are dumped in 250 ms" in capsys.readouterr().err) == said


def test_a_dump_of_that_name_stays(measure, old_dump):
    path, content = old_dump
    measure("--layers", "digit", "--batch-size", "16", "-o", "a.h5")
    assert path.read_bytes() == content


def test_a_stream_is_read_as_often_as_it_takes(measure, folder):
    code = (
        "import numpy as np\n"
        "def batches():\n"
        "    for _ in range(3):\n"
        "        yield np.zeros((5, 8, 8, 1), 'float32')\n"
    )
    (folder / "given.py").write_text(code)
    outcome = measure(
        *("--layers", "conv1", "--input", "given.py:batches", "--batch-size", "4", "--keras", "3")
    )
    check(outcome, [4], read_bytes=256, row_bytes=4096)


# Keras's, when it saves a variable.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_images_of_several_sizes_are_measured_by_their_own_bytes(measure, folder):
    image = keras.Input((None, None, 3), name="image")
    keras.Model(image, keras.layers.Conv2D(2, 1, name="c")(image)).save(folder / "any.keras")
    (folder / "images").mkdir()
    for number, height in enumerate((8, 8, 5)):
        picture = np.zeros((height, 7, 3), "uint8")
        keras.utils.save_img(folder / f"images/{number}.png", picture, scale=False)
    arguments = ("--layers", "c", "--input", "images", "--batch-size", "3")
    (outcome,) = measure(*arguments, model="any.keras")["batch_sizes"]
    reading, dumping = outcome["reading"], outcome["dumping"]
    assert reading["bytes"] == reading["samples"] // 3 * (8 + 8 + 5) * 7 * 3
    # Of three rows 4 bytes a value, beside what finds them in the file.
    assert dumping["bytes"] > dumping["samples"] // 3 * (8 + 8 + 5) * 7 * 2 * 4


@pytest.fixture
def fours(folder):
    """A model for batches of 4 samples only."""
    x = keras.Input(batch_shape=(4, 6), name="x")
    model = keras.Model(x, keras.layers.Dense(3, name="d")(x))
    model.save(folder / "fours.keras")
    return "fours.keras"


# Keras's, when it saves a variable.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_a_model_of_one_batch_size_is_measured_with_that(measure, bench_here, fours):
    check(measure("--layers", "d", model=fours), [4], read_bytes=24, row_bytes=12)
    done = bench_here("--layers", "d", "--batch-size", "4,8,1", model=fours)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "kprobe: the model takes batches of 4 samples only, received a batch size of 1"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "conv"], "conv1"),
        (["--layers", "conv1", "-o", "none/a.h5"], "there is no directory none"),
        (["--layers", "conv1", "-i", "none.npy"], "none.npy"),
        (["--layers", "conv1", "--batch-size", "8,0"], "numbers with commas such as 1,8,32"),
        (["--layers", "conv1", "--batch-size", "8,,1"], "numbers with commas such as 1,8,32"),
        (["--layers", "conv1", "--seconds", "0"], "a time such as"),
        (["--layers", "conv1:kernel"], "weights alone aren't computed"),
        (["--layers", "conv1", "--all"], "either --layers or --all"),
        ([], "either --layers or --all"),
    ],
)
def test_bad_input_is_an_error(bench_here, folder, arguments, message):
    done = bench_here(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["sample_models"]


def test_samples_that_come_once_are_not_measured(bench_here, npy, digits):
    done = bench_here("--layers", "conv1", "-i", "-", stdin=npy(digits[:4]))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "kprobe: the samples can be read only once, and measuring reads them again and again; "
        "give samples that can be read again, such as a file, or a function of batches"
    )


def test_a_run_that_is_stopped_leaves_nothing(warm_python, folder):
    command = ["-m", "kprobe", "bench", DIGITS, "--layers", "conv1", "--seconds", "0.2s"]
    # The files are there soon, and the sizes take ten seconds and more.
    sizes = ",".join(map(str, range(1, 33)))
    process = warm_python.start(*command, "--batch-size", sizes)
    while not list(folder.glob(".kprobe-bench-*/*")) and process.is_running():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    done = process.wait()
    assert done.returncode == 75
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("kprobe: stopped")
    assert [path.name for path in folder.iterdir()] == ["sample_models"]
