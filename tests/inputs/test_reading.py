"""Whatever holds the rows, the same rows come out."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput
from kprobe.inputs.formats.npy_stream import NpyStream

IMAGE = ModelInput("image", (None, 4, 5), "float32")


def make_rows(rows=11, dtype="uint8"):
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 250, (rows, 4, 5))
    return values.astype(dtype)


def write(path, form, rows):
    """Save rows in one of the forms that kprobe reads, and give the text that means it."""
    path = str(path / "rows")
    if form == "npy":
        np.save(path + ".npy", rows)
        return path + ".npy"
    if form == "npy-fortran":
        np.save(path + ".npy", np.asfortranarray(rows))
        return path + ".npy"
    if form == "npy-version-2":
        with Path(path).open("wb") as file:
            np.lib.format.write_array(file, rows, version=(2, 0))
        return path
    if form == "npz":
        np.savez(path + ".npz", labels=np.arange(3), image=rows)
        return path + ".npz"
    if form == "npz-compressed":
        np.savez_compressed(path + ".npz", labels=np.arange(3), image=rows)
        return path + ".npz"
    if form == "npz-fortran":
        np.savez(path + ".npz", image=np.asfortranarray(rows))
        return path + ".npz"
    if form == "npz-fortran-compressed":
        np.savez_compressed(path + ".npz", image=np.asfortranarray(rows))
        return path + ".npz"
    with h5py.File(path + ".h5", "w") as file:
        options = {} if form == "h5" else {"chunks": (3, 2, 5), "compression": "gzip"}
        file.create_dataset("deep/rows", data=rows, **options)
    return path + ".h5:/deep/rows"


FORMS = [
    "npy",
    "npy-fortran",
    "npy-version-2",
    "npz",
    "npz-compressed",
    "npz-fortran",
    "npz-fortran-compressed",
    "h5",
    "h5-compressed",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f4", ">i2", "bool", "float16"])
def test_every_form_gives_the_rows_in_native_byte_order(tmp_path, form, dtype):
    rows = make_rows(dtype=dtype)
    with open_all([write(tmp_path, form, rows)], [IMAGE]) as samples:
        assert samples.rows == 11
        batches = list(samples.batches(4))
    assert [start for start, _ in batches] == [0, 4, 8]
    assert [len(batch["image"]) for _, batch in batches] == [4, 4, 3]
    for start, batch in batches:
        array = batch["image"]
        assert array.dtype == np.dtype(dtype).newbyteorder("=")
        assert array.dtype.isnative
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, rows[start : start + 4])


@pytest.mark.parametrize("form", FORMS)
def test_peeking_takes_nothing_away(tmp_path, form):
    rows = make_rows()
    with open_all([write(tmp_path, form, rows)], [IMAGE]) as samples:
        np.testing.assert_array_equal(samples.peek(2)["image"], rows[:2])
        np.testing.assert_array_equal(samples.peek(5)["image"], rows[:5])
        np.testing.assert_array_equal(samples.peek(99)["image"], rows)
        read = np.concatenate([batch["image"] for _, batch in samples.batches(4)])
    np.testing.assert_array_equal(read, rows)


@pytest.mark.parametrize("form", FORMS)
def test_a_range_of_rows_can_be_read_alone(tmp_path, form):
    rows = make_rows()
    with open_all([write(tmp_path, form, rows)], [IMAGE]) as samples:
        samples.peek(3)
        (first, one), (second, two) = samples.batches(3, start=5, stop=10)
        assert (first, second) == (5, 8)
        np.testing.assert_array_equal(one["image"], rows[5:8])
        np.testing.assert_array_equal(two["image"], rows[8:10])
        ((_, again),) = samples.batches(4, start=0, stop=4)  # files can be read anew
        np.testing.assert_array_equal(again["image"], rows[:4])
        assert list(samples.batches(4, start=3, stop=3)) == []


def test_batches_refuse_rows_that_are_not_there(tmp_path):
    with open_all([write(tmp_path, "npy", make_rows())], [IMAGE]) as samples:
        for arguments in [(0, 0, 5), (4, 5, 4), (4, -1, 5), (4, 0, 12)]:
            with pytest.raises(ValueError, match="no batches of"):
                list(samples.batches(*arguments))


def test_a_limit_leaves_the_first_rows(tmp_path):
    rows = make_rows()
    with open_all([write(tmp_path, "npy", rows)], [IMAGE], limit=6) as samples:
        assert samples.rows == 6
        assert len(samples.names()) == 6
        assert len(samples.peek(99)["image"]) == 6
        read = np.concatenate([batch["image"] for _, batch in samples.batches(4)])
    np.testing.assert_array_equal(read, rows[:6])


def test_samples_without_any_value_keep_their_rows(tmp_path):
    for form in FORMS:
        folder = tmp_path / form
        folder.mkdir()
        rows = np.zeros((3, 0, 5), "float32")
        if form == "h5-compressed":
            with h5py.File(folder / "rows.h5", "w") as file:
                file["deep/rows"] = rows
            text = f"{folder}/rows.h5:/deep/rows"
        else:
            text = write(folder, form, rows)
        with open_all([text], [ModelInput("image", (None, None, 5), "float32")]) as samples:
            ((_, batch),) = samples.batches(4)
            assert batch["image"].shape == (3, 0, 5)


@pytest.mark.parametrize("text", [["ab", "", "über"], [b"ab", b"", b"c"]])
def test_strings_feed_a_string_input(tmp_path, text):
    words = np.array(text)
    np.save(tmp_path / "words.npy", words)
    with open_all([f"{tmp_path}/words.npy"], [ModelInput("text", (None,), "string")]) as samples:
        ((_, batch),) = samples.batches(8)
    np.testing.assert_array_equal(batch["text"], words)
    assert samples.identity()[0]["dtype"] == "string"


def test_strings_of_any_length_are_read_from_hdf5(tmp_path):
    with h5py.File(tmp_path / "words.h5", "w") as file:
        file["words"] = ["a", "longer", "ü"]
    with open_all([f"{tmp_path}/words.h5"], [ModelInput("text", (None,), "string")]) as samples:
        ((_, batch),) = samples.batches(8)
    assert list(batch["text"]) == [b"a", b"longer", "ü".encode()]


def test_memory_does_not_hold_a_file(tmp_path):
    """Every form that is read in place, 200 MB each, where at most 60 are allocated at a time."""
    program = """
import sys, tracemalloc
import numpy, h5py
from kprobe.inputs import ModelInput, SampleSpec, open_samples
tracemalloc.start()
x = ModelInput("x", (None, 1000, 1000), "float32")
with open_samples(SampleSpec(inputs=sys.argv[1]), [x]) as samples:
    samples.peek(2)
    assert sum(len(batch["x"]) for _, batch in samples.batches(8)) == 200
peak = tracemalloc.get_traced_memory()[1] >> 20
assert 8 <= peak < 60, peak
"""
    array = np.zeros((200, 1000, 1000), np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    np.savez_compressed(tmp_path / "b.npz", x=array)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = array
    for name in ["a.npy", "a.npz", "b.npz", "a.h5"]:
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True)
    with (
        (tmp_path / "a.npy").open("rb") as file,
        subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as pipe,
    ):
        subprocess.run([sys.executable, "-c", program, "-"], check=True, stdin=pipe.stdout)


# --- streams ---------------------------------------------------------------------------------


class Stdin:
    """A stand-in for sys.stdin over a real pipe."""

    def __init__(self, data, pause=0.0):
        reading, writing = os.pipe()
        self.buffer = os.fdopen(reading, "rb")
        self._thread = threading.Thread(target=self._send, args=(writing, data, pause))
        self._thread.start()

    @staticmethod
    def _send(writing, data, pause):
        with os.fdopen(writing, "wb", buffering=0) as file:
            for start in range(0, len(data), 100):
                try:
                    file.write(data[start : start + 100])
                except BrokenPipeError:
                    return
                time.sleep(pause)

    def isatty(self):
        return False

    def close(self):
        self.buffer.close()
        self._thread.join()


@pytest.fixture
def pipe(monkeypatch):
    """Put bytes on standard input, through a pipe that gives them in small pieces."""
    opened = []

    def put(data, pause=0.0):
        opened.append(Stdin(data, pause))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield put
    for stdin in opened:
        stdin.close()


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["uint8", ">f4"])
def test_stdin_is_read_as_it_comes(pipe, dtype):
    rows = make_rows(dtype=dtype)
    pipe(as_npy(rows), pause=0.001)
    with open_all(["-"], [IMAGE]) as samples:
        assert samples.rows == 11
        np.testing.assert_array_equal(samples.peek(2)["image"], rows[:2])
        np.testing.assert_array_equal(samples.peek(5)["image"], rows[:5])
        read = np.concatenate([batch["image"] for _, batch in samples.batches(4)])
        assert samples.names()[10] == b"stdin[10]"
    np.testing.assert_array_equal(read, rows)


def test_stdin_can_start_at_a_later_row(pipe):
    rows = make_rows()
    pipe(as_npy(rows))
    with open_all(["image=-"], [IMAGE]) as samples:
        samples.peek(2)
        ((_, batch),) = samples.batches(4, start=7)
    np.testing.assert_array_equal(batch["image"], rows[7:])


def test_stdin_cannot_go_back(pipe):
    pipe(as_npy(make_rows()))
    with open_all(["-"], [IMAGE]) as samples:
        assert not samples.replayable
        list(samples.batches(4))
        with pytest.raises(InputError, match="stdin: a stream can be read once"):
            list(samples.batches(4))


def test_a_stream_that_ends_early_says_how_far_it_came(pipe):
    pipe(as_npy(make_rows())[:-30])
    with open_all(["-"], [IMAGE]) as samples, pytest.raises(InputError) as caught:
        list(samples.batches(4))
    assert str(caught.value) == "stdin: expected 11 rows, received 9: the stream ended early"


def test_a_stream_that_ends_while_rows_are_passed_over_says_so(pipe):
    pipe(as_npy(make_rows())[:-130])
    with open_all(["-"], [IMAGE]) as samples, pytest.raises(InputError) as caught:
        list(samples.batches(4, start=8))
    assert str(caught.value) == "stdin: expected 11 rows, received 4: the stream ended early"


def test_what_was_peeked_is_all_that_a_stream_keeps():
    rows = make_rows(1000)
    stream = NpyStream(lambda: io.BytesIO(as_npy(rows)), "rows", {"source": "rows"})
    stream.peek(8)
    for start in range(0, 1000, 10):
        stream.read(start, start + 10)
        assert len(stream._head) <= 8
    assert len(stream._head) == 0


def test_a_named_pipe_is_read_like_stdin(tmp_path):
    rows = make_rows()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: fifo.write_bytes(as_npy(rows)))
    thread.start()
    with open_all([str(fifo)], [IMAGE]) as samples:
        read = np.concatenate([batch["image"] for _, batch in samples.batches(4)])
    thread.join()
    np.testing.assert_array_equal(read, rows)


# --- arrays in memory ------------------------------------------------------------------------


def test_arrays_in_memory_are_samples_too():
    rows = make_rows()
    with open_all(rows, [IMAGE]) as samples:
        assert samples.names()[0] == b"array[0]"
        ((_, batch),) = samples.batches(11)
        rows[:] = 0
        assert batch["image"].any()
    pair = [ModelInput("left", (None, 4, 5), "uint8"), ModelInput("right", (None, 4, 5), "uint8")]
    with open_all({"right": rows, "left": rows[:, ::-1]}, pair) as samples:
        assert list(samples.sources) == ["left", "right"]
    with pytest.raises(InputError, match="received objects"):
        open_all(np.array([{}, {}]), [IMAGE])
