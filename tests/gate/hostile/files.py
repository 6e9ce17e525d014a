"""What isn't a regular file, and what is too large."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from gate.hostile.case import Case
from gate.hostile.network_files import Form, write_architecture

FORM = Form(3)


def _write(path: Path) -> Path:
    return write_architecture(path, FORM.stack(FORM.input(), FORM.layer("out")))


def _make_pipe(folder: Path, _marker: Path) -> Path:
    os.mkfifo(folder / "model.keras")
    return folder / "model.keras"


def _make_socket(folder: Path, _marker: Path) -> Path:
    path = folder / "model.keras"
    here = Path.cwd()
    os.chdir(folder)  # a socket's name has to be short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)
    return path


def _make_link(folder: Path, target: Path) -> Path:
    (folder / "model.json").symlink_to(target)
    return folder / "model.json"


CASES = (
    Case("file-pipe", _make_pipe, "file-kind"),
    Case("file-socket", _make_socket, "file-kind"),
    Case("file-device", lambda folder, _: _make_link(folder, Path("/dev/zero")), "file-kind"),
    Case("file-link", lambda folder, _: _make_link(folder, _write(folder / "other.json")), None),
    Case(
        "file-too-large",
        lambda folder, _: _write(folder / "model.json"),
        "file-size",
        arguments=("--max-model-bytes", "10"),
    ),
)
