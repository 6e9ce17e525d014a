from __future__ import annotations

import pytest

from kprobe.dumps.names import check_names, column_name
from kprobe.errors import DumpError


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("conv5_3", "conv5_3"),
        ("backbone/conv5_3", "backbone.conv5_3"),
        ("enc@1/d1", "enc@1.d1"),
        ("ROI//map/while:0", "ROI..map.while:0"),
        ("ROI[0]", "ROI[0]"),
    ],
)
def test_a_column_is_named_after_its_address(address: str, name: str) -> None:
    assert column_name(address) == name


def test_names_that_differ_are_fine_and_so_is_an_address_asked_for_twice() -> None:
    check_names([("a/b", "a.b"), ("a/c", "a.c"), ("a/b", "a.b")])


def test_all_names_that_collide_or_are_reserved_are_listed_and_an_alias_is_asked_for() -> None:
    pairs = [
        ("a/b", "a.b"),
        ("a.b", "a.b"),
        ("fine", "fine"),
        ("sample", "sample"),
        ("dim_3", "dim_3"),
        ("x=conv", "my/x"),
    ]
    with pytest.raises(DumpError) as caught:
        check_names(pairs)
    assert caught.value.faults == (
        "a/b, a.b: expected a name for each, and all would be 'a.b'",
        "sample: the name 'sample' is kept by the dump's format for itself",
        "dim_3: the name 'dim_3' is kept by the dump's format for itself",
        "x=conv: expected a name without '/', not empty and not '.': 'my/x'",
    )
    assert caught.value.hint == "name them yourself with an alias: ALIAS=ADDRESS"


def test_an_alias_that_is_the_address_of_another_layer_is_refused() -> None:
    check_names([("conv1", "conv1"), ("conv1", "features"), ("conv1", "conv1")])
    with pytest.raises(DumpError) as caught:
        check_names([("conv1", "conv2"), ("conv2", "features")])
    assert caught.value.faults == ("conv1: the name 'conv2' is the address of another layer",)


@pytest.mark.parametrize("name", ["caf\udce9", "a\0b"])
def test_a_name_that_hdf5_can_not_hold_is_refused(name: str) -> None:
    with pytest.raises(DumpError, match="expected a name of printable text"):
        check_names([("conv1", name)])


@pytest.mark.parametrize(
    "name", ["committed", "complete", "started", "finished", "valid", "reason"]
)
def test_every_name_of_the_format_is_reserved(name: str) -> None:
    with pytest.raises(DumpError, match="kept by the dump's format"):
        check_names([(name, name)])
