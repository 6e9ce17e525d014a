"""What the gate says as SARIF 2.1.0, held to what the standard's schema allows and demands."""

from __future__ import annotations

import json

import pytest

from kprobe.cli.rendering.sarif import write_sarif, write_uri
from kprobe.gate.rules import RULES
from kprobe.pipeline.checking import CheckResult, Reason
from kprobe.version import __version__

# Of the schema: what each object that is written may have, and with "!" what it must.
OBJECTS = {
    "log": "$schema version! runs!",
    "runs": "tool! invocations artifacts results",
    "tool": "driver!",
    "driver": "name! version rules",
    "rules": "id! shortDescription fullDescription help defaultConfiguration properties",
    "shortDescription": "text!",
    "fullDescription": "text!",
    "help": "text!",
    "defaultConfiguration": "level",
    "properties": "tags",
    "invocations": "executionSuccessful! exitCode",
    "artifacts": "location length",
    "location": "uri",
    "results": "ruleId ruleIndex level message! locations partialFingerprints",
    "message": "text!",
    "locations": "physicalLocation logicalLocations",
    "physicalLocation": "artifactLocation region",
    "artifactLocation": "uri index",
    "region": "startLine",
    "logicalLocations": "fullyQualifiedName",
    "partialFingerprints": "reason/v1",
}
RESULTS = [
    CheckResult("a.keras", True, size=12),
    CheckResult(
        "models/b c.h5",
        False,
        (
            Reason("code-lambda", "holds Python bytecode", "layer '\x1b[1m'", False, "lambda"),
            Reason("hdf5-links", "has a soft link", "", False, None),
        ),
    ),
    CheckResult("c.keras", False, (Reason("file-type", "no such file", "", True, None),)),
]


def walk(value, kind):
    """Yield each object, and what it is."""
    if isinstance(value, list):
        for each in value:
            yield from walk(each, kind)
    elif isinstance(value, dict):
        yield kind, value
        for key, each in value.items():
            yield from walk(each, key)


def test_every_object_has_what_the_schema_demands_and_nothing_else():
    log = json.loads(json.dumps(write_sarif(RESULTS)))
    found = [*walk(log, "log")]
    assert {kind for kind, _ in found} == OBJECTS.keys()
    for kind, value in found:
        names = OBJECTS[kind].split()
        assert value.keys() <= {name.rstrip("!") for name in names}, kind
        assert value.keys() >= {name[:-1] for name in names if name.endswith("!")}, kind
    assert log["version"] == "2.1.0"


def test_each_rule_is_described():
    driver = write_sarif([])["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("kprobe", __version__)
    assert [rule["id"] for rule in driver["rules"]] == [*RULES]
    for rule in driver["rules"]:
        known = RULES[rule["id"]]
        assert known.promise in rule["help"]["text"]
        assert (f"--allow {known.kind} opens" in rule["help"]["text"]) == (known.kind is not None)
        assert rule["defaultConfiguration"]["level"] == ("warning" if known.damage else "error")


def test_each_reason_is_a_result_where_the_file_is():
    (run,) = write_sarif(RESULTS)["runs"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 4}]
    told = []
    for result in run["results"]:
        (location,) = result["locations"]
        place = location["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        told.append((place["uri"], result["ruleId"], result["level"], result["message"]["text"]))
    assert told == [
        ("models/b%20c.h5", "code-lambda", "error", "layer '\\x1b[1m': holds Python bytecode"),
        ("models/b%20c.h5", "hdf5-links", "error", "has a soft link"),
        ("c.keras", "file-type", "warning", "no such file"),
    ]
    prints = [result["partialFingerprints"]["reason/v1"] for result in run["results"]]
    assert len(set(prints)) == 3
    assert write_sarif(RESULTS[:1])["runs"][0]["invocations"][0]["exitCode"] == 0


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a.keras", "a.keras"),
        ("./models//ä b%.h5", "models/%C3%A4%20b%25.h5"),
        ("/tmp/a.h5", "file:///tmp/a.h5"),
        ("c:d.h5", "c%3Ad.h5"),
        ("../a?b#c", "../a%3Fb%23c"),
        ("half\udcff", "half%FF"),
    ],
)
def test_a_path_is_a_uri(path, uri):
    assert write_uri(path) == uri
