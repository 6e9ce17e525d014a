"""Configs are strict JSON, within bounds, and what is parsed is what Python's parser gives."""

from __future__ import annotations

import json
import math
import zipfile

import pytest
from gate.hostile.configs import MODEL, REFUSED

from kprobe.gate.files import config_json
from kprobe.gate.files.config_json import parse_config


@pytest.mark.parametrize("name", REFUSED)
def test_what_isnt_strict_is_refused(name):
    content, expected = REFUSED[name]
    config, (fault,) = parse_config(content if isinstance(content, bytes) else content.encode())
    assert config is None
    assert fault.rule == "config-json"
    assert expected in fault.text
    assert fault.text.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        " \n" + MODEL + "\n",
        '{"a": "[[{{\\"[[{{:,\\\\", "b\\\\": "]", "": "\\\\\\"["}',
        r'{"a": "\ud83d\ude00", "b": "\\ud83d", "ü": "\u00fc"}',
        '{"a": [18446744073709551615, -9223372036854775808, 0.10000000000000000555, 1e-9, -0]}',
        '{"a": "11111111111111111111111111"}',
        '{"a": [true, false, null, {}, []], "b": {"a": {"a": ":,"}}}',
        '{"a": [Infinity, -Infinity]}',
    ],
)
def test_what_is_strict_is_what_json_gives(text):
    assert parse_config(text.encode()) == (json.loads(text), [])


def test_real_configs_pass(samples):
    for path in samples.glob("*.keras"):
        with zipfile.ZipFile(path) as archive:
            for name in ("config.json", "metadata.json"):
                assert parse_config(archive.read(name)) == (json.loads(archive.read(name)), [])


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded_without_going_down(opening, closing):
    most = config_json.MAX_DEPTH
    for depth, passes in ((most, True), (most + 1, False), (100_000, False)):
        inner = f'{opening * (depth - 1)}"[{{"{closing * (depth - 1)}'
        for end in ("}", "", "]" * depth):
            config, faults = parse_config(f'{{"a": {inner}{end}'.encode())
            assert [fault.rule for fault in faults] == (
                ([] if end == "}" else ["config-json"]) if passes else ["config-size"]
            )
            assert (config is not None) == (passes and end == "}")


@pytest.mark.parametrize("hidden", ['"', '\\"', '\\\\"', '{"a": "', '"]}', '"\\'])
def test_no_text_hides_depth(hidden):
    """Whatever stands before: either a parser stops there, or the depth behind it is seen."""
    content = f'{{"a": "{hidden}", "b": {"[" * 5000}{"]" * 5000}}}'
    _, (fault,) = parse_config(content.encode())
    assert fault.rule in ("config-size", "config-json")
    _, (fault,) = parse_config(f'{{"a": {"[" * 5000}{hidden}{"]" * 5000}}}'.encode())
    assert fault.rule == "config-size"


def test_sizes_are_bounded(monkeypatch):
    text = json.dumps({"a": [{}] * 5 + [1] * 20})
    for name, limit, what in (
        ("MAX_CONTAINERS", 6, "7 objects and lists"),
        ("MAX_VALUES", 23, "24 values"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(config_json, name, limit + 1)
            assert parse_config(text.encode())[0]
            patch.setattr(config_json, name, limit)
            _, (fault,) = parse_config(text.encode())
        assert fault.rule == "config-size"
        assert fault.text == f"has a config of {what}, above the limit of {limit}"
    assert parse_config(text.encode(), most=len(text))[0]
    _, (fault,) = parse_config(text.encode(), "metadata.json", most=len(text) - 1)
    assert (
        fault.text
        == f"has a metadata.json of {len(text)} bytes, above the limit of {len(text) - 1}"
    )


def test_infinity_is_infinity():
    config, _ = parse_config(b'{"a": Infinity, "b": -Infinity}')
    assert config == {"a": math.inf, "b": -math.inf}
