"""What developers read and run: the map of the rooms, and the checks, each told once and truly."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from promises import PROMISES

from kprobe.dumps.create import FORMAT, FORMAT_VERSION
from kprobe.dumps.names import RESERVED_NAMES, RESERVED_PREFIX

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
TESTS = ROOT / "tests"
MAP = PAGE.partition("\n## The rooms\n")[2].partition("\n## ")[0]


def find_modules():
    """Give the modules of each room, by the room's folder."""
    rooms = {}
    for path in sorted((ROOT / "kprobe").rglob("*.py")):
        room = f"{path.parent.relative_to(ROOT).as_posix()}/"
        rooms.setdefault(room, set()).update({path.name} - {"__init__.py"})
    return rooms


def read_map():
    """Give the rows of the map, by room: what each says of a module."""
    rooms = {}
    for section in re.split(r"^### ", MAP, flags=re.MULTILINE)[1:]:
        room = re.match(r"`(.*)`\n\n\S.*\.\n\n", section)
        assert room, section
        assert room[1] not in rooms
        rooms[room[1]] = re.findall(r"^\| `([\w.]+)` \| (\S.*) \|$", section, re.MULTILINE)
    return rooms


def test_the_map_names_every_room_and_module_and_nothing_else():
    rows = read_map()
    assert {room: {name for name, _ in told} for room, told in rows.items()} == find_modules()
    assert all(len(told) == len(dict(told)) for told in rows.values())


def test_the_map_says_something_else_of_each_module():
    told = [text for rows in read_map().values() for _, text in rows]
    assert len(told) == len(set(told))


def test_the_rooms_stand_in_the_order_of_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        each for each in project["tool"]["importlinter"]["contracts"] if "layers" in each
    )
    height = {
        room: number
        for number, line in enumerate(contract["layers"])
        for room in re.split(r" [|:] ", line)
    }
    rooms = [room.split("/")[1] for room in read_map() if room != "kprobe/"]
    heights = [height[room] for room in rooms]
    assert heights == sorted(heights)


def find_tests():
    """Give the files of tests, each with the module that it would mirror."""
    for path in sorted(TESTS.rglob("test_*.py")):
        name = path.relative_to(TESTS)
        yield name.as_posix(), ROOT / "kprobe" / name.with_name(name.name.removeprefix("test_"))


def test_each_file_of_tests_mirrors_a_module_or_is_a_promise():
    strays = {name for name, module in find_tests() if not module.exists()} - PROMISES.keys()
    assert not strays, "name them after their module, or add them to tests/promises.py"


def test_each_promise_has_its_tests_and_bears_the_name_of_no_module():
    assert not PROMISES.keys() - {name for name, _ in find_tests()}
    modules = {f"test_{name}" for names in find_modules().values() for name in names}
    assert not [name for name in PROMISES if Path(name).name in modules]
    assert all(PROMISES.values())
    assert len(set(PROMISES.values())) == len(PROMISES)


def test_every_path_that_is_told_of_is_there():
    paths = re.findall(r"`((?:kprobe|tests|sample_models|\.ci|\.github)/[^`\s]*)`", PAGE)
    missing = [path for path in paths if "ROOM" not in path and not (ROOT / path).exists()]
    assert not missing
    assert len(paths) > 40


@pytest.mark.parametrize("name", ["FORMAT_VERSION", "Column", "make_engine", "Setting"])
def test_every_name_that_is_told_of_is_there(name):
    assert name in PAGE
    sources = [path.read_text() for path in (ROOT / "kprobe").rglob("*.py")]
    assert any(re.search(rf"^\s*(?:class |def )?{name}\b", text, re.MULTILINE) for text in sources)


def test_the_format_is_the_one_that_is_written():
    assert re.findall(r"^## The dump's format, version (\d+)$", PAGE, re.MULTILINE) == [
        str(FORMAT_VERSION)
    ]
    section = PAGE.partition("## The dump's format")[2].partition("\n## ")[0]
    assert f"`format` is `{FORMAT}`" in section
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {name for name in names if not name.startswith(RESERVED_PREFIX)} == RESERVED_NAMES


def read_commands():
    """Give the commands that .ci/run runs after the README's, as a shell would take them."""
    found = re.findall(r'^"\$work/venv/bin/([\w-]+)"(.*)$', (ROOT / ".ci/run").read_text(), re.M)
    return [f"{tool}{arguments}" for tool, arguments in found]


def test_what_the_server_runs_is_told():
    commands = read_commands()
    assert [command for command in commands if f"`{command}`" not in PAGE] == []
    # What the README's test command leaves out has a step of its own, but for the slow tests.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    options = project["tool"]["pytest"]["ini_options"]
    marks = {mark.partition(":")[0] for mark in options["markers"]}
    (left_out,) = re.findall(r" -m 'not \((.*)\)'", options["addopts"])
    scripts = [
        line for path in (ROOT / ".ci").glob("try_*") for line in path.read_text().split("\n")
    ]
    run = [command for command in (*commands, *scripts) if command.startswith("pytest")]
    steps = {command.partition(" -m ")[2] for command in run}
    assert set(left_out.split(" or ")) == marks == steps | {"slow"}


def test_the_checks_before_a_commit_are_those_of_the_server():
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"^ +entry: (.*)$", config, re.MULTILINE)
    assert entries == [each for each in read_commands() if not each.startswith("pytest")]
    assert len(entries) == 4
    assert config.count("language: system") == config.count("pass_filenames: false") == 4


def test_the_server_tries_the_versions_of_python_that_are_promised():
    flow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (versions,) = re.findall(r"^ +python: \[(.*)\]$", flow, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [each.rpartition(" ")[2] for each in project["classifiers"] if ":: 3." in each]
    assert re.findall(r'"([\d.]+)"', versions) == promised
    assert re.findall(r"^ +- run: (.*)$", flow, re.MULTILINE) == [".ci/run"]
