"""What is claimed of a comparison, and what isn't."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from kprobe.analysis.comparison.records import (
    Described,
    Deviation,
    Pair,
    TensorDifference,
)
from kprobe.analysis.comparison.result import DiffResult
from kprobe.analysis.comparison.table import write_table
from kprobe.analysis.comparison.tolerance import tolerance
from kprobe.analysis.comparison.verdict import judge


def deviate(relative, only_b=0):
    place = (0, (1,)) if relative else (None, None)
    return Deviation(4, relative, *place, relative, None, None, None, only_b=only_b)


def differ(local, running=None, *, between=(), odd=0, names=None, tolerance=1e-5):
    """Make the tensors of a comparison, from their local and their running errors."""
    found = []
    for number, error in enumerate(local):
        name = names[number] if names else f"layer{number}"
        one = Described(name, (4,), "float32", number)
        pair = Pair(one, one, "address", between=between if number == 2 else ())
        own = (running or [e or 0.0 for e in local])[number]
        found.append(
            TensorDifference(
                pair,
                deviate(own, odd if number == 1 else 0),
                tolerance,
                local=None if error is None else deviate(error),
            )
        )
    return found


def test_an_error_is_born_where_the_local_one_stands_out():
    # The running one is larger elsewhere.
    found = judge(differ([0, 0, 4e-4, 0, 0, 1e-7], [0, 0, 4e-4, 9e-4, 5e-3, 2e-3]))
    assert (found.kind, found.born, found.first) == ("born", "layer2", "layer2")
    assert found.text == "born at layer2"
    assert found.would_pass == 4e-4


def test_a_region_is_named_where_layers_have_no_matched_tensor():
    found = judge(differ([0, 0, 4e-4, 0], between=("extra", "more")))
    assert found.born == "between the inputs and layer2: extra, more"
    assert found.text == f"born {found.born}"


def test_what_b_leaves_out_before_the_place_is_said():
    tensors = differ([0, 0, 4e-4, 0])
    gone = replace(tensors[2], pair=replace(tensors[2].pair, removed=("conv",)))
    found = judge([*tensors[:2], gone, tensors[3]])
    assert (found.born, found.text) == ("layer2", "born at layer2, before which B lacks conv")


def test_flat_errors_name_none():
    flat = [3e-3, 4e-3, 2e-3, 5e-3, 8e-3] * 31
    found = judge(differ(flat, [0.1] * 155))
    assert (found.kind, found.born) == ("spread", None)
    assert "155 of 155 tensors above tolerance, grown 12.5 times" in found.text
    # Layers that hand values on have none, and don't make the others stand out.
    found = judge(differ([0.0, 3e-3] * 20))
    assert (found.kind, found.born) == ("spread", None)
    # A long tail is no place either.
    found = judge(differ([1e-3] * 30 + [2e-3, 5e-3, 1.1e-2, 1.3e-2]))
    assert (found.kind, found.born) == ("spread", None)


def test_what_stands_out_of_flat_errors_is_named():
    found = judge(differ([*[3e-3, 4e-3] * 20, 2.0]))
    assert (found.kind, found.born) == ("born", "layer40")


def test_a_shared_layer_shows_in_each_of_its_calls():
    names = ["in", "enc@0", "enc@1", "enc@2", "out", "x", "y"]
    found = judge(differ([0, 3e-4, 2e-4, 4e-4, 0, 0, 0], names=names))
    assert (found.kind, found.born) == ("born", "enc@2")
    assert found.text == "born at enc@2; and, less, at enc@0, enc@1"


def test_running_errors_alone_never_decide_where_there_are_local_ones():
    tensors = differ([1e-7, 1e-7, 2e-7], [1e-7, 1e-4, 3e-3])
    found = judge(tensors)
    assert (found.kind, found.born, found.first) == ("none", None, "layer1")
    assert all(tensor.same for tensor in tensors)
    assert "none above noise, grown" in found.text


def test_without_local_errors_only_the_first_that_parts_ways_is_named():
    found = judge(differ([None, None, None], [0, 2e-3, 5e-2]))
    assert (found.kind, found.born, found.first) == ("parts", None, "layer1")
    assert found.text.endswith("from values alone: that needs local errors, of two models")
    assert found.would_pass == 5e-2
    nothing = judge(differ([None, None], [0, 0]))
    assert (nothing.kind, nothing.first, nothing.would_pass) == ("none", None, 0)
    assert nothing.text == "none: all values are equal"


def test_local_verdicts_are_withheld_where_closure_fails():
    found = judge(differ([0, 0, 4e-4, 0]), unequal=["layer1"])
    assert (found.kind, found.born, found.first) == ("withheld", None, "layer2")
    assert "equal bits for layer1" in found.text


def test_what_has_no_local_error_is_no_birthplace():
    found = judge(differ([0, 0, None, 0], [0, 0, 1e-2, 0]))
    assert (found.kind, found.born) == ("spread", None)
    assert "layer2" in found.text


def test_nan_on_one_side_passes_no_tolerance():
    tensors = differ([None, None], [0, 0], odd=3)
    assert (tensors[0].same, tensors[1].same) == (True, False)
    found = judge(tensors)
    assert (found.kind, found.first, found.would_pass) == ("parts", "layer1", None)
    assert tensors[1].excess == math.inf


@pytest.mark.parametrize(
    ("a", "b", "precision", "expected"),
    [
        ("float32", "float32", "float32", 1e-5),
        ("float64", "float32", "float32", 1e-5),
        ("float32", "float16", "float32", 5e-3),
        ("bfloat16", "float16", "float32", 3e-2),
        ("float32", "float32", "bfloat16", 3e-2),
        ("complex64", "complex64", "float32", 1e-5),
        ("int32", "bool", "bfloat16", 0),
    ],
)
def test_tolerance_is_that_of_the_lower_precision(a, b, precision, expected):
    one, other = (Described("x", (4,), dtype, 0) for dtype in (a, b))
    assert tolerance(Pair(one, other, "address"), precision) == expected


def test_weights_of_one_precision_have_no_tolerance():
    one, other = (Described("x", (4,), d, 0, weight=True) for d in ("float32", "bfloat16"))
    assert tolerance(Pair(one, one, "address"), "bfloat16") == 0
    assert tolerance(Pair(one, other, "address")) == 3e-2


def test_what_would_pass_does_pass():
    local = [1e-3, 4e-2, 3e-4]
    needed = judge(differ(local)).would_pass
    assert all(tensor.same for tensor in differ(local, tolerance=needed))
    assert not all(tensor.same for tensor in differ(local, tolerance=needed * 0.999))


def test_records_are_json_and_tables():
    tensors = differ([0, None, 4e-4], [0, math.inf, 1e-3], between=("extra",))
    result = DiffResult("a.keras", "b.keras", 4, tuple(tensors), judge(tensors), ("old",), ("new",))
    region = "between the inputs and layer2: extra"
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (plain["same"], plain["first"], plain["born"]) == (False, "layer1", region)
    assert (plain["unmatched_a"], plain["unmatched_b"]) == (["old"], ["new"])
    names = ["a", "b", "matched_by", "max_abs", "relative", "snr_db", "tolerance", "local_relative"]
    row = plain["tensors"][2]
    assert [row[name] for name in names] == [
        "layer2",
        "layer2",
        "address",
        1e-3,
        1e-3,
        None,
        1e-5,
        4e-4,
    ]
    assert row["gain"] == pytest.approx(2.5)
    assert plain["tensors"][1]["relative"] is None
    assert [t.pair.a.address for t in result.ranked] == ["layer1", "layer2", "layer0"]
    table = result.to_pandas()
    assert list(table["a"]) == ["layer0", "layer1", "layer2"]
    assert list(table.columns) == list(plain["tensors"][0])


def test_equal_local_errors_are_ranked_by_whether_values_part_ways():
    tensors = differ([0, 0, 4e-4, 0, 0], [0, 0, 4e-4, 9e-4, 5e-3])
    result = DiffResult("A", "B", 4, tuple(tensors), judge(tensors))
    names = [t.pair.a.address for t in result.ranked]
    assert names == ["layer2", "layer3", "layer4", "layer0", "layer1"]


def test_the_first_that_parts_ways_is_told_once():
    tensors = differ([None] * 3, [0, 4e-4, 9e-4])
    lines = write_table(DiffResult("A", "B", 4, tuple(tensors), judge(tensors)))
    assert [line for line in lines if "parts ways" in line] == [judge(tensors).text]


def test_what_is_not_shown_is_not_said_to_be_within_tolerance_where_it_is_not():
    quiet = differ([0.0] * 9)
    lines = write_table(DiffResult("A", "B", 4, tuple(quiet), judge(quiet)))
    assert "… and 4 more, all within tolerance" in lines
    # No layer differs, but what goes into them does.
    drifted = differ([0.0] * 9, [1.0] * 9)
    lines = write_table(DiffResult("A", "B", 4, tuple(drifted), judge(drifted)))
    told = "… and 4 more, within tolerance, but 4 of them with a running difference above it"
    assert told in lines
    many = differ([1.0] * 70 + [0.0] * 3, [1.0] * 73)
    lines = write_table(DiffResult("A", "B", 4, tuple(many), judge(many)))
    (told,) = (line for line in lines if line.startswith("…"))
    assert told.startswith("… and 13 more, 10 of them above tolerance and 3 of them with a running")
