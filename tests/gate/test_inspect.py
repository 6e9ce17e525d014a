"""All rules are held against a file, in an order in which each step may believe the last."""

from __future__ import annotations

from gate.hostile.saved_models import add, make_model, write

from kprobe.gate.findings import MOST_FAULTS, Limits
from kprobe.gate.inspect import inspect
from kprobe.gate.opened_directory import open_directory


def test_many_faults_that_are_allowed_hide_none_that_is_not(tmp_path):
    saved, graph = make_model()
    for number in range(MOST_FAULTS + 50):
        add(graph.graph_def.node, f"write{number}", f"Write{number}")
    path = write(tmp_path, saved)
    (path / "keras_metadata.pb").write_bytes(b"damaged")
    found = {
        allow: [fault.rule for fault in inspect(open_directory(path), Limits(allow=allow)).faults]
        for allow in ((), ("operations",))
    }
    assert found[()] == ["savedmodel-operations"] * MOST_FAULTS
    assert found["operations",] == ["savedmodel-operations"] * MOST_FAULTS + ["savedmodel-damaged"]
