"""Folders of samples with links, pipes and devices, and honest ones that look odd."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import numpy as np
from gate.hostile.input_case import IMAGE, InputCase
from gate.hostile.input_images import plain_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _folder(make: Callable[[Path, Path], None]) -> Callable[[Path, Path], Path]:
    """Make a folder of one image, and beside it another one that is nobody's business."""

    def made(folder: Path, _: Path) -> Path:
        for name in ("photos", "private"):
            (folder / name).mkdir()
            (folder / name / "a.png").write_bytes(plain_png())
        make(folder / "photos", folder / "private")
        return folder / "photos"

    return made


def _around(photos: Path, _: Path) -> None:
    (photos / "in").mkdir()
    for name in ("x", "y", "in/x", "in/y"):
        (photos / name).symlink_to(photos, target_is_directory=True)


def _within(photos: Path, _: Path) -> None:
    (photos / "in").mkdir()
    (photos / "in" / "b.png").symlink_to("../a.png")


def _stand_in_pipe(photos: Path, _: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    os.mkfifo(photos / "pipe")


def _socket(folder: Path, _: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        before = os.open(".", os.O_RDONLY)
        os.chdir(folder)  # a socket's path has 108 bytes at most
        try:
            made.bind("x.npy")
        finally:
            os.fchdir(before)
            os.close(before)
    return folder / "x.npy"


def _pipe(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "x.npy")
    return folder / "x.npy"


def _list_of(*names: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        (folder / "a.png").write_bytes(plain_png())
        os.mkfifo(folder / "pipe.png")
        (folder / "x.txt").write_text("\n".join(names))
        return folder / "x.txt"

    return make


def _link_cases() -> list[InputCase]:
    right = IMAGE[None].astype(np.float32)
    out = "expected what lies in it, received links that lead elsewhere: "

    def link(name: str, target: str) -> Callable[[Path, Path], Path]:
        return _folder(lambda photos, _: (photos / name).symlink_to(target))

    def fitting(make: Callable[[Path, Path], Path], pattern: str) -> Callable[[Path, Path], str]:
        return lambda folder, marker: f"{make(folder, marker)}/{pattern}"

    to_file, to_folder = link("b.png", "../private/a.png"), link("more", "../private")
    both = np.concatenate([right, right])
    follow = {"follow_links": True}
    return [
        InputCase("link-to-a-file", to_file, out + "b.png", "images"),
        InputCase("link-without-an-extension", link("b", "../private/a.png"), out + "b", "images"),
        InputCase("link-to-a-folder", to_folder, out + "more", "images"),
        InputCase("link-to-a-device", link("b.png", "/dev/zero"), out + "b.png", "images"),
        InputCase("link-to-nothing", link("b.png", "/nowhere/b.png"), out + "b.png", "images"),
        InputCase("link-in-a-pattern", fitting(to_file, "*.png"), out + "b.png", "images"),
        InputCase("link-on-the-way", fitting(to_folder, "*/*.png"), out + "more", "images"),
        InputCase("link-at-any-depth", fitting(to_folder, "**/*.png"), out + "more", "images"),
        InputCase("link-followed", to_file, None, "images", both, follow),
        InputCase("link-folder-followed", to_folder, None, "images", both, follow),
        InputCase("link-within", _folder(_within), None, "images", both),
        InputCase("links-around", _folder(_around), None, "images", right),
        InputCase(
            "links-around-a-pattern", fitting(_folder(_around), "**/*.png"), None, "images", right
        ),
        InputCase("pipes-in-a-folder", _folder(_stand_in_pipe), None, "images", right),
        InputCase("pipe-in-a-list", _list_of("pipe.png"), "received a pipe", "images"),
        InputCase("device-in-a-list", _list_of("/dev/zero"), "received a device", "images"),
        InputCase("list-with-nul", _list_of("a\0b.png"), "can't be read", "images"),
        InputCase("pipe", _pipe, "a pipe that nobody writes to"),
        InputCase("socket", _socket, "can't be read"),
        InputCase("device", lambda *_: "/dev/zero", "expected a .npy array"),
    ]


CASES = (*_link_cases(),)
