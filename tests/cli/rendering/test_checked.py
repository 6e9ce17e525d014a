"""What the gate says of model files, as people read it: short, unless all is asked for."""

from __future__ import annotations

import pytest

from kprobe.cli.rendering.checked import show_checked
from kprobe.pipeline.checking import CheckResult, Reason


def refuse(*reasons, path="a.h5"):
    return CheckResult(path, False, reasons, size=5, format="h5", would_run=("layer 'a' runs",))


def reason(text, rule="code-lambda", owner="layer 'a'", damage=False, allow="lambda"):
    return Reason(rule, text, owner, damage, allow)


@pytest.fixture
def show(capsys):
    def run(*results, whole=False):
        show_checked(results, whole)
        return capsys.readouterr().out.splitlines()

    return run


MANY = refuse(*(reason(f"holds {number} {'x' * 500}.") for number in range(30)))


def test_many_reasons_are_counted_and_long_ones_cut(show):
    first, *listed, more, hint, _, _, runs = show(MANY)
    assert (first, more) == ("a.h5: refused", "  and 18 more; -v lists them")
    assert len(listed) == 12
    assert all(len(line) < 300 and line.endswith("x. [code-lambda]") for line in listed)
    assert hint == "  `--allow lambda` opens it: only with code and files that you trust"
    assert runs == "runs:       layer 'a' runs"


def test_all_of_it_is_there_for_who_asks(show):
    accepted = CheckResult("b.h5", True, size=7, format="h5")
    lines = show(MANY, accepted, whole=True)
    assert sum("x. [code-lambda]" in line and len(line) > 500 for line in lines) == 30
    assert lines[lines.index("b.h5: accepted") :] == [
        "b.h5: accepted",
        "format:     h5",
        "size:       7 B",
        "runs:       Keras's and TensorFlow's own code alone",
    ]


def test_a_table_tells_the_first_reason_and_how_many_more(show):
    results = (MANY, refuse(reason("has one")), CheckResult("c", True, size=1))
    header, many, one, none, counted = show(*results)
    assert counted == "3 files: 1 accepted, 2 refused"
    assert many.endswith("x. [code-lambda], and 29 more")
    assert len(many) < 400
    assert one.endswith("layer 'a' has one [code-lambda]")
    assert none.split() == ["accepted", "c", "1", "B"]
    assert header.split()[-1] == "reason"


def test_a_path_of_any_length_is_read_at_a_glance(show):
    for path in ("d" * 4000 + ".h5", "\x1b" * 4000 + ".h5"):
        long = refuse(reason("has one"), path=path)
        (first, *_), (_, row, *_) = show(long), show(long, MANY)
        assert first.endswith(".h5: refused")
        assert ".h5  h5" in row
        assert len(first) < 300
        assert len(row) < 500
        assert show(long, whole=True)[0].count(path[:1].replace("\x1b", "\\x1b")) >= 4000


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            CheckResult("a", True, format="checkpoint", weights=2, weight_bytes=32),
            ["format:     checkpoint: weights alone, no model", "weights:    2 arrays, 32 B"],
        ),
        (
            CheckResult("a", True, format="weights", weights=1),
            ["format:     weights alone, no model", "weights:    1 array"],
        ),
        (
            CheckResult("a", True, format="onnx", operations=1234),
            [
                "format:     onnx",
                "operations: 1,234",
                "runs:       ONNX's own operations alone",
            ],
        ),
        (
            CheckResult("a", True, format="tflite"),
            ["format:     tflite", "runs:       TensorFlow Lite's own operations alone"],
        ),
        (CheckResult("a", False, format="tflite"), ["format:     tflite"]),
    ],
)
def test_what_is_inside_is_told_by_its_kind(show, result, expected):
    assert show(result)[1:] == expected


@pytest.mark.parametrize(
    ("reasons", "flags"),
    [
        ([reason("x"), reason("y", "code-torch", allow="torch")], "--allow lambda --allow torch"),
        ([reason("x"), reason("y")], "--allow lambda"),
        (
            [reason("x", "names-custom", allow=None), reason("y")],
            "--custom-objects FILE.py --allow lambda",
        ),
        ([reason("x"), reason("y", "hdf5-links", allow=None)], None),
        ([reason("x", "file-type", damage=True, allow=None)], None),
    ],
)
def test_what_opens_a_file_is_told_where_it_is_narrow(show, reasons, flags):
    (hint,) = [line for line in show(refuse(*reasons)) if "opens it" in line] or [None]
    assert hint == (flags and f"  `{flags}` opens it: only with code and files that you trust")


def test_what_is_damage_alone_is_no_danger(show):
    damaged = reason("is cut short", "hdf5-damaged", "", True, None)
    assert show(refuse(damaged))[0] == "a.h5: unreadable"
    assert show(refuse(damaged, reason("x")))[0] == "a.h5: refused"
