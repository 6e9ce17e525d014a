"""Where pictures go, and what they don't replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe.errors import DumpError
from kprobe.pictures.draw import draw, encode
from kprobe.pipeline.plotting.of_file import open_pictured
from kprobe.pipeline.plotting.spec import PlotSpec
from kprobe.pipeline.plotting.write import find_destination, name_picture, write_pictures


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("output", "form", "is_folder", "right"),
    [
        ("a.png", None, False, "png"),
        ("a.SVG", None, False, "svg"),
        ("a.b.pdf", "pdf", False, "pdf"),
        ("a", None, True, "png"),
        ("a/", "svg", True, "svg"),
        ("there.pdf", None, True, "png"),
        ("v1.2/", None, True, "png"),
    ],
)
def test_the_suffix_tells_a_file_from_a_folder(output, form, is_folder, right):
    Path("there.pdf").mkdir()
    place = find_destination(output, form)
    assert (place.folder, place.form, str(place.path)) == (is_folder, right, output.rstrip("/"))


@pytest.mark.parametrize(
    ("output", "form", "line"),
    [
        ("a.jpg", None, "a.jpg: expected a file that ends with one of .png, .svg, .pdf, received"),
        ("a.png", "svg", "a.png: expected a format that fits the name, received svg"),
        ("-", None, "the output: expected the name of a file or a folder, received '-'"),
        ("", None, "the output: expected the name of a file, received an empty text"),
        ("a\0", None, "'a\\x00': expected the name of a file, received one with a NUL in it"),
    ],
)
def test_other_names_have_a_line(output, form, line):
    with pytest.raises(DumpError) as refused:
        find_destination(output, form)
    assert str(refused.value).startswith(line)


def write(drawable, addresses, output, **settings):
    spec = PlotSpec(**settings.pop("spec", {}))
    place = find_destination(output, settings.pop("form", None), **settings)
    apart = place is not None and place.folder
    with open_pictured(drawable, addresses, spec, apart=apart) as pictured:
        return write_pictures(pictured, place or name_picture(pictured, None, overwrite=False))


def test_files_are_called_after_what_they_show(drawable):
    assert write(drawable, ["conv"], None) == [Path("acts.net.conv.png")]
    assert write(drawable, ["conv", "score"], None) == [Path("acts.png")]
    paths = write(drawable, ["conv", "score"], "some/where", spec={"samples": [3, 4]}, form="svg")
    names = ["net.conv.sample3", "net.conv.sample4", "net.score"]
    assert paths == [Path("some/where", f"{name}.svg") for name in names]
    assert all(path.read_bytes()[:5] == b"<?xml" for path in paths)
    assert sorted(path.name for path in Path("some/where").iterdir()) == sorted(
        path.name for path in paths
    )
    with open_pictured(drawable, ["conv"], PlotSpec()) as pictured:
        right = encode(draw(next(pictured.things), pictured.look), "png")
    assert Path("acts.net.conv.png").read_bytes() == right


def test_nothing_is_replaced_unasked(drawable):
    Path("a.png").write_text("mine")
    with pytest.raises(DumpError) as refused:
        write(drawable, ["conv"], "a.png")
    assert str(refused.value) == "a.png: exists already; replace it with overwrite=True"
    assert Path("a.png").read_text() == "mine"
    write(drawable, ["conv"], "a.png", overwrite=True)
    assert Path("a.png").read_bytes()[:4] == b"\x89PNG"
    Path("all").mkdir()
    Path("all/net.score.png").mkdir()
    Path("all/net.conv.png").mkdir()
    with pytest.raises(DumpError) as refused:
        write(drawable, ["conv", "score"], "all/", overwrite=True)
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "all/net.conv.png",
        "all/net.score.png",
    ]


def test_nothing_is_drawn_through_a_link_or_over_what_is_drawn(drawable):
    photo = Path("photo.png")
    write(drawable, ["conv"], "photo.png")
    before = photo.read_bytes()
    Path("link.png").symlink_to("photo.png")
    with pytest.raises(DumpError, match=r"^link.png: .* received a link, and none is written"):
        write(drawable, ["conv"], "link.png", overwrite=True)
    Path("other.png").hardlink_to(photo)
    place = find_destination("other.png", None, overwrite=True)
    overlaid = open_pictured(drawable, ["conv"], PlotSpec(overlay="photo.png"))
    with overlaid as pictured, pytest.raises(DumpError) as refused:
        write_pictures(pictured, place)
    assert str(refused.value) == (
        "other.png, the same file as photo.png, is read, and isn't written over; choose another "
        "output"
    )
    assert photo.read_bytes() == before


def test_a_place_that_can_not_be_written_has_a_line(drawable):
    with pytest.raises(DumpError, match=r"nowhere/a.png: there is no directory nowhere; make it"):
        write(drawable, ["conv"], "nowhere/a.png")
    Path("file").write_text("")
    with pytest.raises(DumpError, match="file: expected a folder, received a file; a name that"):
        write(drawable, ["conv"], "file")
    with pytest.raises(DumpError, match=r"^file/in: can't be written: "):
        write(drawable, ["conv"], "file/in/")
