"""Patterns find what Python's own find, and links lead nowhere else unless told."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest

from kprobe.errors import InputError
from kprobe.inputs.images.walking import find_files


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/1.png",
        "a/b/2.png",
        "a/b/c/3.png",
        "a/b/c/4.txt",
        "a/x.png/5.png",
        "a/[6].png",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "a/*.png", "a/**/*.png", "**/*.png", "**", "a/**", "a/**/c/*", "*/b/**/*.png",
        "a/[0-9].png", "./a/**/?.png", "a/**/b/**/3.png", "a/**b/*.png", "nothing/**/*.png",
        "a/**/4.*",
    ],
)  # fmt: skip
@pytest.mark.parametrize("absolute", [False, True])
def test_a_pattern_finds_what_glob_finds(pattern, absolute, tree):
    text = str(tree / pattern) if absolute else pattern
    right = {os.path.normpath(name) for name in glob.glob(text, recursive=True)}  # noqa: PTH207
    found = find_files(text, follow_links=False)
    assert [str(path) for path in found] == sorted(name for name in right if Path(name).is_file())


def test_each_file_is_found_once_where_links_go_round():
    for name in ("one", "two", "b/one"):
        Path("a", name).symlink_to(Path("a").absolute())
    assert {path.name for path in find_files("a/**/*.png", follow_links=False)} == {
        "1.png", "2.png", "3.png", "5.png", "[6].png",
    }  # fmt: skip


def test_links_out_are_named_and_followed_where_told():
    Path("b").mkdir()
    Path("b/in").symlink_to("../a/b")
    Path("b/1.png").symlink_to("../a/1.png")
    with pytest.raises(InputError) as refused:
        find_files("b/**/*.png", follow_links=False)
    assert str(refused.value) == (
        "b: expected what lies in it, received links that lead elsewhere: 1.png, in; follow them "
        "with follow_links=True"
    )
    found = find_files("b/**/*.png", follow_links=True)
    assert [str(path) for path in found] == ["b/1.png", "b/in/2.png", "b/in/c/3.png"]
    assert [str(path) for path in find_files("b/in/*.png", follow_links=False)] == ["b/in/2.png"]
