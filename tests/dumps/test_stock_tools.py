"""The readers that other people have open dumps, and read the values that were written.

These tests need programs that pip doesn't install: `.ci/try_readers` installs them, and runs
`pytest -m tools`. There nothing is skipped but h5py 2.10: a missing program fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray

import kprobe
from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.tools

HERE = Path(__file__).parent / "readers"
NAMES = ["a.png", "münchen/ü.png", "日本/1.png", "x[3]", "последний"]
ROWS = len(NAMES)
RNG = np.random.default_rng(0)
WORDS = ["", "é", "two words", "日本", "z"]
CLASSES = ["cat", "größe", "犬"]


def column(name: str, shape: tuple[int, ...], dtype: str = "f4", **more: Any) -> Column:
    return Column(name, shape, np.dtype(dtype), {"addresses": [name], "layout": "dense"}, **more)


def numbers(*shape: int, dtype: str = "f4") -> np.ndarray[Any, Any]:
    """Numbers that take all the digits that their dtype has."""
    return RNG.normal(size=shape, scale=100).astype(dtype)


KERNEL = numbers(3, 2)
LABELS = np.array([2, 0, 1, 1, 0], "i4")
EVEN = {
    "conv": numbers(ROWS, 3, 4, 2),
    "conv_2": numbers(ROWS, 6, 4, 2),
    "score": numbers(ROWS, dtype="f8"),
    "counts": np.arange(ROWS * 2, dtype="i8").reshape(ROWS, 2) - 3,
    "flags": np.array([[0, 1, 1]] * ROWS, "u1"),
}
IMAGE = ("height", "width", "channel")
EVEN_COLUMNS = [
    column("conv", (3, 4, 2), axes=IMAGE),
    column("conv_2", (6, 4, 2), axes=IMAGE),
    column("score", (), "f8"),
    column("counts", (2,), "i8", axes=("unit",)),
    column("flags", (3,), "u1"),
    Column("conv:kernel", (3, 2), KERNEL.dtype, {"layout": "weight"}, KERNEL),
]
RAGGED = {
    "boxes": [numbers(row, 4) for row in (2, 0, 3, 1, 2)],
    "both": [numbers(row, 2, row + 1, dtype="f8") for row in (1, 2, 0, 1, 1)],
    "some": [np.arange(row, dtype="i8") for row in (3, 1, 0, 0, 2)],
}
RAGGED_COLUMNS = [
    column("boxes", (-1, 4)),
    column("both", (-1, 2, -1), "f8"),
    column("some", (-1,), "i8"),
]
TEXT_COLUMN = Column("words", (-1,), np.dtype("u1"), {"addresses": ["words"], "dtype": "string"})
LABEL = Column("label", (ROWS,), LABELS.dtype, {"classes": CLASSES}, LABELS, by_sample=True)
REASONS = np.array([b"", "kein Bild: ü".encode(), b"", b"", b""], REASON.dtype)
HALF = numbers(ROWS, 3, dtype="f2")
# What each kind of dump holds, and how many of its rows are written.
KINDS: dict[str, tuple[list[Column], dict[str, Any], int]] = {
    "plain": (EVEN_COLUMNS, EVEN, ROWS),
    "ragged": ([*RAGGED_COLUMNS, EVEN_COLUMNS[2]], RAGGED | {"score": EVEN["score"]}, ROWS),
    "text": ([TEXT_COLUMN], {"words": [encode_texts(word.encode()) for word in WORDS]}, ROWS),
    "float16": ([column("half", (3,), "f2", axes=("unit",))], {"half": HALF}, ROWS),
    "labelled": (
        [EVEN_COLUMNS[0], LABEL, VALID, REASON],
        {"conv": EVEN["conv"], "valid": (REASONS == b"").astype("u1"), "reason": REASONS},
        ROWS,
    ),
    "partial": (EVEN_COLUMNS, EVEN, 3),
    "partial of unknown length": (EVEN_COLUMNS[:1], {"conv": EVEN["conv"]}, 3),
    "partial ragged": (RAGGED_COLUMNS, RAGGED, 3),
}
WHOLE = [kind for kind in KINDS if "partial " not in kind]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dump of each kind."""
    paths = {}
    for kind, (columns, rows, written) in KINDS.items():
        path = tmp_path_factory.mktemp("dumps") / f"{kind.replace(' ', '_')}.h5"
        endless = "unknown" in kind
        names = np.char.encode(NAMES, "utf-8")
        samples = np.concatenate([names, np.zeros(1 << 20, names.dtype)]) if endless else NAMES
        contents = Contents(
            columns=columns, samples=samples, attrs={"model": "größe"}, open_ended=endless
        )
        with Writer(OutputSpec(path=path), contents) as writer:
            writer.write(0, {name: values[:written] for name, values in rows.items()})
            if written == ROWS:
                writer.finish()
        paths[kind] = path if written == ROWS else writer.partial
    return paths


def expect(kind: str) -> dict[str, list[Any]]:
    """Give the values of all datasets of a dump, flat, as they lie in the file."""
    columns, rows, _ = KINDS[kind]
    expected: dict[str, list[Any]] = {"sample": list(range(ROWS)), "sample_name": NAMES}
    for each in columns:
        if each.value is not None:
            expected[each.name] = each.value.reshape(-1).tolist()
        elif each.name == "reason":
            expected["reason"] = [text.decode() for text in REASONS.tolist()]
        elif not each.ragged:
            expected[each.name] = rows[each.name].reshape(-1).tolist()
        else:
            values = [row.reshape(-1) for row in rows[each.name]]
            lengths = [row.size if each.name != "boxes" else len(row) for row in rows[each.name]]
            expected[f"{each.name}/values"] = np.concatenate(values).tolist()
            expected[f"{each.name}/offsets"] = [0, *np.cumsum(lengths).tolist()]
            expected[f"{each.name}/shapes"] = [
                size for row in rows[each.name] for size in row.shape
            ]
    return expected


def run(*command: str | Path, **more: Any) -> str:
    """Run a program that must be there and succeed, and give what it prints."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"} | more
    done = subprocess.run([*map(str, command)], capture_output=True, env=environment, check=False)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{command}: {done.returncode}\n{said}{done.stdout[-2000:]!r}"
    return done.stdout.decode()


def count_right(kind: str, name: str, values: Sequence[Any]) -> int:
    """Count the values of a dataset that were written; the others may be anything."""
    if name in ("sample", "sample_name", "conv:kernel"):
        return len(values)
    return len(values) // ROWS * KINDS[kind][2]


def check(kind: str, printed: str, names: list[str] | None = None) -> None:
    """Compare the lines of a reader with what was written: a name and values each."""
    found = {name: values for name, *values in (row.split("\t") for row in printed.splitlines())}
    expected = expect(kind)
    for name in names or expected:
        values = found[name]
        share = count_right(kind, name, expected[name])
        assert len(values) == len(expected[name]), (name, values)
        if isinstance(expected[name][0], str):
            assert values == expected[name], name
        else:
            assert [float(value) for value in values[:share]] == expected[name][:share], name


def dump_numbers(path: Path, name: str, part: Sequence[str], out: Path) -> list[Any]:
    """Read numbers with h5dump, as bytes, of the dtype that it says."""
    said = run("h5dump", "-H", "-d", f"/{name}", path)
    found = re.search(r"(IEEE_F|STD_I|STD_U)(\d+)LE", said)
    kinds = {"IEEE_F": "f", "STD_I": "i", "STD_U": "u"}
    # What C has no type for is given in the next one that it has.
    kind, dtype = "NATIVE", "f4"
    if found is not None:
        kind, dtype = "LE", f"{kinds[found[1]]}{int(found[2]) // 8}"
    run("h5dump", "-d", f"/{name}", *part, "-b", kind, "-o", out, path)
    return np.frombuffer(out.read_bytes(), dtype).tolist()


def dump_texts(path: Path, name: str, part: Sequence[str]) -> list[Any]:
    """Read texts with h5dump, which writes bytes beyond ASCII as escapes."""
    printed = run("h5dump", "-y", "-w", "0", "-d", f"/{name}", *part, path)
    assert "CSET H5T_CSET_ASCII" in printed
    quoted = re.findall(
        r'"((?:[^"\\]|\\.)*)"', printed[printed.index("DATA {") :].split("ATTRIBUTE")[0]
    )
    # It writes a byte beyond ASCII in octal, with its sign extended to 32 bits.
    octal = re.compile(rb"\\(?:37777777)?([0-7]{3})")
    texts = [octal.sub(lambda f: bytes([int(f[1], 8) & 255]), text.encode()) for text in quoted]
    return [text.rstrip(b"\0").decode() for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_h5dump_reads_every_value(dumps, kind, tmp_path):
    path, written = dumps[kind], KINDS[kind][2]
    assert "DATASET" in run("h5dump", "-H", path)
    if kind in WHOLE:
        run("h5dump", path)
    for name, values in expect(kind).items():
        part: list[str] = []
        if "partial " in kind:  # which has room for all that may come
            each = len(values) // ROWS
            inner = KINDS[kind][1][name].shape[1:] if name in KINDS[kind][1] else ()
            rows = written
            if "/" in name:
                group, _, kept = name.partition("/")
                ends = expect(kind)[f"{group}/offsets"]
                inner = {"boxes/values": (4,)}.get(name, ())
                if kept == "shapes":
                    inner, each = (each,), each
                rows = {"values": ends[written], "offsets": written + 1, "shapes": written}[kept]
                each = int(np.prod(inner))
            part = ["-s", ",".join(["0"] * (1 + len(inner)))]
            part += ["-c", ",".join(map(str, (rows, *inner)))]
            values = values[: each * rows]
        is_text = isinstance(values[0], str)
        read = (
            dump_texts(path, name, part)
            if is_text
            else dump_numbers(path, name, part, tmp_path / "x")
        )
        assert len(read) == len(values), name
        share = len(values) if "partial " in kind else count_right(kind, name, values)
        assert read[:share] == values[:share], name


@pytest.mark.parametrize("kind", KINDS)
def test_h5ls_lists_all_and_shows_values(dumps, kind):
    listed = run("h5ls", "-v", "-r", dumps[kind])
    names = re.findall(r"^/(\S+(?: \S+)*)\s+Dataset", listed, re.MULTILINE)
    assert {*expect(kind)} <= {name.replace("\\", "") for name in names}
    assert re.search(r"Attribute: _Encoding scalar\n", listed)
    first = run("h5ls", "-d", f"{dumps['plain']}/counts")
    assert [int(n) for n in re.findall(r"-?\d+(?=[,\n])", first.partition("Data:")[2])] == (
        expect("plain")["counts"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ncdump_reads_dimensions_and_values(dumps, kind):
    header = run("ncdump", "-h", dumps[kind])
    assert f"sample = {len(NAMES) + (1 << 20 if 'unknown' in kind else 0)} ;" in header
    if kind == "plain":
        assert "float conv(sample, height_3, width, channel) ;" in header
        assert "float conv_2(sample, height_6, width, channel) ;" in header
        assert 'conv:coordinates = "sample_name" ;' in header
    for name in KINDS[kind][1].keys() & expect(kind).keys():
        if "unknown" in kind or name == "reason":  # which ncdump 4.9.0 crashes over
            continue
        printed = run("ncdump", "-p", "9,17", "-v", name, dumps[kind])
        block = re.search(rf"^ {re.escape(name)} =(.*?);", printed, re.DOTALL | re.MULTILINE)[1]
        values = [float(re.sub("[A-Z]+$", "", text.strip())) for text in block.split(",")]
        array = np.array(values).astype(KINDS[kind][1][name].dtype).reshape(-1).tolist()
        share = len(array) // ROWS * KINDS[kind][2]
        assert array[:share] == expect(kind)[name][:share], name


@pytest.mark.parametrize("kind", WHOLE)
def test_octave_loads_a_dump(dumps, kind):
    # Octave makes names of its own of those that can't be a variable's.
    names = [name for name in expect(kind) if name != "conv:kernel"]
    check(kind, run("octave-cli", "-qf", HERE / "read.m", dumps[kind]), names)


@pytest.mark.parametrize("package", ["rhdf5", "hdf5r", "ncdf4"])
@pytest.mark.parametrize("kind", WHOLE)
def test_r_reads_a_dump(dumps, kind, package):
    names = [*expect(kind)]
    if package == "ncdf4":  # netCDF 4.9.0 crashes over every array of texts
        names = [name for name in names if name not in ("sample_name", "reason")]
    check(kind, run("Rscript", HERE / "read.R", package, dumps[kind], *names), names)


@pytest.mark.parametrize("kind", WHOLE)
def test_h5wasm_reads_a_dump(dumps, kind, tmp_path):
    # A module is looked for beside the script alone.
    (tmp_path / "node_modules").symlink_to(os.environ["KPROBE_NODE_MODULES"])
    script = shutil.copy(HERE / "read.mjs", tmp_path)
    names = [name for name in expect(kind) if name != "half"]  # which has no type in JavaScript
    check(kind, run("node", "--preserve-symlinks", script, dumps[kind], *names), names)


@pytest.mark.parametrize("reader", ["KPROBE_DEBIAN_PYTHON", "KPROBE_OLD_PYTHON"])
@pytest.mark.parametrize("kind", WHOLE)
def test_an_older_h5py_reads_a_dump(dumps, kind, reader):
    if reader == "KPROBE_OLD_PYTHON" and reader not in os.environ:
        pytest.skip("there is no Python 3.8 for h5py 2.10")
    python = os.environ[reader]
    check(kind, run(python, HERE / "read_h5py.py", dumps[kind], *expect(kind), PYTHONPATH=""))


@pytest.mark.parametrize("kind", ["plain", "float16", "labelled", "partial"])
def test_xarray_reads_a_dump_by_itself_and_by_us(dumps, kind):
    rows, written = KINDS[kind][1], KINDS[kind][2]
    names = [name for name in rows if name not in ("valid", "reason")]
    with xarray.open_dataset(dumps[kind], engine="h5netcdf") as dataset:
        assert dataset["sample_name"].values.tolist() == NAMES
        for name in names:
            assert dataset[name].dims[0] == "sample"
            np.testing.assert_array_equal(dataset[name][:written], rows[name][:written])
    with open_dump(dumps[kind]) as dump:
        dataset = dump.to_xarray()
        assert dataset["sample"].values.tolist() == NAMES[:written]
        for name in names:
            one = dataset[name].sel(sample=NAMES[2])
            np.testing.assert_array_equal(one, rows[name][2])


def test_what_the_manual_shows_of_other_languages_works(dumps, tmp_path, monkeypatch):
    page = (Path(kprobe.__file__).parent / "help" / "dumps.md").read_text()
    blocks = dict(re.findall(r"^```(\w+) shown\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    monkeypatch.chdir(tmp_path)
    values, names = numbers(7, 8, 8, 40), [f"größe[{row}]" for row in range(7)]
    contents = Contents(columns=[column("conv5_3", (8, 8, 40), axes=IMAGE)], samples=names)
    with Writer(OutputSpec(path=Path("acts.h5")), contents) as writer:
        writer.write(0, {"conv5_3": values})
        writer.finish()
    (tmp_path / "node_modules").symlink_to(os.environ["KPROBE_NODE_MODULES"])
    programs = {"octave": ["octave-cli", "-q"], "r": ["Rscript"], "javascript": ["node"]}
    for language, program in programs.items():
        name = {"octave": "a.m", "r": "a.R", "javascript": "a.mjs"}[language]
        Path(name).write_text(blocks[language])
        shown_name, shown = run(*program, name).split()
        assert shown_name == names[5], language
        np.testing.assert_allclose(float(shown), values[5, 2, 1, 0], rtol=1e-5)
