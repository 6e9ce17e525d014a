"""What is installed: all modules, the command, and that types are told."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import kprobe

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "kprobe" / "reports" / "assets"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Give the files of a wheel that is built from the tree, by their names."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_says_that_its_types_are_to_be_read(wheel):
    assert wheel["kprobe/py.typed"] == b""


def test_a_wheel_holds_all_modules_and_pages_and_nothing_beside_them(wheel):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kprobe").rglob("*.py")}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kprobe").rglob("*.md")}
    assets = {path.relative_to(ROOT).as_posix() for path in ASSETS.iterdir()}
    packed = {name for name in wheel if ".dist-info/" not in name}
    lists = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kprobe").rglob("lists/*.txt")}
    assert packed == modules | pages | assets | lists | {"kprobe/py.typed"}
    assert "kprobe/gate/names/lists/installed.txt" in lists
    assert "kprobe/help/addresses.md" in pages


def test_a_wheel_has_the_command_and_the_versions_of_python(wheel):
    (entries,) = [text for name, text in wheel.items() if name.endswith("/entry_points.txt")]
    assert "kprobe = kprobe.__main__:main" in entries.decode().splitlines()
    (metadata,) = [text for name, text in wheel.items() if name.endswith("/METADATA")]
    told = message_from_bytes(metadata)
    assert {*told["Requires-Python"].split(",")} == {">=3.11", "<3.14"}
    tried = [f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)]
    assert [each for each in told.get_all("Classifier") if ":: 3." in each] == tried
    assert told["Version"] == kprobe.__version__


def test_a_wheel_says_what_others_wrote_of_it(wheel):
    told = wheel["kprobe/reports/assets/THIRD-PARTY.txt"].decode()
    library = wheel["kprobe/reports/assets/dagre.min.js"]
    assert hashlib.sha256(library).hexdigest() in told
    assert "Permission is hereby granted, free of charge" in told
    versions = re.findall(r"^@dagrejs/(\w+) ([\d.]+), MIT licence$", told, re.MULTILINE)
    script = wheel["kprobe/reports/assets/bundle"].decode()
    assert [f"{name}={version}" in script for name, version in versions] == [True, True]
