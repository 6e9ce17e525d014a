"""Statistics of a running model: those of its dump, and of a run that is continued, of one run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.analysis.statistics.blocks import ENOUGH, take_many
from kprobe.dumps.output import OutputSpec
from kprobe.errors import DumpError, KprobeError, StoppedError
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.beside import Beside
from kprobe.pipeline.statistics.of_model import StoppedGatheringError, gather_model
from kprobe.pipeline.statistics.report import make_report
from kprobe.pipeline.statistics.stored import read_gathered

ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 8)).astype("float32")
LAYERS = "out,dense,relu,dense:kernel"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((8,), name="x")
    h = keras.layers.ReLU(name="relu")(keras.layers.Dense(16, name="dense")(x))
    return keras.Model(x, keras.layers.Dense(3, name="out")(keras.layers.Dropout(0.5)(h)))


class Kept(keras.layers.Layer):
    """As many numbers of a sample as it says itself."""

    def call(self, x):
        return tf.boolean_mask(x, x > 0)


def compare(one, other):
    """Check that two reports tell the same, but for rounding."""
    by = "sample" if one.by_sample or other.by_sample else "channel"
    first, second = one.to_json(by), other.to_json(by)
    for told in (first, second):
        del told["source"]
    check_close(first, second)


def check_close(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            check_close(value, other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            check_close(*pair)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    else:
        assert one == other


def test_they_are_those_of_its_dump_and_of_plain_keras(model, tmp_path):
    report = kprobe.stats(model, LAYERS, inputs=X, by="sample", batch_size=7, exact=True)
    kprobe.dump(model, LAYERS, inputs=X, output=tmp_path / "a.h5", batch_size=7, exact=True)
    compare(report, kprobe.stats(tmp_path / "a.h5", by="sample"))
    addresses = [tensor.address for tensor in report.tensors]
    assert addresses == ["dense", "relu", "out", "dense:kernel"]
    relu = np.maximum(X @ np.asarray(model.get_layer("dense").kernel), 0)
    told = report.tensors[1]
    assert told.count == relu.size
    assert told.mean == pytest.approx(relu.mean(), rel=1e-5)
    assert told.zeros == pytest.approx((relu == 0).mean(), abs=0.01)
    assert report.tensors[3].max == float(np.asarray(model.get_layer("dense").kernel).max())
    assert (report.samples, report.complete) == (ROWS, True)


def test_rows_of_different_shapes_count_and_unreadable_ones_do_not(tmp_path):
    x = keras.Input((8,), name="x")
    model = keras.Model(x, Kept(name="kept")(x))
    settings = {"inputs": X, "ragged": "kept"}
    report = kprobe.stats(model, "kept", by="sample", **settings)
    kprobe.dump(model, "kept", output=tmp_path / "a.h5", **settings)
    compare(report, kprobe.stats(tmp_path / "a.h5", by="sample"))
    assert report.tensors[0].count == (X > 0).sum()
    assert report.tensors[0].min == X[X > 0].min()


def test_compiled_kernels_tell_the_same_however_many_tensors_there_are(model, monkeypatch):
    plain = kprobe.stats(model, LAYERS, inputs=X, batch_size=7)
    take_many(ENOUGH)
    compare(kprobe.stats(model, LAYERS, inputs=X, batch_size=7), plain)
    # More tensors than that share what goes through them.
    monkeypatch.setattr("kprobe.pipeline.statistics.sink._SCANNERS", 1)
    compare(kprobe.stats(model, LAYERS, inputs=X, batch_size=7), plain)


def plan(model, **settings):
    return plan_job(make_job(model=model, layers=LAYERS, batch_size=5, **settings))


def stop_at(rows):
    """Make what stops a run when so many rows are done, as Ctrl-C does."""

    def tell(progress):
        if progress.rows >= rows:
            raise KeyboardInterrupt

    return tell


def test_a_stopped_run_continues_to_the_statistics_of_one_run(model, tmp_path):
    output = OutputSpec(path=tmp_path / "s.h5", resume=True)
    partial = tmp_path / "s.h5.partial"
    for rows in (10, 30):
        with plan(model, inputs=X) as ready, pytest.raises(StoppedError) as stopped:
            gather_model(ready, output, by_sample=True, progress=stop_at(rows))
        assert str(stopped.value) == (
            f"stopped: {rows} of {ROWS} samples are in {partial}; "
            "continue with the same command and resume=True"
        )
        assert not (tmp_path / "s.h5").exists()
        report = kprobe.stats(partial)
        assert (report.samples, report.total, report.complete) == (rows, ROWS, False)
    with plan(model, inputs=X) as ready:
        report = make_report(gather_model(ready, output, by_sample=True))
    whole = kprobe.stats(model, LAYERS, inputs=X, batch_size=5, by="sample")
    compare(report, whole)
    compare(kprobe.stats(tmp_path / "s.h5"), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]
    # There is nothing left to do.
    with plan(model, inputs=X) as ready:
        done = gather_model(ready, output, by_sample=True, progress=stop_at(0))
    compare(make_report(done), whole)


def gather_interrupted(ready, call, output=None):
    """Gather statistics, with Ctrl-C in the middle of a batch: at so many handings over."""
    left = [call]

    def interrupt(frame, event, _argument):
        if event == "call" and frame.f_code is Beside._cut.__code__:
            left[0] -= 1
            if not left[0]:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        gather_model(ready, output)
    finally:
        sys.setprofile(None)


def test_a_batch_that_is_stopped_within_is_computed_again(model, tmp_path):
    output = OutputSpec(path=tmp_path / "s.h5", resume=True)
    with plan(model, inputs=X) as ready, pytest.raises(StoppedError):
        gather_model(ready, output, progress=stop_at(10))
    # Of the second batch after that one tensor of three is added; and each hands over four times.
    with plan(model, inputs=X) as ready, pytest.raises(StoppedError, match="10 of 40 samples"):
        gather_interrupted(ready, 6, output)
    with plan(model, inputs=X) as ready:
        report = make_report(gather_model(ready, output))
    compare(report, kprobe.stats(model, LAYERS, inputs=X, batch_size=5))
    with plan(model, inputs=X) as ready, pytest.raises(StoppedError, match="part of the next"):
        gather_interrupted(ready, 6)


def test_another_run_is_not_continued(model, tmp_path):
    output = OutputSpec(path=tmp_path / "s.h5", resume=True)
    with plan(model, inputs=X) as ready, pytest.raises(StoppedError):
        gather_model(ready, output, progress=stop_at(10))
    before = (tmp_path / "s.h5.partial").read_bytes()
    for settings, line in (
        ({"inputs": X, "exact": True}, "options.exact: False then, True now"),
        ({"inputs": X[:30]}, "40 samples then, 30 now"),
    ):
        with plan(model, **settings) as ready, pytest.raises(DumpError) as refused:
            gather_model(ready, output)
        assert line in refused.value.lines
    with plan(model, inputs=X) as ready, pytest.raises(DumpError, match="by_sample: False then"):
        gather_model(ready, output, by_sample=True)
    fresh = OutputSpec(path=output.path)
    with plan(model, inputs=X) as ready, pytest.raises(DumpError, match="holds 10 samples of an"):
        gather_model(ready, fresh)
    assert (tmp_path / "s.h5.partial").read_bytes() == before
    with plan(model, inputs=X) as ready:
        gather_model(ready, OutputSpec(path=output.path, overwrite=True))
    assert read_gathered(output.path).complete


def test_without_a_file_a_stopped_run_tells_what_it_knows(model):
    with plan(model, inputs=X) as ready, pytest.raises(StoppedGatheringError) as stopped:
        gather_model(ready, progress=stop_at(10))
    assert stopped.value.hint == "keep them with output='FILE'"
    report = make_report(stopped.value.gathered)
    assert (report.samples, report.tensors[1].count) == (10, 160)
    with plan(model, inputs=X) as ready, pytest.raises(StoppedError, match="before there were any"):
        gather_model(ready, progress=stop_at(0))


def test_a_stream_is_complete_at_its_end(model, tmp_path):
    report = kprobe.stats(
        *(model, "out"), inputs=lambda: iter([X[:20], X[20:]]), output=tmp_path / "s.h5"
    )
    assert (report.samples, report.total, report.complete) == (ROWS, ROWS, True)
    assert kprobe.stats(tmp_path / "s.h5").complete


KILLED = """
import os, signal, sys
import kprobe.pipeline.running.run
import numpy as np
import kprobe

kprobe.pipeline.running.run._COMMIT_SECONDS = 0
model, samples, output = sys.argv[1:4]

def batches():
    for number, batch in enumerate(np.load(samples).reshape(-1, 5, 8, 8, 1)):
        if sys.argv[4:] and number == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

settings = {"output": output, "resume": True, "batch_size": 5, "streams": 1}
kprobe.stats(model, "relu1,digit", inputs=batches, **settings)
"""


def test_a_killed_run_continues(digits, samples, tmp_path, warm_python):
    (tmp_path / "run.py").write_text(KILLED)
    model = os.fspath(samples / "digits_cnn.keras")
    np.save(tmp_path / "x.npy", digits[:40])
    arguments = [tmp_path / "run.py", model, tmp_path / "x.npy", tmp_path / "s.h5"]
    arguments = [os.fspath(argument) for argument in arguments]
    done = warm_python.run(*arguments, "6", cwd=tmp_path)
    assert done.returncode == -9, done.stderr
    kept = kprobe.stats(tmp_path / "s.h5.partial")
    assert 0 < kept.samples <= 30
    with h5py.File(tmp_path / "s.h5.partial") as file:
        assert file["complete"][()] == 0
    done = warm_python.run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # Whether a model is frozen depends on how many samples there are known to be.
    stream = iter(digits[:40].reshape(-1, 5, 8, 8, 1))
    whole = kprobe.stats(model, "relu1,digit", inputs=lambda: stream, batch_size=5, streams=1)
    compare(kprobe.stats(tmp_path / "s.h5"), whole)
    assert not [path for path in Path(tmp_path).iterdir() if "partial" in path.name]


def test_what_does_not_go_together_is_refused(model):
    with pytest.raises(KprobeError, match="resume continues what output keeps"):
        kprobe.stats(model, "out", inputs=X, resume=True)
    with pytest.raises(KprobeError, match="stop_after: expected seconds above 0"):
        kprobe.stats(model, "out", inputs=X, stop_after=0)


def test_a_tensor_of_bfloat16_is_said_to_be_one_whatever_it_is_stored_as(tmp_path):
    x = keras.Input((8,), name="x")
    small = keras.Model(x, keras.layers.Dense(3, dtype="bfloat16", name="out")(x))
    kprobe.dump(small, "out", inputs=X, output=tmp_path / "x.h5")
    of_model = kprobe.stats(small, "out", inputs=X, output=tmp_path / "kept.h5")
    for found in (of_model, kprobe.stats(tmp_path / "x.h5"), kprobe.stats(tmp_path / "kept.h5")):
        (told,) = found.tensors
        assert (told.dtype, told.mean) == ("bfloat16", pytest.approx(of_model.tensors[0].mean))
