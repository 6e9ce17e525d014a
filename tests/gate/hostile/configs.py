"""Configs that aren't strict JSON, that two parsers read differently, or that are too much."""

from __future__ import annotations

import json

import h5py
import numpy as np
from gate.hostile.case import Case
from gate.hostile.zip_writer import read_sample, write_zip

MODEL = '{"class_name": "Sequential", "config": {"name": "a", "layers": []}}'
REFUSED = {
    "a BOM": ("\ufeff" + MODEL, "isn't valid JSON: Unexpected UTF-8 BOM"),
    "UTF-16": (MODEL.encode("utf-16-le"), "isn't valid JSON: Expecting property name"),
    "no UTF-8": (b'{"a": "\xff"}', "isn't UTF-8: byte 7 is 0xff"),
    "a surrogate in bytes": (b'{"a": "\xed\xa0\x80"}', "isn't UTF-8: byte 7 is 0xed"),
    "an overlong code": (b'{"a": "\xc0\xaf"}', "isn't UTF-8: byte 7 is 0xc0"),
    "half a character": (r'{"a": ["\ud83d"]}', "has half a character"),
    "half a character in a key": (r'{"a": [{"\uDE00": 1}]}', "has half a character"),
    "halves in the wrong order": (r'{"a": "\ude00\ud83d"}', "has half a character"),
    "a key twice": ('{"a": 1, "a": 1}', "has the key 'a' twice"),
    "a key twice, deep": ('{"a": [{"b": {"c": 1, "d": 2, "c": 3}}]}', "has the key 'c' twice"),
    "a key in two spellings": (r'{"class_name": 1, "cl\u0061ss_name": 2}', "'class_name' twice"),
    "NaN": ('{"a": NaN}', "has NaN for a number"),
    "a long integer": ('{"a": 18446744073709551616}', "has an integer of 20 digits"),
    "a negative one": ('{"a": -9223372036854775809}', "has an integer of 19 digits"),
    "an endless integer": ('{"a": ' + "1" * 100_000 + "}", "has an integer of 100,000 digits"),
    "more behind": (MODEL + "{}", "isn't valid JSON: Extra data"),
    "a comment": ("{/* */}", "isn't valid JSON"),
    "a comma too many": ('{"a": 1,}', "isn't valid JSON"),
    "single quotes": ("{'a': 1}", "isn't valid JSON"),
    "a raw line break": ('{"a": "\n"}', "isn't valid JSON: Invalid control character"),
    "a raw NUL": ('{"a": "\0"}', "isn't valid JSON: Invalid control character"),
    "a NUL behind": (MODEL + "\0", "isn't valid JSON: Extra data"),
    "an unknown escape": (r'{"a": "\x41"}', "isn't valid JSON: Invalid \\escape"),
    "an open text": ('{"a": "', "isn't valid JSON: Unterminated string"),
    "an open bracket": ('{"a": [', "isn't valid JSON: Expecting value"),
    "nothing": ("", "isn't valid JSON: Expecting value"),
    "a list": ("[]", ": expected an object, received a list"),
    "a text": ('"a"', ": expected an object, received a text"),
    "a number": ("1", ": expected an object, received a number"),
    "null": ("null", ": expected an object, received null"),
}

DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
LARGE = {
    "deep-objects": DEEP,
    "deep-lists": '{"a": ' + "[" * 100_000,
    "deep-models": json.dumps({"class_name": "Sequential", "config": 1})[:-2]
    + '{"layers": [{"class_name": "Sequential", "config": ' * 70
    + "1"
    + "}]}" * 70
    + "}",
    "many-objects": '{"a": [' + "{}," * 1_000_000 + "{}]}",
    "many-values": '{"a": [' + "0," * 3_000_001 + "0]}",
    "large": '{"a": "' + " " * (64 << 20) + '"}',
}


def _config(content, name="config.json", method=0):
    """Make a case's file: an honest archive with another config."""

    def make(folder, marker):
        encoded = content if isinstance(content, bytes) else content.encode()
        members = [
            each.change(content=encoded, method=method) if each.name == name else each
            for each in read_sample()
        ]
        return write_zip(folder / "model.keras", members)

    return make


def _h5(content):
    def make(folder, marker):
        with h5py.File(folder / "model.h5", "w") as file:
            encoded = content if isinstance(content, bytes) else content.encode()
            # As texts of a fixed length are kept, which may hold anything.
            file.attrs["model_config"] = np.array(encoded, f"S{len(encoded)}")
            file.attrs["keras_version"] = "2.15.0"
            file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
        return folder / "model.h5"

    return make


def _json(content):
    def make(folder, marker):
        path = folder / "model.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def _with_layer(**settings):
    """Make a case's file: an honest archive, the config of whose second layer is changed."""
    (content,) = (each.content for each in read_sample() if each.name == "config.json")
    config = json.loads(content)
    layer = config["config"]["layers"][-1]
    layer["config"].update(settings)
    return _config(json.dumps(config))


def _name(name):
    return name.lower().replace(" ", "-").replace("'", "").replace(",", "")


HONEST = {
    "brackets-in-texts": _config(
        next(m.content for m in read_sample() if m.name == "config.json").replace(
            b'"name": "digits_cnn"', b'"name": "[[{{ \\" [[{{"'
        )
    ),
    "deflated": _config(
        next(m.content for m in read_sample() if m.name == "config.json"), method=8
    ),
}
CASES = (
    *(
        Case(f"config-{_name(name)}", _config(content), "config-json", "two parsers")
        for name, (content, _) in REFUSED.items()
    ),
    *(
        Case(f"config-{_name(name)}-in-hdf5", _h5(REFUSED[name][0]), "config-json", "two parsers")
        for name in (
            "a BOM",
            "a key twice",
            "NaN",
            "no UTF-8",
            "a surrogate in bytes",
            "more behind",
        )
    ),
    *(
        Case(f"config-{_name(name)}-alone", _json(REFUSED[name][0]), "config-json", "two parsers")
        for name in ("a key twice", "NaN", "no UTF-8", "more behind", "an open bracket")
    ),
    *(
        Case(f"config-{name}", _config(content, method=8), "config-size", "bombs")
        for name, content in LARGE.items()
    ),
    Case("config-deep-in-hdf5", _h5('{"a": ' + "[" * 30_000), "config-size", "bombs"),
    Case("config-deep-alone", _json(DEEP), "config-size", "bombs"),
    Case("config-metadata-deep", _config(DEEP, "metadata.json"), "config-size", "bombs"),
    Case(
        "config-metadata-large",
        _config('{"a": "' + " " * (2 << 20) + '"}', "metadata.json", method=8),
        "config-size",
        "bombs",
    ),
    Case("config-metadata-no-json", _config("3.9.0", "metadata.json"), "config-json"),
    Case(
        "config-metadata-key-twice",
        _config('{"keras_version": "2.15.0", "keras_version": "3.9.0"}', "metadata.json"),
        "config-json",
        "two parsers",
    ),
    *(Case(f"config-honest-{name}", make, None) for name, make in HONEST.items()),
)
