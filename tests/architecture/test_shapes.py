import pytest

from kprobe.architecture.network import read_shape
from kprobe.architecture.shapes import infer_shape


@pytest.mark.parametrize("tag", ["k2", "k3"])
def test_every_rule_agrees_with_its_keras(truth, tag):
    wrong = []
    for class_name, config, inputs, output in truth[f"{tag} rules"]:
        made = infer_shape(class_name, config, [read_shape(shape) for shape in inputs])
        expected = [tuple(s) for s in output] if isinstance(output[0], list) else tuple(output)
        if made != expected:
            wrong.append((class_name, inputs, made, expected))
    assert wrong == []


@pytest.mark.parametrize(
    ("class_name", "config", "inputs"),
    [
        ("ROI", {}, [(None, 4)]),
        ("Dense", {}, [(None, 4)]),
        ("Dense", {"units": 3}, [None]),
        ("Add", {}, [(None, 4), (None, 1)]),
        ("Conv2D", {"filters": 3, "kernel_size": [3, 3]}, [(None, 8, 8, 3)]),
        ("Reshape", {"target_shape": "x"}, [(None, 4)]),
    ],
)
def test_what_is_not_certain_is_not_told(class_name, config, inputs):
    assert infer_shape(class_name, config, inputs) is None
