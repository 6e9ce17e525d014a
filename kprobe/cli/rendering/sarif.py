"""What the gate says as SARIF 2.1.0, the format of results that code scanning reads.

The standard is https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kprobe.errors import UnsafeModelError
from kprobe.escaping import escape_hidden
from kprobe.gate.rules import RULES
from kprobe.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.gate.rules import Rule
    from kprobe.pipeline.checking import CheckResult, Reason

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def write_sarif(results: Sequence[CheckResult]) -> dict[str, Any]:
    """Give what was found as a log of one run."""
    numbers = {name: number for number, name in enumerate(RULES)}
    driver = {
        "name": "kprobe",
        "version": __version__,
        "rules": [_describe_rule(rule) for rule in RULES.values()],
    }
    accepted = all(results)
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": 0 if accepted else UnsafeModelError.exit_code,
            }
        ],
        "artifacts": [_describe_file(result) for result in results],
        "results": [
            _describe_reason(result, place, reason, numbers[reason.rule])
            for place, result in enumerate(results)
            for reason in result.reasons
        ],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _describe_rule(rule: Rule) -> dict[str, Any]:
    promise = f"A model file that is opened {rule.promise}."
    opened = (
        "Where that doesn't hold, nothing narrower than --unsafe opens a file."
        if rule.kind is None
        else f"Where that doesn't hold, --allow {rule.kind} opens a file: only if you trust it."
    )
    if rule.damage:
        opened = "Where that doesn't hold, a file can't be opened: copy or save it again."
    return {
        "id": rule.name,
        "shortDescription": {"text": promise},
        "fullDescription": {"text": promise},
        "help": {"text": f"{promise} {opened} `kprobe help safety` tells more."},
        "defaultConfiguration": {"level": _choose_level(rule.damage)},
        "properties": {"tags": ["damage" if rule.damage else "security"]},
    }


def _describe_file(result: CheckResult) -> dict[str, Any]:
    described: dict[str, Any] = {"location": {"uri": write_uri(result.path)}}
    if result.size is not None:
        described["length"] = result.size
    return described


def _describe_reason(result: CheckResult, place: int, reason: Reason, rule: int) -> dict[str, Any]:
    owner = f"{reason.owner}: " if reason.owner else ""
    where: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": write_uri(result.path), "index": place},
            # A file of bytes has no lines, but code scanning shows nothing without one.
            "region": {"startLine": 1},
        }
    }
    if reason.owner:
        where["logicalLocations"] = [{"fullyQualifiedName": escape_hidden(reason.owner)}]
    told = "\0".join((reason.rule, reason.owner, reason.text))
    return {
        "ruleId": reason.rule,
        "ruleIndex": rule,
        "level": _choose_level(reason.damage),
        "message": {"text": escape_hidden(f"{owner}{reason.text}")},
        "locations": [where],
        "partialFingerprints": {
            "reason/v1": hashlib.sha256(told.encode(errors="replace")).hexdigest()
        },
    }


def _choose_level(damage: bool) -> str:
    return "warning" if damage else "error"


def write_uri(path: str) -> str:
    """Write a path as a URI: a relative one without a scheme, as it stands in a repository."""
    given = PurePath(path)
    quoted = quote(os.fsencode(given.as_posix()))
    if given.is_absolute():
        return f"file://{quoted}"
    return quoted
