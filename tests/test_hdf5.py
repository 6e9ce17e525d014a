"""HDF5 files are read whatever else has them open: in this process, or in another."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.partial import check_output, is_complete
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import KprobeError
from kprobe.hdf5 import OpenForWritingError, open_for_reading
from kprobe.inputs.files import open_location
from kprobe.inputs.locating import Location
from kprobe.models.file import read_model_file
from kprobe.models.weights.stored_weights import open_weights
from kprobe.models.weights.weights_file import open_weights_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from warm import WarmPython

    Held = Callable[..., AbstractContextManager[None]]

FLOAT = np.dtype(np.float32)
MODEL = '{"class_name": "Sequential", "config": {"name": "s", "layers": []}}'


def make_file(path: Path, libver: str = "latest") -> Path:
    """Make a model file whose format marks that it is open for writing, as dumps do."""
    with h5py.File(path, "w", libver=libver) as file:
        file["x"] = np.arange(3)
        file.attrs["model_config"] = MODEL
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights").attrs["layer_names"] = []
    return path


def make_dump(path: Path, value: float, **options: Any) -> None:
    columns = [Column("a", (2,), FLOAT, {"addresses": ["a"]})]
    with Writer(
        OutputSpec(path=path, **options), Contents(columns=columns, samples=["x"])
    ) as writer:
        writer.write(0, {"a": np.full((1, 2), value, FLOAT)})
        writer.finish()


def open_low(path: Path, flags: int) -> Any:
    """Open as the low-level interface can: no locking, and errors of locking ignored."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(False, True)
    return h5py.File(h5py.h5f.open(os.fsencode(path), flags, fapl=access))


OPENERS: dict[str, Callable[[Path], Any]] = {
    **{
        f"{mode}, locking {locking}": lambda path, m=mode, k=locking: h5py.File(path, m, locking=k)  # type: ignore[misc]
        for mode in ("r", "r+", "a")
        for locking in (None, False, True, "best-effort")
    },
    "low-level, to read": lambda path: open_low(path, h5py.h5f.ACC_RDONLY),
    "low-level, to write": lambda path: open_low(path, h5py.h5f.ACC_RDWR),
    "kprobe's own": open_for_reading,
}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("way", OPENERS)
def test_a_file_is_read_however_it_is_open_in_the_process(
    tmp_path: Path, way: str, libver: str
) -> None:
    path = make_file(tmp_path / "a.h5", libver)
    with OPENERS[way](path) as first:
        with open_for_reading(path) as second:
            assert second["x"][...].tolist() == [0, 1, 2]
        # Closing it leaves the other as it was.
        assert first["x"][...].tolist() == [0, 1, 2]
        if first.mode == "r+":
            first["x"][0] = 7
            with open_for_reading(path) as third:
                assert third["x"][0] == 7


def test_a_file_just_made_and_still_open_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", locking=True, libver="latest") as file:
        file["x"] = 3
        with open_for_reading(tmp_path / "a.h5") as second:
            assert second["x"][()] == 3
        file.swmr_mode = True
        with open_for_reading(tmp_path / "a.h5") as second:
            assert second["x"][()] == 3


def test_others_may_open_it_plainly_meanwhile(tmp_path: Path) -> None:
    path = make_file(tmp_path / "a.h5")
    make_dump(tmp_path / "dump.h5", 1)
    with open_for_reading(path), h5py.File(path) as file:
        assert file["x"][1] == 1
    with open_dump(tmp_path / "dump.h5"), h5py.File(tmp_path / "dump.h5") as file:
        assert file["a"][0, 0] == 1


HOLD = """
import sys, h5py
with h5py.File(sys.argv[1], "r+", locking={}):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held_elsewhere(light_python: WarmPython) -> Held:
    """Keep a file open for writing in another process."""

    @contextmanager
    def hold(path: Path, locking: bool = True) -> Iterator[None]:
        with light_python.open("-c", HOLD.format(locking), path) as process:
            assert process.stdout.readline() == "open\n"
            yield
            assert process.wait().returncode == 0

    return hold


def test_a_lock_of_another_process_bars_no_reader(tmp_path: Path, held_elsewhere: Held) -> None:
    path = make_file(tmp_path / "a.h5", "earliest")
    with held_elsewhere(path):
        with pytest.raises(BlockingIOError):
            h5py.File(path)
        with open_for_reading(path) as file:
            assert file["x"][1] == 1
        assert read_model_file(path).keras_major == 2


@pytest.fixture(scope="module")
def dense_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in HDF5 that adds its three inputs up, twice."""
    import tf_keras

    layers = [tf_keras.Input((3,)), tf_keras.layers.Dense(2, kernel_initializer="ones")]
    path: Path = tmp_path_factory.mktemp("model") / "dense.h5"
    tf_keras.Sequential(layers).save(path)
    return path


READERS: dict[str, Callable[[Path], Any]] = {
    "itself": open_for_reading,
    "a model": read_model_file,
    "weights": lambda path: open_weights(open_weights_file(path)).__enter__(),
    "a dump": open_dump,
    "is it a dump": is_complete,
    "a dump to replace": lambda path: check_output(path, overwrite=True),
}


@pytest.mark.parametrize("locking", [True, False])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_marked_as_open_for_writing_is_said_so(
    tmp_path: Path, held_elsewhere: Held, reader: str, locking: bool
) -> None:
    path = make_file(tmp_path / "a.h5")
    with held_elsewhere(path, locking), pytest.raises(OpenForWritingError) as caught:
        READERS[reader](path)
    assert caught.value.faults == (
        f"{path}: is open for writing elsewhere, and can't be used meanwhile",
    )
    assert caught.value.hint == (
        f"close it there; if what wrote it was killed, `h5clear -s {path}` frees it"
    )
    READERS["itself"](path).close()


@pytest.mark.parametrize("driver", ["stdio", "core"])
def test_what_another_driver_writes_in_the_process_is_said_so(tmp_path: Path, driver: str) -> None:
    path = make_file(tmp_path / "a.h5")
    with h5py.File(path, "r+", driver=driver), pytest.raises(OpenForWritingError):
        open_for_reading(path)


def test_samples_that_are_open_for_writing_elsewhere_are_refused_as_such(
    tmp_path: Path, held_elsewhere: Held
) -> None:
    path = make_file(tmp_path / "a.h5")
    with held_elsewhere(path), pytest.raises(KprobeError, match="is open for writing elsewhere"):
        open_location(Location(str(path), None, path, None))
    open_location(Location(str(path), None, path, None)).close()


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_hdf5_is_told_as_h5py_tells_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError) as plain:  # noqa: PT011 - its text is compared
        h5py.File(path)
    with pytest.raises(type(plain.value)) as caught:
        open_for_reading(path)
    assert str(caught.value) == str(plain.value)


@pytest.mark.parametrize("way", ["open_dump", *OPENERS])
def test_a_dump_that_is_open_is_replaced_and_the_old_one_stays_readable(
    tmp_path: Path, way: str
) -> None:
    path = tmp_path / "a.h5"
    make_dump(path, 1)
    with (open_dump if way == "open_dump" else OPENERS[way])(path) as old:
        with pytest.raises(KprobeError, match="exists already"):
            make_dump(path, 2)
        make_dump(path, 2, overwrite=True)
        assert old["a"][0].tolist() == [1, 1]
        with open_dump(path) as new:
            assert new["a"][0].tolist() == [2, 2]


TO_READ = {
    name: opener
    for name, opener in OPENERS.items()
    if name.startswith(("r,", "low-level, to read", "kprobe"))
}
MIXED = [
    Column("even", (), FLOAT, {"addresses": ["even"]}),
    Column("small", (-1,), FLOAT, {"addresses": ["small"]}),
    Column("ragged", (-1,), FLOAT, {"addresses": ["ragged"]}),
]


def make_mixed(start: int, stop: int) -> dict[str, Any]:
    rows = range(start, stop)
    return {
        "even": np.arange(start, stop, dtype=FLOAT),
        "small": [np.full(1, row, FLOAT) for row in rows],
        "ragged": [np.full(row % 3 + 1, row, FLOAT) for row in rows],
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", ["open_dump", *TO_READ])
def test_an_unfinished_dump_that_is_open_is_continued_and_read_as_it_is_then(
    tmp_path: Path, light_python: WarmPython, way: str, stream: bool
) -> None:
    path, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    names = np.array([b"0", b"1", b"2", b"3", b"4", b"5"])
    samples = np.zeros(1000, "S1") if stream else names
    contents = Contents(columns=MIXED, samples=samples, open_ended=stream)
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, make_mixed(0, 2))
    with (open_dump if way == "open_dump" else TO_READ[way])(partial) as old:
        # What HDF5 keeps of datasets that are open, it keeps for all that open them.
        raw = old._file if way == "open_dump" else old
        parts = [f"{name}/{part}" for name in ("small", "ragged") for part in ("offsets", "values")]
        kept = [raw[name] for name in ("even", "committed", "complete", *parts)]
        assert [dataset[:1].size if dataset.shape else dataset[()] for dataset in kept][1] == 2
        # Another process goes on with it, and is killed.
        assert old["even"][1] == 1
        assert light_python.run("-c", CONTINUE, path, int(stream)).returncode == 0
        with Writer(OutputSpec(path=path, resume=True), contents) as writer:
            assert writer.committed == 4
            writer.write(4, make_mixed(4, 6))
            writer.finish(names if stream else None)
        with open_dump(path) as dump:
            assert dump.complete
            assert dump["even"][...].tolist() == [0, 1, 2, 3, 4, 5]
            for name in ("small", "ragged"):
                for row, expected in enumerate(make_mixed(0, 6)[name]):
                    assert dump[name][row].tolist() == expected.tolist()
        del kept
    with open_dump(path) as dump:
        assert dump["ragged"][3].tolist() == [3]


CONTINUE = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("test_hdf5", {__file__!r})
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
stream = bool(int(sys.argv[2]))
samples = tests.np.zeros(1000, "S1") if stream else tests.np.array([b"%d" % i for i in range(6)])
contents = tests.Contents(columns=tests.MIXED, samples=samples, open_ended=stream)
writer = tests.Writer(tests.OutputSpec(path=sys.argv[1], resume=True), contents).__enter__()
writer.write(2, tests.make_mixed(2, 4))
writer.commit(4)
os._exit(0)
"""


@pytest.mark.parametrize("mode", ["r+", "a"])
@pytest.mark.parametrize("locking", [None, False, True])
def test_an_unfinished_dump_that_is_open_for_writing_is_left_alone(
    tmp_path: Path, mode: str, locking: bool | None
) -> None:
    path, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    contents = Contents(columns=MIXED, samples=[*"abcd"])
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, make_mixed(0, 2))
    writer = Writer(OutputSpec(path=path, resume=True), contents)
    with (
        h5py.File(partial, mode, locking=locking),
        pytest.raises(OpenForWritingError, match="partial: is open for writing elsewhere"),
    ):
        writer.__enter__()
    with writer:
        writer.write(2, make_mixed(2, 4))
        writer.finish()
    with open_dump(path) as dump:
        assert dump["ragged"][2].tolist() == [2, 2, 2]


@pytest.mark.parametrize("way", OPENERS)
def test_a_model_that_is_open_is_read(tmp_path: Path, way: str) -> None:
    path = make_file(tmp_path / "a.h5")
    with OPENERS[way](path):
        assert read_model_file(path).keras_major == 2


@pytest.mark.parametrize("way", OPENERS)
@pytest.mark.parametrize("keras", [2, 3])
def test_a_model_that_is_open_is_loaded(
    tmp_path: Path, dense_model: Path, way: str, keras: int
) -> None:
    path = tmp_path / "a.h5"
    shutil.copyfile(dense_model, path)
    with OPENERS[way](path):
        model = kprobe.load_model(path, keras=keras)
    assert model.predict_on_batch(np.ones((1, 3), FLOAT)).tolist() == [[3, 3]]


def test_a_model_that_another_process_locks_is_loaded(
    tmp_path: Path, dense_model: Path, held_elsewhere: Held
) -> None:
    path = tmp_path / "a.h5"
    shutil.copyfile(dense_model, path)
    with held_elsewhere(path):
        model = kprobe.load_model(path, keras=3)
    assert model.predict_on_batch(np.ones((1, 3), FLOAT)).tolist() == [[3, 3]]
