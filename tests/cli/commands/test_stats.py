"""`kprobe stats`: of a dump and of a model, as a table, as CSV and JSON, and in CI."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe

DIGITS = "sample_models/digits_cnn.keras"
SCANS = "sample_models/digits.npz"
TEN = ["--input", SCANS, "--limit", "10"]


@pytest.fixture
def dumped(kprobe_here):
    """A dump of some layers: a.h5."""
    done = kprobe_here("dump", DIGITS, "--layers", "digit,relu1,features", *TEN, "-o", "a.h5")
    assert done.exit_code == 0, done.stderr
    return "a.h5"


def read_lines(text):
    """Give the words of each line of a table, without its histograms."""
    return [re.sub(r"[▁-█][▁-█ ]*$", "", line).split() for line in text.splitlines()]


def test_a_dump_is_told_of_as_a_table(kprobe_here, dumped, expected):
    done = kprobe_here("stats", dumped)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == expected("stats.txt")


def test_a_model_is_told_of_as_its_dump_is(kprobe_here, dumped):
    done = kprobe_here("stats", DIGITS, "--layers", "digit,relu1,features", *TEN)
    assert done.exit_code == 0, done.stderr
    assert read_lines(done.stdout) == read_lines(kprobe_here("stats", dumped).stdout)
    assert sorted(path.name for path in Path().iterdir()) == ["a.h5", "sample_models"]


def test_json_has_all_numbers(kprobe_here, dumped):
    told = json.loads(kprobe_here("stats", dumped, "relu1", "--json").stdout)
    assert (told["samples"], told["complete"], told["first_nan"]) == (10, True, None)
    (tensor,) = told["tensors"]
    with h5py.File(dumped) as file:
        values = file["relu1"][:]
    assert tensor["address"] == "relu1"
    assert (tensor["count"], tensor["shape"]) == (values.size, [8, 8, 16])
    assert tensor["mean"] == pytest.approx(values.mean(dtype="f8"), rel=1e-12)
    assert tensor["zeros"] == (values == 0).mean()
    assert (tensor["nan"], tensor["inf"], tensor["first_nan"]) == (0, 0, None)
    assert tensor["dead_channels"] == (values == 0).all((0, 1, 2)).sum()
    for part, value in tensor["quantiles"].items():
        right = np.quantile(values, float(part), method="lower")
        assert abs(value - right) <= 2 * tensor["quantile_error"] * abs(right) + 1e-6
    assert sum(tensor["histogram"]["counts"]) == values.size
    told = json.loads(kprobe_here("stats", dumped, "relu1", "--by", "channel", "--json").stdout)
    means = [channel["mean"] for channel in told["tensors"][0]["by_channel"]]
    np.testing.assert_allclose(means, values.mean((0, 1, 2), dtype="f8"), rtol=1e-12)


def test_csv_has_a_line_for_each_sample(kprobe_here, dumped):
    done = kprobe_here("stats", dumped, "digit", "--by", "sample", "--csv")
    records = list(csv.DictReader(io.StringIO(done.stdout)))
    with h5py.File(dumped) as file:
        largest = file["digit"][:].max(1)
    assert [record["sample"] for record in records] == [f"digits.npz:scan[{i}]" for i in range(10)]
    assert [float(record["max"]) for record in records] == largest.tolist()
    shown = read_lines(kprobe_here("stats", dumped, "digit", "--by", "sample").stdout)
    assert [line[:3] for line in shown[1:3]] == [
        ["digit", "0", "digits.npz:scan[0]"],
        ["digit", "1", "digits.npz:scan[1]"],
    ]


def test_what_is_kept_is_read_again(kprobe_here, dumped):
    done = kprobe_here("stats", DIGITS, "--all", *TEN, "-o", "s.h5", "--quiet")
    assert (done.exit_code, done.stdout) == (0, "")
    kept = kprobe_here("stats", "s.h5", "feat*", "--json")
    assert json.loads(kept.stdout)["tensors"][0]["address"] == "features"
    done = kprobe_here("show", "s.h5")
    assert done.stderr == ("kprobe: s.h5: expected a dump, received a file of kprobe statistics\n")
    done = kprobe_here("stats", dumped, "-o", "s.h5")
    assert done.stderr == "kprobe: s.h5: exists already; replace it with --overwrite\n"
    assert kprobe_here("stats", dumped, "-o", "s.h5", "--overwrite").exit_code == 0
    assert len(json.loads(kprobe_here("stats", "s.h5", "--json").stdout)["tensors"]) == 3
    done = kprobe_here("stats", "s.h5", "--by", "sample")
    assert done.exit_code == 2
    assert "; gather them again with --by sample\n" in done.stderr


def find_dead(path):
    with h5py.File(path) as file:
        return np.flatnonzero((file["features"][:] == 0).all(0)).tolist()


def test_conditions_end_with_1_and_say_which_tensors_and_values(kprobe_here, dumped):
    with h5py.File(dumped) as file:
        largest = {name: file[name][:].max() for name in ("relu1", "features")}
    done = kprobe_here("stats", dumped, "--fail-on", "nan,max>1.5", "--quiet")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"kprobe: {name}: max>1.5, and max is {value:.4g}" for name, value in largest.items()
    ]
    assert kprobe_here("stats", dumped, "--fail-on", "nan,max>1e9").exit_code == 0
    done = kprobe_here("stats", dumped, "--by", "channel", "--fail-on", "re*:dead", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    done = kprobe_here("stats", dumped, "--by", "channel", "--fail-on", "fe*:dead", "--quiet")
    lines = [f"kprobe: features, channel {c}: fe*:dead, and dead is 1" for c in find_dead(dumped)]
    assert done.stderr.splitlines()[: len(lines)] == lines[:20]
    done = kprobe_here("stats", DIGITS, "--all", "-i", SCANS, "--fail-on", "conv9:nan")
    assert done.exit_code == 2
    assert "conv9:nan: there is no tensor conv9; nearest: conv1" in done.stderr
    done = kprobe_here("stats", dumped, "relu1", "--fail-on", "count>1e4", "--quiet")
    whole = next(t for t in kprobe.stats(dumped).tensors if t.address == "relu1").count
    assert done.stderr == f"kprobe: relu1: count>1e4, and count is {whole:,}\n"


def test_options_may_be_in_the_file_that_a_dump_gives(kprobe_here, dumped):
    Path("job.toml").write_text(kprobe_here("show", dumped, "--as-config").stdout)
    told = json.loads(kprobe_here("stats", "--config", "job.toml", "--json").stdout)
    ours = json.loads(kprobe_here("stats", dumped, "--json").stdout)
    assert [each["count"] for each in told["tensors"]] == [t["count"] for t in ours["tensors"]]
    done = kprobe_here("stats", "--config", "job.toml", "--all", "--limit", "2", "--json")
    assert json.loads(done.stdout)["samples"] == 2
    done = kprobe_here("stats", dumped, "--config", "job.toml")
    assert done.exit_code == 2
    assert "--layers, --input, --limit, --batch-size: expected a model, received" in done.stderr


def test_nan_is_told_with_the_first_tensor_and_sample(kprobe_here):
    scans = np.load(SCANS)["scan"][:10].copy()
    scans[7, 0, 0] = np.nan
    np.save("nan.npy", scans)
    np.save("\x1b[2J.npy", scans[7:])
    done = kprobe_here("stats", DIGITS, "--layers", "relu1", "-i", "\x1b[2J.npy")
    assert done.stdout.splitlines()[-1].endswith(r"in sample 0 (\x1b[2J.npy[0])")
    done = kprobe_here("stats", DIGITS, "--layers", "digit,conv2,relu1", "-i", "nan.npy")
    assert done.stdout.splitlines()[-1] == "NaN is in relu1 first, in sample 7 (nan.npy[7])"
    assert "nan" in done.stdout.splitlines()[0].split()


def test_tensorboard_gets_a_file(kprobe_here, dumped):
    done = kprobe_here("stats", dumped, "--tensorboard", "logs", "--step", "3")
    (path,) = Path("logs").iterdir()
    assert done.stderr == f"kprobe: {path}: 3 tensors at step 3\n"


def test_a_run_that_is_stopped_tells_what_it_knows_or_continues(kprobe_here):
    arguments = ["--layers", "digit", "--random", "1000000", "--batch-size", "4"]
    done = kprobe_here("stats", DIGITS, *arguments, "--stop-after", "0.3s")
    assert done.exit_code == 75
    assert read_lines(done.stdout)[1][0] == "digit"
    assert "these are the statistics of" in done.stderr
    assert done.stderr.endswith("; keep them with --output FILE\n")
    done = kprobe_here("stats", DIGITS, *arguments, "--stop-after", "0.3s", "-o", "s.h5")
    assert (done.exit_code, done.stdout) == (75, "")
    assert done.stderr.endswith(
        "samples are in s.h5.partial; continue with the same command and --resume\n"
    )
    done = kprobe_here("stats", "s.h5.partial")
    assert re.fullmatch(
        r"kprobe: s.h5.partial isn't complete: these are the statistics of [\d,]+ of 1,000,000 "
        r"samples\n",
        done.stderr,
    )
    done = kprobe_here("stats", "s.h5")
    assert done.stderr == (
        "kprobe: s.h5: expected a dump, received a path where there is no file; "
        "s.h5.partial holds what was written of it\n"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["b.h5"], "b.h5: expected a dump, received a path where there is no file; check the path"),
        ([SCANS], f"{SCANS}: expected a dump, received a file that HDF5 can't open: "),
        ([DIGITS], "expected either --layers or --all, received neither"),
        ([DIGITS, "conv1", "bn1"], "expected the layers of a model as --layers conv1,bn1"),
        (["b.keras", "--all"], "b.keras: no such file; check the model's path"),
        (["b.keras"], "expected either --layers or --all, received neither"),
        (["a.h5", "featurs"], "a.h5: has no address 'featurs'; nearest: features"),
        (["a.h5", "--all", "--exact"], "--all, --exact: expected a model, received a.h5"),
        (["a.h5", "-l", "digit"], "--layers: expected a model, received a.h5, in which all is"),
        ([DIGITS, "--all", "--resume"], "--resume continues what -o FILE keeps: expected -o, too"),
        (["a.h5", "--resume"], "--resume: expected a model, received a.h5, in which all is"),
        (["a.h5", "--json", "--csv"], "--json and --csv both want stdout"),
        (["a.h5", "-o", "-"], "-o - isn't there for statistics: expected the name of a file"),
        (["a.h5", "--fail-on", "ded>1"], "ded>1: there is no ded of a tensor; nearest: dead"),
        (["a.h5", "--by", "chanel"], "--by: "),
        (["a.h5", "-o", "nowhere/s.h5"], "nowhere/s.h5: there is no directory nowhere"),
    ],
)
def test_every_mistake_has_a_line(kprobe_here, dumped, arguments, line):
    done = kprobe_here("stats", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    # -v, which keeps this process's stderr, shows tracebacks, too.
    told = [each for each in done.stderr.splitlines() if each.startswith("kprobe: ")]
    assert any(each.startswith(f"kprobe: {line}") for each in told), told
    assert len(told) == 1 or arguments[0] == "b.keras"


def test_several_faults_are_told_together(kprobe_here, dumped):
    done = kprobe_here("stats", dumped, "--json", "--csv", "--fail-on", "nam,mx>1", "--layers", "x")
    told = done.stderr.splitlines()
    assert [each.partition(":")[2].split()[0] for each in told] == [
        "--json",
        "nam:",
        "mx>1:",
        "--layers:",
    ]
    assert done.exit_code == 2
