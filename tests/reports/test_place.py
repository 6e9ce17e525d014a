from __future__ import annotations

import pytest

from kprobe.dumps.partial import write_whole
from kprobe.errors import DumpError
from kprobe.reports.of_comparison import describe_comparison
from kprobe.reports.page import MARK, write_page
from kprobe.reports.place import check_place


def test_an_earlier_report_is_replaced(tmp_path, make_layers):
    path = tmp_path / "a.html"
    path.write_text(write_page(describe_comparison(make_layers[1]())))
    write_whole(check_place(path), b"another")
    assert path.read_text() == "another"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"<html>mine</html>", bytes(5000)])
def test_what_is_no_report_is_kept(content, tmp_path):
    path = tmp_path / "a.html"
    path.write_bytes(content)
    with pytest.raises(
        DumpError, match="exists and is not a report of kprobe, and is not replaced"
    ):
        check_place(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "received an empty text"),
        ("-", "expected the name of a file, received '-'"),
        ("gone/a.html", "there is no directory"),
        (".", "received a directory"),
        ("a/", "ends with a slash"),
        ("a\0b", "a NUL"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_can_be_no_place_is_answered(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DumpError, match=said):
        check_place(name)
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DumpError, match="can't be written"):
        write_whole(tmp_path / "a", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_device_is_no_place():
    with pytest.raises(DumpError, match="is not replaced"):
        check_place("/dev/null")


def test_a_page_takes_the_place_of_no_link_and_of_nothing_that_it_is_made_from(tmp_path):
    page = tmp_path / "a.html"
    write_whole(page, MARK.encode())
    (tmp_path / "link.html").symlink_to(page)
    with pytest.raises(DumpError, match=r"link.html: .* received a link"):
        check_place(tmp_path / "link.html")
    (tmp_path / "b.html").hardlink_to(page)
    for read in (page, tmp_path):
        with pytest.raises(DumpError, match=r"b.html.* is read, and isn't written over"):
            check_place(tmp_path / "b.html", [read])
    assert check_place(page, [tmp_path / "other"]) == page
