from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest

from kprobe.dumps.output import OutputSpec, read_output
from kprobe.errors import DumpError, KprobeError


def make(**options: Any) -> OutputSpec:
    return OutputSpec(**{"path": "a.h5", **options})


@pytest.mark.parametrize("path", ["d/a.h5", Path("d/a.h5"), PurePath("d/a.h5")])
def test_a_path_may_be_a_text_or_stand_for_one(path: Any) -> None:
    assert make(path=path).path == Path("d/a.h5")
    assert type(make(path=path).path) is type(Path())


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("dtype", "float16", "float16"),
        ("overwrite", True, True),
        ("resume", True, True),
        ("stop_after", 3, 3.0),
        ("stop_after", np.float32(0.5), 0.5),
        ("stop_after", None, None),
        ("max_bytes", 1, 1),
        ("max_bytes", np.int64(2**63 - 1), 2**63 - 1),
        ("max_bytes", None, None),
    ],
)
def test_what_is_right_is_kept_as_a_plain_value(option: str, value: Any, expected: Any) -> None:
    kept = getattr(make(**{option: value}), option)
    assert kept == expected
    assert type(kept) is type(expected)


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("path", 5, "the output: expected the name of a file, received 5"),
        ("path", b"a.h5", "the output: expected the name of a file, received b'a.h5'"),
        ("path", None, "the output: expected the name of a file, received None"),
        ("path", "", "the output: expected the name of a file, received an empty text"),
        ("path", "d/", "d/: expected the name of a file, received one that ends with a slash"),
        ("path", "a\0", r"'a\x00': expected the name of a file, received one with a NUL in it"),
        ("dtype", "bf16", "dtype: expected 'float16', 'float32' or 'as-is', received 'bf16'"),
        ("dtype", None, "dtype: expected 'float16', 'float32' or 'as-is', received None"),
        (
            "dtype",
            ["float16"],
            "dtype: expected 'float16', 'float32' or 'as-is', received ['float16']",
        ),
        ("overwrite", "yes", "overwrite: expected True or False, received 'yes'"),
        ("overwrite", 1, "overwrite: expected True or False, received 1"),
        ("resume", None, "resume: expected True or False, received None"),
        ("stop_after", 0, "stop_after: expected seconds above 0, received 0"),
        ("stop_after", -1.5, "stop_after: expected seconds above 0, received -1.5"),
        ("stop_after", math.nan, "stop_after: expected seconds above 0, received nan"),
        ("stop_after", math.inf, "stop_after: expected seconds above 0, received inf"),
        ("stop_after", True, "stop_after: expected seconds above 0, received True"),
        ("stop_after", "1h", "stop_after: expected seconds above 0, received '1h'"),
        *[
            (
                "max_bytes",
                value,
                "max_bytes: expected a whole number from 1 to 9223372036854775807, "
                f"received {value!r}",
            )
            for value in (0, -1, 2**63, 1.0, True, "1G")
        ],
    ],
)
def test_what_is_wrong_is_refused_with_what_was_expected(
    option: str, value: Any, fault: str
) -> None:
    with pytest.raises(DumpError) as caught:
        make(**{option: value})
    assert caught.value.faults == (fault,)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(KprobeError) as caught:
        make(path="", dtype="bf16", overwrite=0, resume=0, stop_after=0, max_bytes=0)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "the output",
        "dtype",
        "overwrite",
        "resume",
        "stop_after",
        "max_bytes",
    ]


def test_it_is_checked_when_it_is_changed_too_and_not_changed_in_place() -> None:
    spec = make(stop_after=3)
    assert replace(spec, stop_after=None).stop_after is None
    with pytest.raises(DumpError, match="max_bytes"):
        replace(spec, max_bytes=0)
    with pytest.raises(FrozenInstanceError):
        spec.overwrite = True  # type: ignore[misc]


def test_a_name_with_a_slash_inside_is_a_path() -> None:
    assert read_output("d/a.h5") == Path("d/a.h5")
