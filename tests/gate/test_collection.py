"""Every file that somebody could send is refused for its fault, in one line; honest ones aren't.

Nothing of it runs, nothing but it is read, and TensorFlow isn't imported for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import gettempdir

import pytest
from collection import read_cases

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.gate.rules import RULES

RUNNER = Path(__file__).with_name("run_collection.py")
CASES = read_cases()
HOSTILE = [case for case in CASES if case.rule is not None]
# What happens between two looks at a file; and what a file does that no other rule is broken by,
# of which none is known.
WITHOUT_A_FILE = {"file-changed", "file-parser"}


@pytest.fixture(scope="module")
def results(tmp_path_factory, light_python):
    folder = tmp_path_factory.mktemp("collection")
    done = light_python.run(RUNNER, folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text())
    shutil.rmtree(folder)
    return results


def test_the_collection_is_large_and_its_names_are_unique():
    assert len(HOSTILE) >= 200
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_rule_has_a_file_that_breaks_it():
    assert {case.rule for case in HOSTILE} == {*RULES} - WITHOUT_A_FILE


@pytest.mark.parametrize(
    "advisory",
    [
        *("CVE-2019-9674", "CVE-2022-25882", "CVE-2024-0450", "CVE-2024-3660", "CVE-2024-5187"),
        *("CVE-2024-27318", "CVE-2024-55459", "CVE-2025-1550", "CVE-2025-8291", "CVE-2025-8747"),
        *("CVE-2025-9905", "CVE-2025-9906", "CVE-2025-12058", "CVE-2025-12060", "CVE-2025-12638"),
        *("CVE-2025-49655", "CVE-2026-0897", "CVE-2026-1462", "CVE-2026-1669"),
    ],
)
def test_the_public_advisories_are_in_it(advisory):
    assert any(advisory in case.source for case in HOSTILE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_file_is_judged_by_the_rule_that_it_is_to_break(case, results):
    result = results[case.name]
    checked = result["checked"]
    assert checked["broke"] is None, checked
    (told,) = json.loads(checked["out"])
    # What is behind the first fault may break other rules, too.
    assert [reason["rule"] for reason in told["reasons"]][:1] == ([case.rule] if case.rule else [])
    assert told["accepted"] == (case.rule is None)
    assert (checked["code"], checked["err"]) == (0 if case.rule is None else 4, "")
    assert (result["marker"], result["others"], result["tensorflow"]) == (False, [], False)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_each_refusal_is_one_line(case, results):
    opened = results[case.name]["opened"]
    code = (ModelError if RULES[case.rule].damage else UnsafeModelError).exit_code
    assert (opened["broke"], opened["code"], opened["out"]) == (None, code, ""), opened
    (line,) = opened["err"].splitlines()
    assert line.startswith("kprobe: ")
    assert len(line) < 300
    assert line.isprintable()
    assert results[case.name]["left"] == []


def test_each_file_takes_little_computing_and_memory(results):
    """By what the process took, and each fork in which a file is inspected: never by a clock."""
    costs = {case.name: results[case.name] for case in CASES}
    inspected = [name for name, cost in costs.items() if cost["bytes"]]
    assert len(inspected) > 0.9 * len(CASES)
    assert {name: cost for name, cost in costs.items() if sum(cost["seconds"]) > 20} == {}
    here = results[""]["bytes"]
    assert {name: cost for name, cost in costs.items() if sum(cost["bytes"]) + here > 2e9} == {}


# Where Python and its libraries lie, and what they look up of the system.
OF_THE_SYSTEM = (
    *("/dev/null", "/dev/urandom", "/etc/ld.so.cache", "/etc/localtime", "/lib/", "/lib64/"),
    *("/proc/", "/sys/devices/system/", "/usr/"),
)


@pytest.mark.tools
def test_nothing_else_is_opened_and_nobody_is_called(tmp_path):
    """By all that the processes ask of the system, also where files say where others lie."""
    log, folder = tmp_path / "log", tmp_path / "collection"
    folder.mkdir()
    traced = ["strace", "-f", "-qq", "-z", "-e", "trace=open,openat,connect,execve", "-o", str(log)]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([*traced, sys.executable, RUNNER, folder], check=True, env=environment)
    called = log.read_text()
    opened = {*re.findall(r"(?:open|openat|execve)\((?:\w+, )?\"([^\"]*)\"", called)}
    own = [sys.prefix, sys.base_prefix, gettempdir(), *filter(None, sys.path)]
    known = (*own, *OF_THE_SYSTEM)
    places = {os.path.normpath(path) for path in opened}
    assert len(opened) > len(CASES)
    # What is relative lies in the folder that a SavedModel is.
    assert [
        place for place in places if place.startswith("/") and not place.startswith(known)
    ] == []
    assert [place for place in places if place.startswith("..")] == []
    assert not re.findall(r"connect\(\d+, \{sa_family=(?!AF_UNIX).*", called)
