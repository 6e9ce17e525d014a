"""Samples of which nobody knows how many there are."""

from __future__ import annotations

import itertools

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner

import kprobe
import kprobe.dumps.writing.trim
import kprobe.pipeline.planning.plan
import kprobe.pipeline.running.run
from kprobe.cli.main import cli

ROWS = 57
DATA = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
CODE = """
import numpy as np
def batches():
    for rows in np.split(np.load("x.npy"), range(10, 57, 10)):
        yield rows, None
def nothing():
    yield np.zeros((0, 4), "float32")
def none():
    return iter(())
def pairs():
    for rows in np.split(np.load("x.npy"), range(10, 57, 10)):
        yield {"a": rows, "b": rows * 2}
"""

# It goes on when what it gave before is committed.
STALLING = """
import time, h5py, numpy as np
def batches():
    yield np.zeros((16, 4), "float32")
    deadline = time.monotonic() + 600
    while count_committed("a.h5.partial") < 16:
        assert time.monotonic() < deadline, "what came before isn't committed"
        time.sleep(0.05)
    yield np.zeros((8, 4), "float32")
def count_committed(path):
    try:
        with h5py.File(path, "r", locking=False) as file:
            return int(file["committed"][()])
    except FileNotFoundError:
        return 0
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", DATA)
    (tmp_path / "given.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(3, name="d")(x))


@pytest.mark.parametrize("batch_size", [1, 8, 19, 57, None])
def test_all_that_comes_is_in_the_dump(model, folder, batch_size):
    options = {"output": "a.h5", "batch_size": batch_size}
    receipt = kprobe.dump(model, "d,d:kernel", inputs="given.py:batches", **options)
    assert receipt.rows == ROWS
    assert receipt.written == ROWS * 3 * 4 + 4 * 3 * 4
    assert (folder / "a.h5").stat().st_size < 100_000
    assert [path.name for path in folder.glob("a.h5*")] == ["a.h5"]
    kernel, bias = model.get_layer("d").get_weights()
    with kprobe.open_dump("a.h5") as dump:
        assert dump.complete
        assert dump.committed == dump.rows == ROWS
        np.testing.assert_allclose(dump["d"][:], DATA @ kernel + bias, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(dump["d:kernel"][:], kernel)
        assert dump.sample[56] == "given.py:batches[56]"


def test_it_is_what_a_run_of_known_length_gives(model):
    kprobe.dump(model, "d", inputs="given.py:batches", output="a.h5", batch_size=8)
    kprobe.dump(model, "d", inputs="x.npy", output="b.h5", batch_size=8)
    with h5py.File("a.h5") as one, h5py.File("b.h5") as other:
        assert list(one) == list(other)
        np.testing.assert_array_equal(one["d"][:], other["d"][:])


def test_a_limit_beyond_the_end_does_no_harm(model):
    assert kprobe.dump(model, "d", inputs="given.py:batches", output="a.h5", limit=99).rows == ROWS
    options = {"output": "a.h5", "overwrite": True}
    assert kprobe.dump(model, "d", inputs="given.py:batches", limit=33, **options).rows == 33


def test_what_ended_at_a_limit_is_not_finished_for_another(model):
    options = {"inputs": "given.py:batches", "output": "a.h5"}
    kprobe.dump(model, "d", limit=33, **options)
    assert kprobe.dump(model, "d", limit=33, resume=True, **options).resumed == 33
    with pytest.raises(kprobe.KprobeError, match="limit: 33 then, 50 now"):
        kprobe.dump(model, "d", limit=50, resume=True, **options)
    with pytest.raises(kprobe.KprobeError, match="limit: 33 then, none now"):
        kprobe.dump(model, "d", resume=True, **options)


def test_other_code_is_another_run(model, folder):
    options = {"inputs": "given.py:batches", "output": "a.h5", "resume": True}
    kprobe.dump(model, "d", **options)
    assert kprobe.dump(model, "d", **options).resumed == ROWS
    (folder / "given.py").write_text(CODE + "# changed\n")
    with pytest.raises(kprobe.KprobeError, match=r"inputs\[0\].sha256: \w+… then"):
        kprobe.dump(model, "d", **options)


LAYER = """
import keras
class Times(keras.layers.Layer):
    def call(self, x):
        return x * 2
"""


def test_other_layers_are_another_run(folder):
    (folder / "times.py").write_text(LAYER)
    layer = {}
    exec(LAYER, layer)
    x = keras.Input((4,), name="x")
    keras.Model(x, layer["Times"](name="t")(x)).save("times.keras")
    options = {"inputs": "x.npy", "output": "a.h5", "custom_objects": ["times.py"], "resume": True}
    kprobe.dump("times.keras", "t", **options)
    assert kprobe.dump("times.keras", "t", **options).resumed == ROWS
    (folder / "times.py").write_text(LAYER.replace("2", "3"))
    with pytest.raises(kprobe.KprobeError, match=r"custom_objects_sha256\[0\]: \w+… then"):
        kprobe.dump("times.keras", "t", **options)


def test_several_inputs_come_from_one_stream():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], keras.layers.Add(name="sum")([a, b]))
    kprobe.dump(model, "sum", inputs="given.py:pairs", output="a.h5", batch_size=7)
    with kprobe.open_dump("a.h5") as dump:
        np.testing.assert_allclose(dump["sum"][:], DATA * 3, rtol=1e-6)


def test_while_it_runs_any_tool_reads_what_is_committed(model, monkeypatch):
    monkeypatch.setattr("kprobe.pipeline.running.run._COMMIT_SECONDS", 0.0)
    options = {"inputs": "given.py:batches", "output": "a.h5", "batch_size": 8}
    with pytest.raises(kprobe.KprobeError, match=r"the time limit is reached: 8 samples are in"):
        kprobe.dump(model, "d", stop_after=1e-9, **options)
    with h5py.File("a.h5.partial") as file:
        committed = int(file["committed"][()])
        assert committed == 8
        expected = model(DATA[:8]).numpy()
        np.testing.assert_allclose(file["d"][:committed], expected, rtol=1e-5, atol=1e-6)
    assert kprobe.dump(model, "d", resume=True, **options).resumed == 8
    assert kprobe.dump(model, "d", resume=True, **options).resumed == ROWS


def test_stopped_while_it_is_cut_it_is_gone_on_with(model, folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    options = {"inputs": "given.py:batches", "output": "a.h5", "batch_size": 8}
    with monkeypatch.context() as patch:
        patch.setattr(kprobe.dumps.writing.trim.RaggedColumns, "move_together", stop)
        with pytest.raises(kprobe.KprobeError, match="stopped: 57"):
            kprobe.dump(model, "d", **options)
    assert [path.name for path in folder.glob("a.h5*")] == ["a.h5.partial"]
    receipt = kprobe.dump(model, "d", resume=True, **options)
    assert (receipt.rows, receipt.resumed) == (57, 57)


@pytest.mark.parametrize("function", ["none", "nothing"])
def test_an_empty_stream_is_refused(model, function):
    with pytest.raises(kprobe.KprobeError, match="expected batches of samples, received none"):
        kprobe.dump(model, "d", inputs=f"given.py:{function}", output="a.h5")


def test_memory_is_flat_over_an_endless_one(model, folder):
    (folder / "given.py").write_text(
        "import numpy as np\n"
        "def batches():\n"
        "    while True:\n"
        "        yield np.ones((64, 4), 'float32')\n"
    )
    receipt = kprobe.dump(model, "d", inputs="given.py:batches", output="a.h5", limit=20_000)
    assert receipt.rows == 20_000
    with kprobe.open_dump("a.h5") as dump:
        for first, last in itertools.pairwise([0, 1, 9_999, 19_999]):
            np.testing.assert_array_equal(dump["d"][first], dump["d"][last])


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_a_plan_says_that_nobody_knows_how_many(model, monkeypatch):
    # An earlier command in this process has taken stdout.
    monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
    model.save("m.keras")
    arguments = ["dump", "m.keras", "-l", "d", "-i", "given.py:batches", "--dry-run", "-v"]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    assert "as they come" in shown.output


def test_a_last_batch_that_the_model_does_not_take_ends_the_run():
    x = keras.Input(batch_shape=(4, 4), name="x")
    model = keras.Model(x, keras.layers.BatchNormalization(name="bn")(x))
    options = {"inputs": "given.py:batches", "output": "a.h5"}
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(model, "bn", **options)
    assert str(caught.value) == (
        "the last batch has 1 samples, and the model doesn't take so few: the model takes batches "
        "of 4 samples only, received 1; take fewer: limit=56; 56 samples are in a.h5.partial, "
        "which continues with resume=True"
    )
    assert kprobe.dump(model, "bn", limit=56, overwrite=True, **options).rows == 56


def test_what_was_not_counted_before_is_while_it_runs(model):
    options = {"inputs": "given.py:batches", "output": "a.h5", "batch_size": 8}
    with pytest.raises(kprobe.KprobeError, match=r"200 bytes are allowed, .*: 16 samples"):
        kprobe.dump(model, "d", max_bytes=200, **options)
    assert kprobe.dump(model, "d", resume=True, **options).resumed == 16


def test_a_source_that_stalls_holds_no_rows_back(model, folder, monkeypatch):
    monkeypatch.setattr(kprobe.pipeline.running.run, "_COMMIT_SECONDS", 0.1)
    (folder / "stalling.py").write_text(STALLING)
    options = {"inputs": "stalling.py:batches", "output": "a.h5", "batch_size": 8}
    assert kprobe.dump(model, "d", **options).rows == 24


def test_what_no_file_has_room_for_is_not_cut_off_in_silence(model, monkeypatch):
    monkeypatch.setattr(kprobe.pipeline.planning.plan, "_MOST_BYTES", 16 * 256)
    with pytest.raises(kprobe.KprobeError, match="room for 16 such samples") as caught:
        kprobe.dump(model, "d", inputs="given.py:batches", output="a.h5", batch_size=8)
    assert caught.value.exit_code == 75
    assert count_committed("a.h5.partial") == 16
    options = {"inputs": "given.py:batches", "batch_size": 8}
    assert kprobe.dump(model, "d", limit=16, output="b.h5", **options).rows == 16


def count_committed(path):
    with h5py.File(path, "r", locking=False) as file:
        return int(file["committed"][()])
