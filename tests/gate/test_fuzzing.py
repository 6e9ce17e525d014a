"""Whatever bytes a file has, the gate answers; and what it accepts, others read alike."""

from __future__ import annotations

import pytest
from mutations import make_seeds
from try_mutations import judge, try_mutations


@pytest.fixture(scope="module")
def seeds():
    return make_seeds()


def test_the_seeds_are_accepted(seeds, tmp_path):
    for ending, content in seeds:
        assert judge(tmp_path / f"model.{ending}", content) == set()


# What is tried reaches each of the readers, and some changes do no harm.
@pytest.mark.parametrize(
    ("endings", "rules"),
    [
        (("json", "keras", "h5"), {"archive-damaged", "config-json", "hdf5-damaged"}),
        (("pb",), {"savedmodel-damaged"}),
        (("onnx",), {"onnx-layout", "onnx-operations"}),
        (("tflite",), {"tflite-layout"}),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_any_bytes_are_answered(seeds, tmp_path, endings, rules):
    chosen = [seed for seed in seeds if seed[0] in endings]
    found = try_mutations(chosen, tmp_path, range(200))
    assert {"accepted", *rules} <= {*found}
    assert found.total() >= 200
