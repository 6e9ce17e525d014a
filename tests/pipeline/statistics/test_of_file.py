"""Statistics of a dump: which tensors, in which order, and of which samples."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError, KprobeError

GENERATOR = np.random.default_rng(0)
ROWS = 20
LAST = np.maximum(GENERATOR.normal(0, 1, (ROWS, 4, 3)), 0).astype("f4")
LAST[:, :, 1] = 0
LAST[12:, 0, 0] = np.nan
FIRST = GENERATOR.normal(5, 1, (ROWS, 6)).astype("f4")
FIRST[15, 2] = np.inf
FIRST[17] = np.nan
KERNEL = GENERATOR.normal(0, 1, (6, 3)).astype("f4")


def write(path, *, stop=ROWS, computed=("first", "end"), finish=True, valid=None):
    columns = [
        Column("end", (4, 3), np.dtype("f4"), {"addresses": ["block/last"], "dtype": "float32"}),
        Column("word", (-1,), np.dtype("u1"), {"addresses": ["word"], "dtype": "string"}),
        Column("first", (6,), np.dtype("f4"), {"addresses": ["first"], "dtype": "float32"}),
        Column(
            *("first:kernel", (6, 3), np.dtype("f4")),
            {"addresses": ["first:kernel"], "dtype": "float32", "layout": "weight"},
            KERNEL,
        ),
        *([] if valid is None else [VALID, REASON]),
    ]
    attrs = {"computed": list(computed)} if computed else {}
    names = [f"image{row}.png" for row in range(ROWS)]
    contents = Contents(columns=columns, samples=names, attrs=attrs)
    rows = {
        "end": LAST[:stop],
        "word": [np.frombuffer(b"text", "u1")] * stop,
        "first": FIRST[:stop],
    }
    if valid is not None:
        rows |= {"valid": valid.astype("u1"), "reason": np.full(stop, b"", REASON.dtype)}
    with contextlib.suppress(KeyboardInterrupt), Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, rows)
        if not finish:
            raise KeyboardInterrupt
        writer.finish()
    return path if finish else path.with_name(f"{path.name}.partial")


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return write(tmp_path_factory.mktemp("dump") / "a.h5")


def check(tensor, values):
    finite = values[np.isfinite(values)].astype("f8")
    assert tensor.count == values.size
    assert (tensor.nan, tensor.inf) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert tensor.mean == pytest.approx(finite.mean(), rel=1e-12)
    assert (tensor.min, tensor.max) == (finite.min(), finite.max())
    assert tensor.zeros == (values == 0).mean()


def test_tensors_are_told_in_the_order_of_computing_and_weights_last(dump):
    report = kprobe.stats(dump)
    assert [t.address for t in report.tensors] == ["first", "block/last", "first:kernel"]
    for tensor, values in zip(report.tensors, (FIRST, LAST, KERNEL), strict=True):
        check(tensor, values)
    assert report.tensors[1].dead_channels == 1
    assert report.uncounted == ["word holds no numbers"]
    assert (report.samples, report.complete) == (ROWS, True)


def test_nan_begins_in_the_first_tensor_computed_not_in_the_first_sample(dump, tmp_path):
    report = kprobe.stats(dump)
    assert (report.first_nan.address, report.first_nan.row) == ("first", 17)
    assert report.first_nan.sample == "image17.png"
    assert (report.first_inf.kind, report.first_inf.row) == ("infinity", 15)
    assert report.tensors[1].first_nan == 12
    # Older dumps don't say the order: then it is that in which they are stored.
    old = kprobe.stats(write(tmp_path / "old.h5", computed=()))
    assert old.first_nan.address == "block/last"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("end", ["block/last"]),
        ("block/last,first", ["first", "block/last"]),
        (["first:*", "end"], ["block/last", "first:kernel"]),
        (["f?rst", "first"], ["first"]),
        ("*", ["first", "block/last", "first:kernel"]),
        (["end", "block/*"], ["block/last"]),
    ],
)
def test_addresses_names_and_patterns_choose(asked, found, dump):
    assert [tensor.address for tensor in kprobe.stats(dump, asked).tensors] == found


def test_all_unknown_addresses_are_told_together(dump):
    with pytest.raises(DumpError) as raised:
        kprobe.stats(dump, "frist,end,conv*")
    first, second = raised.value.lines
    assert first == f"{dump}: has no address 'frist'; nearest: first"
    assert second.startswith(f"{dump}: has no address 'conv*'; it has ")


def test_of_an_unfinished_dump_what_is_committed_counts(tmp_path):
    partial = write(tmp_path / "a.h5", stop=14, finish=False)
    report = kprobe.stats(partial)
    assert (report.samples, report.total, report.complete) == (14, ROWS, False)
    check(report.tensors[0], FIRST[:14])
    assert report.first_nan.address == "block/last"


def test_samples_that_could_not_be_read_do_not_count(tmp_path):
    valid = np.ones(ROWS, bool)
    valid[[0, 17]] = False
    report = kprobe.stats(write(tmp_path / "a.h5", valid=valid))
    assert (report.left_out, report.samples) == (2, ROWS)
    check(report.tensors[0], FIRST[valid])
    assert report.first_nan.address == "block/last"


def test_each_sample_is_told_of_by_name(dump):
    report = kprobe.stats(dump, "first,end", by="sample")
    table = report.to_pandas(by="sample")
    assert len(table) == 2 * ROWS
    for row in (0, 15, 19):
        told = table.loc[("first", f"image{row}.png")]
        finite = FIRST[row][np.isfinite(FIRST[row])].astype("f8")
        assert told["row"] == row
        assert told["mean"] == pytest.approx(finite.mean())
        assert told["inf"] == np.isinf(FIRST[row]).sum()
    with pytest.raises(DumpError, match="gather them again with by='sample'"):
        kprobe.stats(dump).to_pandas(by="sample")
    with pytest.raises(KprobeError, match=r"by: expected .*, received 'chanel'; nearest: channel"):
        kprobe.stats(dump).to_pandas(by="chanel")


def test_channels_are_told_of(dump):
    table = kprobe.stats(dump, "end").to_pandas(by="channel")
    assert table["dead"].tolist() == [False, True, False]
    for channel in range(3):
        values = LAST[:, :, channel]
        mean = values[np.isfinite(values)].astype("f8").mean()
        assert table.loc[("block/last", channel), "mean"] == pytest.approx(mean)


def test_what_was_kept_tells_the_same(dump, tmp_path):
    kept = tmp_path / "kept.h5"
    report = kprobe.stats(dump, output=kept, by="sample")
    again = kprobe.stats(kept)
    assert again.to_json("sample") == report.to_json("sample")
    assert again.source == str(dump)
    assert [t.address for t in kprobe.stats(kept, "block*").tensors] == ["block/last"]
    with pytest.raises(DumpError, match="has no address 'ends'"):
        kprobe.stats(kept, "ends")


def test_what_is_no_dump_is_told_before_anything_is_written(dump, tmp_path):
    (tmp_path / "text").write_text("no HDF5")
    h5py.File(tmp_path / "other.h5", "w").close()
    newer = write(tmp_path / "newer.h5")
    with h5py.File(newer, "a") as file:
        file.attrs["format_version"] = 99
    refused = {
        "text": "received a file that HDF5 can't open",
        "other.h5": "received an HDF5 file of another tool",
        "newer.h5": "received format 99",
        "none.h5": "received a path where there is no file",
    }
    for name, message in refused.items():
        with pytest.raises(DumpError, match=message):
            kprobe.stats(tmp_path / name)
    with pytest.raises(DumpError, match="exists and is not statistics of kprobe"):
        kprobe.stats(dump, output=newer, overwrite=True)
    kprobe.stats(dump, output=tmp_path / "kept.h5")
    with pytest.raises(DumpError, match="received a file of kprobe statistics"):
        kprobe.open_dump(tmp_path / "kept.h5")


def test_settings_of_a_model_are_refused_with_a_dump(dump):
    with pytest.raises(kprobe.KprobeError, match="exact, inputs: expected a model, received"):
        kprobe.stats(dump, exact=True, inputs="x.npy")
    with pytest.raises(kprobe.KprobeError, match="received 'chanel'; did you mean"):
        kprobe.stats(dump, by="chanel")
    with pytest.raises(TypeError, match="unknown keyword 'fail_on'"):
        kprobe.stats(dump, fail_on="nan")


def test_what_a_weight_lacks_is_not_dead_and_a_dtype_is_that_of_the_tensor(tmp_path):
    told = {"addresses": ["half"], "dtype": "bfloat16"}
    columns = [
        Column("half", (2,), np.dtype("f4"), told),
        Column("flag", (), np.dtype("u1"), {"addresses": ["flag"], "dtype": "bool"}),
        Column("thin", (), np.dtype("f2"), {"addresses": ["thin"], "dtype": "bfloat16"}),
        Column(
            *("half:bias", (2,), np.dtype("f4")),
            {"addresses": ["half:bias"], "dtype": "bfloat16", "layout": "weight"},
            np.zeros(2, "f4"),
        ),
    ]
    zeros = {"half": np.zeros((2, 2), "f4"), "flag": np.zeros(2, "u1"), "thin": np.zeros(2, "f2")}
    contents = Contents(columns=columns, samples=["a", "b"])
    with Writer(OutputSpec(path=tmp_path / "a.h5"), contents) as writer:
        writer.write(0, zeros)
        writer.finish()
    for _ in range(2):  # of the dump, and of what was kept
        report = kprobe.stats(tmp_path / "a.h5", overwrite=True, output=tmp_path / "s.h5")
        dtypes = {tensor.address: tensor.dtype for tensor in report.tensors}
        names = {"half": "bfloat16", "flag": "bool", "thin": "float16", "half:bias": "bfloat16"}
        assert dtypes == names
        half, *_, bias = report.tensors
        assert (half.dead, half.dead_channels, half.saturated) == (1, 2, 0)
        assert (bias.dead, bias.dead_channels, bias.zeros, bias.channels) == (None, None, 1, 2)
        assert [channel.dead for channel in report.by_channel["half:bias"]] == [None, None]
        (tmp_path / "s.h5").rename(tmp_path / "a.h5")
    with pytest.raises(DumpError, match=r"a\.h5 is read, and isn't written over; choose another"):
        kprobe.stats(tmp_path / "a.h5", overwrite=True, output=tmp_path / "a.h5")


def test_channels_and_samples_meet_conditions_of_their_own(dump):
    report = kprobe.stats(dump, by="sample")
    channels = report.find_failures("*last:dead,first:nan>1", by="channel")
    assert [(f.address, f.channel, f.field, f.value) for f in channels] == [
        ("block/last", 1, "dead", 1)
    ]
    samples = report.find_failures("first:nan>1", by="sample")
    assert [(f.address, f.row, f.value) for f in samples] == [("first", 17, 6)]
    with pytest.raises(KprobeError) as refused:
        report.find_failures("frist:nan,x*:max>1,last:nan")
    assert refused.value.lines == [
        "frist:nan: there is no tensor frist; nearest: first",
        "x*:max>1: there is no tensor x*; there are first, block/last, first:kernel",
        "last:nan: there is no tensor last; there are first, block/last, first:kernel",
    ]
    for text, by in (("q0.5>1", "channel"), ("dead", "sample")):
        with pytest.raises(KprobeError, match=f"there is no {text[:4]} of a {by}; there are"):
            report.find_failures(text, by)


def test_an_address_may_have_a_comma(tmp_path):
    addresses = ["a,b", "a", "red\x1b[31m"]
    columns = [
        Column(f"c{i}", (), np.dtype("f4"), {"addresses": [a]}) for i, a in enumerate(addresses)
    ]
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"), Contents(columns=columns, samples=["s"])
    ) as writer:
        writer.write(0, {f"c{i}": np.array([np.nan], "f4") for i in range(3)})
        writer.finish()
    asked = {"a,b": ["a,b"], "a,red*": ["a", "red\x1b[31m"], "a,*": sorted(addresses)}
    for text, found in asked.items():
        report = kprobe.stats(tmp_path / "a.h5", text)
        assert [tensor.address for tensor in report.tensors] == found
