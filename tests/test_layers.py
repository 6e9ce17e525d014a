"""No room imports upwards or sideways, and nothing in a circle; and an import that does is noticed.

What CI runs is run here too, on a copy of the package.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
LAYERS = "No room imports upwards or sideways"
CIRCLES = "Neither modules nor rooms import each other in a circle"
# A module that imports the package around it: a circle, where that package imports it in turn.
INWARDS = """
import grimp

graph = grimp.build_graph("kprobe", cache_dir=None)
for module in sorted(graph.modules):
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        if module.startswith(f"{imported}."):
            print(module, "imports", imported)
"""
UPWARDS = "import kprobe.cli.main\n"
FOR_TYPES = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    {}"
IN_FUNCTION = "def run():\n    {}"


@pytest.fixture
def tree(tmp_path):
    """Copy the package, with the settings of the tools."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kprobe", tmp_path / "kprobe", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add(tree, name, text):
    """Add text to a module: what it imports is looked for anywhere in it."""
    path = tree / "kprobe" / name
    path.write_text(f"{path.read_text()}\n{text}")


def lint(tree):
    """Give the names of the contracts that are broken, by the command that CI runs."""
    command = [sys.executable, "-c", LINT, "--no-cache"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    told = dict(re.findall(r"^(.*) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert told.keys() == {LAYERS, CIRCLES}, done.stdout + done.stderr
    broken = [name for name, state in told.items() if state == "BROKEN"]
    assert bool(done.returncode) == bool(broken)
    return broken


def find_inwards(tree):
    command = [sys.executable, "-c", INWARDS]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_no_room_imports_upwards_or_sideways_and_nothing_in_a_circle(tree):
    assert lint(tree) == []
    assert find_inwards(tree) == []


@pytest.mark.parametrize("form", ["{}", IN_FUNCTION, FOR_TYPES], ids=["plain", "inside", "types"])
def test_an_import_upwards_is_refused(tree, form):
    # What is imported imports errors in turn, so that it is a circle, too.
    add(tree, "errors.py", form.format(UPWARDS))
    assert lint(tree) == [LAYERS, CIRCLES]


def test_an_import_sideways_is_refused(tree):
    add(tree, "dumps/names.py", "import kprobe.models.file\n")
    assert lint(tree) == [LAYERS]


def test_an_upward_import_by_way_of_the_package_itself_is_refused(tree):
    add(tree, "errors.py", "import kprobe\n")
    assert find_inwards(tree) == ["kprobe.errors imports kprobe"]


def test_a_room_that_has_no_layer_is_refused(tree):
    (tree / "kprobe" / "utils.py").write_text("")
    assert lint(tree) == [LAYERS]


@pytest.mark.parametrize("form", ["{}", IN_FUNCTION, FOR_TYPES], ids=["plain", "inside", "types"])
def test_a_circle_of_modules_is_refused(tree, form):
    add(tree, "dumps/names.py", "import kprobe.dumps.dimensions\n")
    assert lint(tree) == []
    add(tree, "dumps/dimensions.py", form.format("import kprobe.dumps.names\n"))
    assert lint(tree) == [CIRCLES]


def test_a_circle_of_rooms_inside_a_room_is_refused(tree):
    # `pieces` imports nothing of `files`, so that no two modules import each other.
    add(tree, "dumps/files/space.py", "import kprobe.dumps.writing.pieces\n")
    assert lint(tree) == [CIRCLES]
