"""What a run did, in a line or two."""

from __future__ import annotations

import json

import keras
import numpy as np

import kprobe
from kprobe.cli.rendering.plan import announce
from kprobe.cli.rendering.receipt import show_receipt
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job


def test_values_that_became_infinite_are_told_by_their_tensors(tmp_path, capsys):
    x = keras.Input((2,), name="x")
    dense = keras.layers.Dense(2, use_bias=False, kernel_initializer="identity", name="dense")
    model = keras.Model(x, dense(x))
    dense.kernel.assign([[1, 0], [0, 1e5]])
    settings = {
        "model": model,
        "layers": "x,dense,dense:kernel",
        "inputs": np.array([[1e6, 1], [1, 2]], "float32"),
        "output": tmp_path / "a.h5",
        "dtype": "float16",
    }
    with plan_job(make_job(**settings)) as plan:
        announce(plan)
        assert "values of dense:kernel that become infinite as stored: 1" in capsys.readouterr().err
    receipt = kprobe.dump(**settings)
    show_receipt(receipt, "a.h5", as_json=False, costs={})
    told = capsys.readouterr().err.splitlines()
    assert told[1:] == ["kprobe: values that became infinite as stored: 1 of x, 3 of dense"]
    shard = kprobe.dump(**settings | {"output": tmp_path / "a.dump", "shard": "1/1"})
    show_receipt(shard, "a.dump", as_json=False, costs={})
    assert told[1] in capsys.readouterr().err.splitlines()
    show_receipt(receipt, "a.h5", as_json=True, costs={})
    assert json.loads(capsys.readouterr().out)["overflows"] == {"x": 1, "dense": 3}
