"""Nothing is written over what is read, whatever names both have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kprobe.errors import DumpError
from kprobe.pipeline.planning.apart import check_apart
from kprobe.pipeline.planning.job import make_job


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tree/below").mkdir(parents=True)
    for name in ("m.keras", "w.h5", "x.npy", "tree/a.png", "tree/below/b.png", "free.h5"):
        Path(name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("read", "settings"),
    [
        ("m.keras", {}),
        ("w.h5", {"weights": "w.h5"}),
        ("x.npy", {"inputs": "x.npy"}),
        ("x.npy", {"inputs": ["left=x.npy", "right=tree"]}),
        ("x.npy", {"inputs": {"left": Path("x.npy")}}),
        ("x.npy", {"feeds": ["conv=x.npy"]}),
        ("tree/below/b.png", {"inputs": "tree"}),
        ("tree/a.png", {"inputs": "tree/*.png"}),
        ("x.npy", {"inputs": "link"}),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".partial"])
def test_an_output_is_none_of_what_is_read(read, settings, suffix):
    Path("link").symlink_to("x.npy")
    Path(f"other.h5{suffix}").hardlink_to(read)
    job = make_job(model="m.keras", layers=["conv"], output="other.h5", **settings)
    with pytest.raises(DumpError, match=rf"^other\.h5{suffix}, the same file as .*, is read"):
        check_apart(job)
    job = make_job(model="m.keras", layers=["conv"], output="free.h5", **settings)
    check_apart(job)
    with pytest.raises(DumpError, match=rf"^other\.h5{suffix}, "):
        check_apart(job, [Path("free.h5"), Path(f"other.h5{suffix}")])


@pytest.mark.parametrize(
    ("weights", "read"),
    [
        ("ck/w", "ck/w.index"),
        ("ck/w", "ck/w.data-00000-of-00001"),
        ("ck/w.index", "ck/w.data-00000-of-00001"),
        ("ck", "ck/w.data-00000-of-00001"),
        ("m.weights.json", "m.weights.json"),
        ("m.weights.json", "m_0.weights.h5"),
    ],
)
def test_an_output_is_no_file_of_weights_that_are_in_several(weights, read):
    Path("ck").mkdir()
    for name in ("ck/w.index", "ck/w.data-00000-of-00001", "m_0.weights.h5"):
        Path(name).write_text(name)
    Path("m.weights.json").write_text('{"weight_map": {"/a": ["m_0.weights.h5", "gone.h5"]}}')
    Path("other.h5").hardlink_to(read)
    settings = {"model": "m.keras", "layers": ["conv"], "weights": weights}
    with pytest.raises(DumpError, match=r"^other\.h5, the same file as .*, is read"):
        check_apart(make_job(output="other.h5", **settings))
    check_apart(make_job(output="free.h5", **settings))


def test_weights_that_are_not_there_are_told_elsewhere():
    for weights in ("gone.h5", "tree", "m.weights.json"):
        Path("m.weights.json").write_text('{"weight_map": {"/a": ["../m.keras"]}}')
        check_apart(make_job(model="m.keras", layers=["c"], output="f.h5", weights=weights))


def test_what_is_in_memory_is_no_file():
    job = make_job(model="m.keras", layers=["conv"], output="x.npy", inputs=np.zeros((2, 3)))
    check_apart(job)
