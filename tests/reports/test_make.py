"""Reports of real files: what is a source, what is refused; equal ones give equal pages."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.errors import DumpError, InputError
from kprobe.reports.make import make_report


@pytest.fixture(scope="module")
def sources(write_dump, comparison, tmp_path_factory):
    """A dump, its statistics, and a comparison."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    arrays = {
        "net/a": rng.random((5, 4, 4, 3), "f4"),
        "net/b": rng.normal(size=(5, 7)).astype("f4"),
    }
    write_dump(folder / "a.h5", arrays, attrs={"seed": 3, "options": '{"exact": true}'})
    kprobe.stats(folder / "a.h5", output=folder / "s.h5")
    (folder / "d.json").write_text(json.dumps(comparison))
    return folder


def read_data(path):
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text()
    )
    return json.loads(text)


@pytest.mark.parametrize(
    ("name", "kind", "layers"),
    [
        ("a.h5", "dump", ["net/a", "net/b"]),
        ("s.h5", "statistics", ["net/a", "net/b"]),
        ("d.json", "comparison", ["first", "second", "third"]),
    ],
)
def test_each_kind_of_source_makes_a_page(name, kind, layers, sources, tmp_path):
    path = kprobe.report(sources / name, output=tmp_path / "r.html")
    told = read_data(path)
    assert (told["kind"], [layer["name"] for layer in told["layers"]]) == (kind, layers)
    assert told["linked"]
    assert len(told["samples"]) == (4 if kind == "dump" else 0)


def test_a_dump_and_its_statistics_tell_the_same_numbers(sources, tmp_path):
    of_dump = read_data(kprobe.report(sources / "a.h5", output=tmp_path / "a.html"))
    kept = read_data(kprobe.report(sources / "s.h5", output=tmp_path / "b.html"))
    for name in ("findings", "verdict", "tree", "figures", "facts"):
        assert of_dump[name] == kept[name]
    for one, other in zip(of_dump["layers"], kept["layers"], strict=True):
        assert {**one, "maps": None} == other
    assert of_dump["tree"] == [{"name": "net", "inside": [0, 1]}]
    assert ["Exact", "yes"] in of_dump["facts"]
    assert ["Seed", "3"] in of_dump["facts"]


def test_statistics_in_memory_and_kept_ones_make_the_same_page(sources, tmp_path):
    kept = kprobe.report(sources / "s.h5", output=tmp_path / "kept.html")
    told = kprobe.stats(sources / "s.h5")
    in_memory = kprobe.report(told, output=tmp_path / "in memory.html")
    assert in_memory.read_bytes() == kept.read_bytes()
    with pytest.raises(
        InputError, match=r"samples: expected a dump, received statistics of .*a\.h5"
    ):
        kprobe.report(told, output=tmp_path / "r.html", samples=1)


def test_images_stand_beside_the_pictures_of_a_dump_alone(sources, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 4, 4), np.uint8))
    path = kprobe.report(sources / "a.h5", output=tmp_path / "r.html", images=tmp_path / "x.npy")
    assert [each[:16] for each in read_data(path)["images"]] == ["data:image/webp;"] * 4
    with pytest.raises(InputError, match=r"images: expected a dump, received .*s\.h5, which holds"):
        kprobe.report(sources / "s.h5", output=path, images=tmp_path / "x.npy")


def test_the_same_source_gives_the_same_bytes(sources, tmp_path):
    pages = [kprobe.report(sources / "a.h5", output=tmp_path / n).read_bytes() for n in ("a", "b")]
    assert pages[0] == pages[1]


def test_an_open_dump_and_one_sample_are_taken(sources, tmp_path):
    with kprobe.open_dump(sources / "a.h5") as dump:
        path = kprobe.report(dump, output=tmp_path / "r.html", samples=2)
        assert dump["net/b"].shape == (5, 7)
    assert read_data(path)["samples"] == ["sample 2"]
    assert kprobe.report(str(sources / "a.h5"), output=path, samples="sample 3") == path
    assert read_data(path)["samples"] == ["sample 3"]


def test_what_diff_gives_makes_the_page_that_its_json_makes(sources, tmp_path):
    result = kprobe.diff(sources / "a.h5", sources / "a.h5")
    of_result = kprobe.report(result, output=tmp_path / "a.html")
    (tmp_path / "d.json").write_text(json.dumps(result.to_json()))
    of_file = kprobe.report(tmp_path / "d.json", output=tmp_path / "b.html")
    assert of_result.read_bytes() == of_file.read_bytes()
    told = read_data(of_file)
    assert told["verdict"] == "None: all values are equal"
    assert [layer["upstream"] for layer in told["layers"]] == [[], [0]]


def test_statistics_that_arent_what_they_should_be_are_damaged(sources, tmp_path):
    with h5py.File(sources / "s.h5", "r") as file:
        about = json.loads(file["about"][:].tobytes())
    number = json.dumps([{**about[0], "address": 5}, *about[1:]]).encode()
    for content in (None, number, b"[" * 30_000):
        (tmp_path / "s.h5").write_bytes((sources / "s.h5").read_bytes())
        with h5py.File(tmp_path / "s.h5", "r+") as file:
            if content is None:
                file.attrs["source"] = 5
            else:
                del file["about"]
                file["about"] = np.frombuffer(content, np.uint8)
        with pytest.raises(DumpError, match="expected statistics, received a damaged file"):
            kprobe.report(tmp_path / "s.h5", output=tmp_path / "r.html")


def test_a_first_row_without_a_name_is_told_without_one(sources, tmp_path):
    (tmp_path / "s.h5").write_bytes((sources / "s.h5").read_bytes())
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["arrays/state"][1] = 1 << 61
    told = read_data(kprobe.report(tmp_path / "s.h5", output=tmp_path / "r.html"))
    assert told["verdict"] == "NaN begins at net/a"


def test_a_figure_that_no_number_can_hold_is_none(write_dump, tmp_path):
    path = write_dump(tmp_path / "a.h5", {"a": np.full((4, 2), 1.7e308)})
    told = read_data(kprobe.report(path, output=tmp_path / "r.html"))
    values = told["layers"][0]["values"]
    assert values["max"] == 1.7e308
    assert values["l2"] is None


def test_an_unfinished_dump_tells_what_it_has(write_dump, tmp_path):
    path = write_dump(tmp_path / "a.h5", {"a": np.ones((4, 2), "f4")})
    with h5py.File(path, "a", libver=("v108", "v108")) as file:
        file["committed"][()], file["complete"][()] = 3, 0
    told = read_data(kprobe.report(path, output=tmp_path / "r.html"))
    assert "Not complete: the numbers are those of 3 of 4 samples." in [
        finding["text"] for finding in told["findings"]
    ]
    assert told["samples"] == ["sample 0", "sample 1", "sample 2"]


def test_a_dump_without_rows_or_of_weights_alone_makes_a_page(write_dump, tmp_path):
    path = write_dump(tmp_path / "a.h5", {"a": np.ones((0, 4, 4, 2), "f4")})
    told = read_data(kprobe.report(path, output=tmp_path / "r.html"))
    assert (told["samples"], told["layers"][0]["maps"]) == ([], None)
    weights = {"rows": np.ones((2, 1), "f4"), "a:kernel": np.ones((3, 2), "f4")}
    path = write_dump(tmp_path / "b.h5", weights, weights=["a:kernel"])
    told = read_data(kprobe.report(path, output=tmp_path / "r.html"))
    assert (told["tree"], told["layers"][1]["upstream"]) == ([0], None)


def test_what_is_no_source_is_answered_in_a_line(sources, tmp_path):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "kprobe similarity"
    for source, said in (
        (tmp_path / "text", "received another file"),
        (tmp_path / "empty", "received another file"),
        (tmp_path / "other.h5", "received a file of kprobe similarity"),
        (tmp_path / "gone", "where there is no file"),
        (tmp_path, "where there is no file"),
        (None, "received None"),
        ("https://x.org/a.h5", "received an address"),
    ):
        with pytest.raises(DumpError, match=said):
            make_report(source, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_samples_are_for_dumps(sources, tmp_path):
    for name in ("s.h5", "d.json"):
        with pytest.raises(InputError, match="samples: expected a dump, received"):
            make_report(sources / name, tmp_path / "r.html", samples=[0])


def test_where_it_is_written_is_looked_at_first(sources, tmp_path):
    with pytest.raises(DumpError, match="there is no directory"):
        make_report(tmp_path / "gone", tmp_path / "none" / "r.html")


def test_a_notebook_shows_dumps_statistics_and_comparisons(sources):
    with kprobe.open_dump(sources / "a.h5") as dump:
        shown = dump._repr_html_()
        assert "<td><bdi>net/a</bdi></td>" in shown
        assert "<td><bdi>5x4x4x3</bdi></td>" in shown
        assert "5 samples, complete" in shown
        statistics = kprobe.stats(sources / "a.h5")
    assert dump._repr_html_() is None
    shown = statistics._repr_html_()
    assert "<td><bdi>net/b</bdi></td>" in shown
    assert f"<td><bdi>{statistics.tensors[0].mean:.4g}</bdi></td>" in shown
    shown = kprobe.diff(sources / "a.h5", sources / "a.h5")._repr_html_()
    assert "none: all values are equal" in shown
    assert "<td><bdi>net/b</bdi></td>" in shown
