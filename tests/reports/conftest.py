"""Dumps and comparisons to make reports of, written without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.graph import Node, write_graph
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

IMAGE = ("height", "width", "channel")


@pytest.fixture(scope="session")
def write_dump():
    """Write a dump of some arrays, whose first axis is that of samples."""

    def write(path, arrays, *, names=None, upstream=None, axes=None, attrs=None, weights=()):
        """Each follows from the one before, unless `upstream` has its places by address."""
        arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        addresses = list(arrays)
        rows = len(next(value for name, value in arrays.items() if name not in weights))
        columns = [
            Column(
                f"column{n}",
                value.shape if address in weights else value.shape[1:],
                value.dtype,
                {
                    "addresses": [address],
                    "layer_class": "Dense",
                    "dtype": value.dtype.name,
                    "layout": "weight" if address in weights else "dense",
                },
                value if address in weights else None,
                axes=(axes or {}).get(
                    address, () if address in weights or value.ndim != 4 else IMAGE
                ),
            )
            for n, (address, value) in enumerate(arrays.items())
        ]
        computed = [name for name in addresses if name not in weights]
        above = {name: [n - 1] if n else [] for n, name in enumerate(computed)} | (upstream or {})
        told = {
            "computed": [f"column{addresses.index(name)}" for name in computed],
            "graph": write_graph([Node(name, "Dense", tuple(above[name])) for name in computed]),
            "model": "a model",
            **(attrs or {}),
        }
        samples = names or [f"sample {row}" for row in range(rows)]
        with Writer(
            OutputSpec(path=path), Contents(columns=columns, samples=samples, attrs=told)
        ) as w:
            w.write(
                0, {f"column{n}": v for n, (a, v) in enumerate(arrays.items()) if a not in weights}
            )
            w.finish()
        return path

    return write


def make_tensor(name, **changes):
    """What a comparison tells of a tensor that is the same on both sides."""
    return {
        "a": name,
        "b": name,
        "matched_by": "address",
        "layout": None,
        "order": 0,
        "between": [],
        "after": [],
        "place": name,
        "layer_class": "Dense",
        "shape": [4],
        "dtype": "float32",
        "weight": False,
        "same": True,
        "count": 8,
        "max_abs": 0.0,
        "row": None,
        "sample": None,
        "index": None,
        "relative": 0.0,
        "worst_channel": None,
        "worst_channel_relative": None,
        "snr_db": None,
        "only_a": 0,
        "only_b": 0,
        "unlike": 0,
        "unequal": 0,
        "odd_sample": None,
        "cosine": None,
        "max_ulps": None,
        "tolerance": 1e-5,
        "atol": 0.0,
        "noise": None,
        "local_relative": None,
        "local_max_abs": None,
        "local_worst_channel": None,
        "local_reason": None,
        "gain": None,
    } | changes


def make_comparison(*tensors, **changes):
    """What `kprobe diff` prints as JSON."""
    return {
        "same": all(tensor["same"] for tensor in tensors),
        "first": None,
        "born": None,
        "verdict": "none: all values are equal",
        "kind": "none",
        "would_pass": 0.0,
        "a": "old.keras",
        "b": "new.keras",
        "samples": 2,
        "unmatched_a": [],
        "unmatched_b": [],
        "notes": [],
        "tensors": list(tensors),
    } | changes


@pytest.fixture(scope="session")
def comparison():
    """A comparison of a chain of three layers, in the second of which the error is born."""
    return make_comparison(
        make_tensor("first"),
        make_tensor(
            "second",
            a="zweite",
            matched_by="order",
            after=["first"],
            same=False,
            relative=0.5,
            max_abs=3.0,
            row=1,
            sample="b.png",
            index=[2],
            local_relative=0.5,
            local_max_abs=3.0,
            worst_channel=2,
            snr_db=6.0,
        ),
        make_tensor("third", after=["first", "second"], relative=0.25, local_relative=0.0),
        kind="born",
        born="second",
        first="second",
        verdict="born at second",
        would_pass=0.5,
        unmatched_b=["more"],
        notes=["one note"],
    )


@pytest.fixture(scope="session")
def make_layers():
    return make_tensor, make_comparison


@pytest.fixture(scope="session")
def numbers():
    return np.random.default_rng(0)
