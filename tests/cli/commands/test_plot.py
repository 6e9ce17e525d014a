"""`kprobe plot`: of a dump, of statistics and of a model, and what is said of mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DIGITS = "sample_models/digits_cnn.keras"
SCANS = "sample_models/digits.npz"
OF_MODEL = ["--layers", "relu1,digit", "--input", SCANS]


@pytest.fixture(scope="module")
def acts(drawable):
    return str(drawable)


def list_files():
    return sorted(path.name for path in Path().iterdir() if path.name != "sample_models")


def test_a_dump_becomes_a_sheet_and_a_tensor_a_picture(kprobe_here, acts):
    done = kprobe_here("plot", acts)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "kprobe: left out: net/words: expected numbers to draw, received text",
        "kprobe: acts.png: 6 pictures, sample 1: photos/01.png",
    ]
    done = kprobe_here("plot", acts, "conv", "--sample", "photos/07.png", "--channels", "0:4")
    assert done.stderr == "kprobe: acts.net.conv.png: net/conv, sample 7: photos/07.png\n"
    assert list_files() == ["acts.net.conv.png", "acts.png"]
    done = kprobe_here("plot", acts, "conv")
    assert done.exit_code == 2
    assert done.stderr == (
        "kprobe: acts.net.conv.png: exists already; replace it with --overwrite\n"
    )
    assert kprobe_here("plot", acts, "conv", "--overwrite", "--quiet").stderr == ""


def test_the_output_says_the_format_and_whether_it_is_a_folder(kprobe_here, acts):
    for name, magic in [("a.png", b"\x89PNG"), ("b.svg", b"<?xml"), ("c.pdf", b"%PDF")]:
        assert kprobe_here("plot", acts, "score", "-o", name).exit_code == 0
        assert Path(name).read_bytes().startswith(magic)
    done = kprobe_here("plot", acts, "score", "features", "-o", "all/", "--format", "svg")
    assert done.stderr == "kprobe: all: 2 pictures\n"
    assert sorted(path.name for path in Path("all").iterdir()) == [
        "net.features.svg",
        "net.score.svg",
    ]


def test_a_home_that_can_not_be_written_is_no_trouble(kprobe_process, acts):
    elsewhere = dict.fromkeys(["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"], "/proc/nowhere")
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules))"
    Path("sitecustomize.py").write_text(report)
    path = os.pathsep.join([".", *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = kprobe_process("plot", acts, "score", env={**elsewhere, "PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (0, "kprobe: acts.net.score.png: net/score\n")
    imported = done.stdout.split()
    assert "matplotlib.figure" in imported
    assert not {"tensorflow", "keras", "tf_keras", "matplotlib.pyplot"} & {*imported}


def test_points_boxes_and_histograms_are_drawn(kprobe_here, acts):
    assert kprobe_here("plot", acts, "features", "--pca", "-o", "pca.png").exit_code == 0
    np.save("images.npy", np.zeros((80, 12, 16, 3), np.uint8))
    boxes = ["boxes", "--boxes", "yxyx", "--images", "images.npy"]
    assert kprobe_here("plot", acts, *boxes, "-o", "boxes.png").exit_code == 0
    assert kprobe_here("stats", acts, "-o", "s.h5", "--quiet").exit_code == 3  # two were left out
    done = kprobe_here("plot", "s.h5", "net/conv", "-o", "h.png")
    assert done.stderr == "kprobe: h.png: net/conv, histograms of 78 samples\n"
    same = kprobe_here("plot", acts, "conv", "--kind", "histogram", "-o", "same.png")
    assert same.exit_code == 0
    assert Path("same.png").read_bytes() == Path("h.png").read_bytes()


def test_a_model_is_drawn_without_a_dump(kprobe_warm, kprobe_here):
    done = kprobe_warm("plot", DIGITS, *OF_MODEL, "--sample", "5", "-o", "model/")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == "kprobe: model: 2 pictures, sample 5: digits.npz:scan[5]"
    assert list_files() == ["model"]
    assert kprobe_here("dump", DIGITS, *OF_MODEL, "--limit", "8", "-o", "a.h5").exit_code == 0
    assert kprobe_here("plot", "a.h5", "--sample", "5", "-o", "dump/").exit_code == 0
    for name in ("relu1.png", "digit.png"):
        one, other = (np.asarray(Image.open(Path(f, name)), int) for f in ("model", "dump"))
        assert np.abs(one - other).max() <= 2  # of what a batch of another size rounds otherwise


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["b.h5"], "b.h5: expected a dump, received a path where there is no file; check the path"),
        ([SCANS], f"{SCANS}: expected a dump, received a file that HDF5 can't open: "),
        ([DIGITS], "expected either --layers or --all, received neither"),
        ([DIGITS, "conv1", "bn1"], "expected the layers of a model as --layers conv1,bn1"),
        (["{acts}", "--all", "--exact"], "--all, --exact: expected a model, received "),
        (["{acts}", "-l", "conv"], "--layers: expected a model, received "),
        (["{acts}", "con"], "{acts}: has no address 'con'; nearest: "),
        (["{acts}", "--sample", "99"], "{acts}: expected a sample from 0 to 79, received 99"),
        (["{acts}", "words"], "net/words: expected numbers to draw, received text"),
        (
            ["{acts}", "-o", "a.jpg"],
            "a.jpg: expected a file that ends with one of .png, .svg, .pdf",
        ),
        (["{acts}", "conv", "-o", "no/a.png"], "no/a.png: there is no directory no; make it first"),
        (["{acts}", "--channels", "a"], "channels: expected numbers such as 0:16 or 3,7, received"),
        (["{acts}", "conv", "--channels", "20"], "net/conv: channels: expected numbers from 0 to"),
        (["{acts}", "--kind", "boxes"], "kind: expected boxes, too, for boxes: one of xyxy, yxyx"),
        (["{acts}", "--pca", "--sample", "3"], "pca: shows all samples as points; expected no sam"),
        (["{acts}", "--kind", "map"], "--kind: "),
        (["{acts}", "conv", "--images", "nowhere"], "nowhere: no such file or folder"),
        (["{acts}", "--kind", "bars", "conv"], "net/conv: bars: expected a row of numbers, rec"),
        ([DIGITS, "--all", "--pca"], "components are of all samples: expected a dump, received a"),
    ],
)
def test_every_mistake_has_a_line(kprobe_here, acts, arguments, line):
    done = kprobe_here("plot", *(each.format(acts=acts) for each in arguments))
    assert (done.exit_code, done.stdout) == (2, "")
    told = [each for each in done.stderr.splitlines() if each.startswith("kprobe: ")]
    assert any(each.startswith(f"kprobe: {line.format(acts=acts)}") for each in told), told
    assert len(told) == 1
    assert list_files() == []
