"""Runs that are killed or stopped, and continued."""

from __future__ import annotations

import os
import random
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import kprobe
import kprobe.pipeline.running.run
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

KINDS = ("plain", "ragged", "stream", "ragged stream", "training")


def content(path):
    """A dump's bytes, with the times taken out."""
    with h5py.File(path) as file:
        places = [file[name].id.get_offset() for name in ("started", "finished")]
    data = bytearray(Path(path).read_bytes())
    for place in places:
        data[place : place + 8] = bytes(8)
    return bytes(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory, warm_python):
    """Run a job, kill it after some seconds, and tell how it ended."""
    script = Path(__file__).parent / "runs_to_kill.py"
    (taken, asked), (answers, given) = os.pipe(), os.pipe()
    with os.fdopen(taken) as stdin, os.fdopen(given, "w") as stdout:
        folder = tmp_path_factory.mktemp("given")
        process = warm_python.start(script, folder, stdin=stdin, stdout=stdout)
    with os.fdopen(answers) as answers, os.fdopen(asked, "w", buffering=1) as asked:

        def run_job(kind, seconds, output):
            asked.write(f"{kind}\t{seconds}\t{output}\n")
            return int(answers.readline())

        yield run_job
    process.wait()


def kill_and_resume(run, folder, kind, kills, seed):
    """Kill a job again and again, continuing each time, until it is finished."""
    whole, broken = folder / f"{kind}.h5", folder / f"{kind}{seed}.h5"
    if not whole.exists():
        assert run(kind, 600, whole) == 0
    generator, committed, killed = random.Random(seed), 0, 0
    for _ in range(kills):
        status = run(kind, generator.uniform(0, 0.2), broken)
        assert status in (0, -9)
        if broken.exists():  # killed after that, or not at all
            break
        killed += 1
        with kprobe.open_dump(f"{broken}.partial") as partial, kprobe.open_dump(whole) as dump:
            assert partial.committed >= committed
            committed = partial.committed
            for name in dump:
                for row in {0, committed // 2, committed - 1} if committed else ():
                    np.testing.assert_array_equal(partial[name][row], dump[name][row])
    assert run(kind, 600, broken) == 0
    assert content(broken) == content(whole)
    broken.unlink()
    return killed


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_is_gone_on_with_and_ends_as_an_unbroken_one(run, tmp_path, kind):
    assert kill_and_resume(run, tmp_path, kind, kills=2 if kind == "plain" else 1, seed=0) > 0


@pytest.mark.slow
def test_runs_killed_at_200_moments_end_as_unbroken_ones(run, tmp_path):
    for number in range(40):
        for kind in KINDS:
            kill_and_resume(run, tmp_path, kind, kills=1, seed=number)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(3, name="d")(x))


def stop_in_the_middle(model, path, monkeypatch, **options):
    """Run until two batches are written."""
    monkeypatch.setattr(kprobe.pipeline.running.run, "_COMMIT_SECONDS", 0.0)
    data = np.arange(80, dtype="float32").reshape(20, 4)
    options |= {"inputs": data, "output": path, "batch_size": 4}
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(model, "d", stop_after=1e-9, **options)
    return caught.value, options


def test_a_run_at_its_time_limit_keeps_what_it_has(model, tmp_path, monkeypatch):
    error, options = stop_in_the_middle(model, tmp_path / "a.h5", monkeypatch)
    assert error.exit_code == 75
    assert error.lines == [
        f"the time limit is reached: 4 of 20 samples are in {tmp_path}/a.h5.partial; continue with "
        "the same command and resume=True"
    ]
    with pytest.raises(kprobe.KprobeError, match="holds 4 samples of an earlier run"):
        kprobe.dump(model, "d", **options)
    receipt = kprobe.dump(model, "d", resume=True, **options)
    assert (receipt.rows, receipt.resumed) == (20, 4)
    with kprobe.open_dump(receipt.output) as dump:
        np.testing.assert_allclose(
            dump["d"][:], model.predict(options["inputs"]), rtol=1e-5, atol=1e-5
        )
    before = content(receipt.output)
    receipt = kprobe.dump(model, "d", resume=True, **options)
    assert (receipt.rows, receipt.resumed) == (20, 20)
    assert content(receipt.output) == before
    with pytest.raises(kprobe.KprobeError, match=r"(?s)of another run.*batch_size: 4 then, 5 now"):
        kprobe.dump(model, "d", resume=True, **(options | {"batch_size": 5}))


def test_samples_that_were_to_be_skipped_are_no_more_than_all_others(model, tmp_path, monkeypatch):
    _, options = stop_in_the_middle(model, tmp_path / "a.h5", monkeypatch, on_error="skip")
    with pytest.raises(kprobe.KprobeError, match="valid: there then, not now"):
        kprobe.dump(model, "d", resume=True, **(options | {"on_error": "stop"}))
    assert kprobe.dump(model, "d", resume=True, **options).left_out == 0


def test_a_part_under_the_name_of_the_whole_is_not_taken_for_it(model, tmp_path, monkeypatch):
    _, options = stop_in_the_middle(model, tmp_path / "a.h5", monkeypatch)
    (tmp_path / "a.h5.partial").rename(tmp_path / "a.h5")
    with pytest.raises(kprobe.KprobeError, match="isn't complete"):
        kprobe.dump(model, "d", resume=True, **options)
    (tmp_path / "a.h5").rename(tmp_path / "a.h5.partial")
    assert kprobe.dump(model, "d", resume=True, **options).resumed == 4


def test_values_of_rows_that_differ_in_shape_count_as_written(model, tmp_path, monkeypatch):
    options = {"ragged": ["d"], "inputs": np.ones((20, 4), "float32"), "output": tmp_path / "a.h5"}
    done = []

    def stop(progress):
        done.append(progress.bytes)
        if progress.rows == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(kprobe.pipeline.running.run, "_COMMIT_BYTES", 4 * 12)
    commits = []
    commit = kprobe.pipeline.running.sink.Writer.commit_soon
    monkeypatch.setattr(
        kprobe.pipeline.running.sink.Writer,
        "commit_soon",
        lambda self, rows: (commits.append(rows), commit(self, rows)),
    )
    job = make_job(model=model, layers=["d"], **options)
    with plan_job(job) as ready, pytest.raises(kprobe.KprobeError):
        kprobe.pipeline.running.run.run(ready, stop)
    assert done == [12 * row for row in range(9)]
    assert commits[:2] == [4, 8]
    receipt = kprobe.dump(model, "d", resume=True, **options)
    assert (receipt.resumed, receipt.written) == (8, 12 * 12 + (20 * 3 + 1) * 8)


def test_what_is_in_memory_is_compared_too(model, tmp_path, monkeypatch):
    _, options = stop_in_the_middle(model, tmp_path / "a.h5", monkeypatch)
    before = options["inputs"].copy()
    options["inputs"][15] += 1
    with pytest.raises(kprobe.KprobeError, match=r"inputs\[0\]\.sha256: "):
        kprobe.dump(model, "d", resume=True, **options)
    options["inputs"] = before
    weights = model.get_weights()
    model.set_weights([2 * weight for weight in weights])
    with pytest.raises(kprobe.KprobeError, match="model_sha256: "):
        kprobe.dump(model, "d", resume=True, **options)
    model.set_weights(weights)
    assert kprobe.dump(model, "d", resume=True, **options).resumed == 4


def test_words_in_memory_are_compared_too(tmp_path):
    words = np.array([["a b"], ["c"], ["a"]], object)
    hashes = []
    for vocabulary in (["a", "b"], ["a", "b"], ["a", "c"]):
        vectorize = tf_keras.layers.TextVectorization(output_mode="tf_idf", name="v")
        vectorize.adapt(vocabulary)
        model = tf_keras.Sequential([tf_keras.Input((1,), dtype="string"), vectorize])
        kprobe.dump(model, "v", inputs=words, output=tmp_path / "a.h5", overwrite=True)
        with kprobe.open_dump(tmp_path / "a.h5") as dump:
            hashes.append(dump.attrs["model_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_depends_on_all_samples_before_is_not_gone_on_with(model, tmp_path, monkeypatch):
    error, options = stop_in_the_middle(model, tmp_path / "a.h5", monkeypatch, stateful=True)
    assert "it can't be continued: the state of the model" in error.lines[0]
    with pytest.raises(kprobe.KprobeError, match="can't be continued: the state"):
        kprobe.dump(model, "d", resume=True, **options)
