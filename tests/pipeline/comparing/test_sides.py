"""What a dump knows of its network counts in a comparison of dumps."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.graph import Node, write_graph
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer


def write_dump(path, upstream, factor=1, *, known=True):
    """Write a dump of tensors, each with what it is computed from."""
    names = list(upstream)
    columns = [
        Column(name, (4,), np.dtype("f4"), {"addresses": [name], "layer_class": "Dense"})
        for name in names
    ]
    nodes = [
        Node(n, "Dense", tuple(names.index(a) for a in above)) for n, above in upstream.items()
    ]
    attrs = {"computed": names} | ({"graph": write_graph(nodes)} if known else {})
    contents = Contents(columns=columns, samples=["x", "y"], attrs=attrs)
    values = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, {name: values * (factor if name == "end" else 1) for name in names})
        writer.finish()
    return path


# B has two more: one before the end, and one beside it that is computed before the end, too.
A = {"start": [], "end": ["start"]}
B = {"start": [], "extra": ["start"], "beside": ["start"], "end": ["extra"]}


@pytest.mark.parametrize(("known", "between"), [(True, ["extra"]), (False, ["extra", "beside"])])
def test_only_what_a_tensor_is_computed_from_lies_before_it(known, between, tmp_path):
    a = write_dump(tmp_path / "a.h5", A, known=known)
    b = write_dump(tmp_path / "b.h5", B, factor=2, known=known)
    result = kprobe.diff(a, b)
    told = {each["b"]: each for each in result.to_json()["tensors"]}
    assert told["end"]["between"] == between
    assert told["end"]["after"] == ["start"]
    assert (told["end"]["layer_class"], told["end"]["shape"]) == ("Dense", [4])
    assert told["end"]["place"] == f"between start and end: {', '.join(between)}"


def test_what_the_other_side_leaves_out_is_told(tmp_path):
    result = kprobe.diff(write_dump(tmp_path / "b.h5", B), write_dump(tmp_path / "a.h5", A))
    assert [pair.pair.removed for pair in result.tensors] == [(), ("extra",)]
