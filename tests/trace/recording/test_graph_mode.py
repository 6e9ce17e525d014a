"""Models built with eager execution off, against what their session computes.

What is compared here was computed in two processes by `graph_mode.py`: once with the loops of
TensorFlow 2, once after `disable_v2_behavior`.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

STEPS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graph_mode")


def run(folder, mode, warm_python):
    path = folder / mode / "results"
    path.parent.mkdir()
    done = warm_python.run(Path(__file__).parent.parent / "graph_mode.py", path, mode)
    assert done.returncode == 0, done.stderr[-4000:]
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def functional(folder, warm_python):
    return run(folder, "v2", warm_python)


@pytest.fixture(scope="module")
def old(folder, warm_python):
    return run(folder, "v1", warm_python)


@pytest.fixture(params=["functional", "old"])
def results(request):
    return request.getfixturevalue(request.param)


def assert_same(computed, expected):
    for (address, value), other in zip(computed.items(), expected, strict=True):
        assert value.dtype == other.dtype, address
        # How far kernels differ depends on what they sum, not on what is left of it.
        scale = np.abs(other).max(initial=0)
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-5 * scale, err_msg=address)


def test_layers_a_pyramid_and_a_suppression_come_out_in_one_run(results):
    assert list(results["addresses"]) == [
        *("rpn_class", "ROI", "fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5", "fpn_p6", "nms"),
    ]
    assert_same(results["addresses"], results["addresses expected"])
    # The suppression has something to suppress.
    assert list(results["addresses"]["nms"]) != list(range(12))


def test_every_layer_is_what_its_output_is_in_the_session(results):
    assert len(results["layers"]) == 45
    assert_same(results["layers"], results["layers expected"])


def test_nested_models_wrapped_layers_and_operations_have_addresses(results):
    assert_same(results["inside"], results["inside expected"])


def test_of_the_learning_phase_one_branch_is_there(functional):
    (value,) = functional["branch"].values()
    (after,) = functional["branch expected"]
    np.testing.assert_allclose(value, after, rtol=1e-5, atol=1e-6)


def test_weights_are_those_of_the_session(results):
    assert_same(results["weights"], results["weights expected"])


def test_find_names_the_suppression(results):
    assert results["find"] == [("ROI//rpn_non_max_suppression/NonMaxSuppressionV3", 3)]


def test_the_calls_are_those_of_the_model(results):
    calls = results["calls"]
    assert calls[:4] == ["input_image", "input_image_meta", "input_anchors", "conv1"]
    assert [call for call in calls if "/rpn_class_raw" in call] == [
        f"rpn_model@{number}/rpn_class_raw" for number in range(5)
    ]
    # What making the nested model and loading the weights added to the graph is no part of it.
    assert not [call for call in calls if call.startswith("rpn_class_raw")]
    assert calls.index("rpn_model@4") < calls.index("ROI") < calls.index("tf_op_layer_add")


def test_operations_of_a_layer_are_listed(results):
    listed = results["listed"]
    assert {"clipped", "refined", "top_anchors", "stack_4"} <= set(listed)
    assert len([name for name in listed if "NonMaxSuppressionV3" in name.split("/")[-1]]) == 1


def test_inner_tensors_are_fed(results):
    assert results["feeds"] == ["rpn_class", "rpn_bbox", "input_anchors"]
    assert_same(results["fed"], results["fed expected"])
    assert_same(results["fed inside"], results["fed inside expected"])


def test_training_sets_the_learning_phase(results):
    assert_same(results["training"], results["training expected"])
    assert abs(results["training"]["c2"] - results["layers"]["c2"]).max() > 0.01


def test_a_dump_has_a_row_for_each_image(results):
    names = [*(name for name in results["addresses"])]
    assert_same({name: results["dump"][name] for name in names}, results["dump expected"])
    # Built for one image without saying so: what it gives for two has one row, too.
    one_by_one = {name: results["dump one by one"][name] for name in names}
    assert one_by_one["ROI"].shape == (3, 1, 12, 4)
    assert_same({**one_by_one, "ROI": one_by_one["ROI"][:, 0]}, results["dump expected"])
    assert results["dump"]["nms"].shape == (3, 12)
    assert results["audit"] == 0


def test_preprocessing_stands_in_front_of_the_placeholders(results):
    assert_same(results["prepared"], results["prepared expected"])


def test_many_samples_run_frozen(results):
    assert results["frozen"]
    assert_same({"fpn_p2": results["many"]}, [results["many expected"]])


def test_a_model_for_two_images_has_two_suppressions(results):
    assert list(results["pair"]) == [
        "ROI",
        "ROI//rpn_non_max_suppression/NonMaxSuppressionV3",
        "ROI//rpn_non_max_suppression_1/NonMaxSuppressionV3",
    ]
    assert_same(results["pair"], results["pair expected"])


def test_a_model_that_was_built_unrecorded_has_the_calls_keras_knows(results):
    assert_same(results["unrecorded"], results["unrecorded expected"])


def test_the_model_stays_as_it_was(results):
    np.testing.assert_array_equal(results["unchanged"][0], results["addresses expected"][1])


def test_mistakes_are_answered_in_a_line(results):
    assert "eager execution off" in results["eager"]
    assert "nearest: rpn_class" in results["misspelt"]


def test_python_functions_devices_and_old_variables_are_kept(results):
    for name in ("map", "function", "python", "device", "reference"):
        np.testing.assert_allclose(
            results[name]["probe"], results[f"{name} expected"], rtol=1e-6, err_msg=name
        )
    np.testing.assert_allclose(results["reference"]["probe//scaled"], STEPS * 3, rtol=1e-6)
    np.testing.assert_array_equal(results["mask"]["masking:mask"][1], [True] * 3 + [False] * 4)


def test_what_runs_in_loops_comes_out_of_each_iteration(functional):
    (squares,) = functional["square"].values()
    np.testing.assert_allclose(squares, STEPS**2, rtol=1e-6)
    inner = functional["layer in map"]["probe/inner"]
    np.testing.assert_allclose(inner[:, 0] + 1, functional["layer in map expected"], rtol=1e-5)
    kernel, recurrent, bias = functional["lstm"]
    h = c = np.zeros((3, 5))
    gates = []
    for step in range(7):
        z = STEPS[:, step] @ kernel + h @ recurrent + bias
        i, f, o = (1 / (1 + np.exp(-part)) for part in [*np.split(z, 4, axis=1)[:2], z[:, 15:]])
        c = f * c + i * np.tanh(z[:, 10:15])
        h = o * np.tanh(c)
        gates.append((i, f, o))
    for number, gate in enumerate(zip(*gates, strict=True)):
        value = list(functional["gates"].values())[number]
        np.testing.assert_allclose(value, np.stack(gate), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["square", "layer in map", "gates"])
def test_what_runs_in_loops_of_tensorflow_1_is_answered_with_the_reason(old, name):
    assert "in a loop of TensorFlow 1" in old[name]
    assert "enable_control_flow_v2" in old[name]


def test_gradients_are_those_that_the_session_computes(functional, old):
    for found, expected in zip(
        functional["gradients"], functional["gradients expected"], strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    # Behind the loops of TensorFlow 1, too; not through them.
    np.testing.assert_array_equal(old["gradient"][0], old["gradients expected"][2])
    for name in ("before", "lstm"):
        reason = f"{name}:gradient goes into a loop of TensorFlow 1, which has no gradient"
        assert reason in old["gradients"]
    assert "gru:gradient" not in old["gradients"]
    assert "enable_control_flow_v2" in old["gradients"]


def test_calls_of_a_shared_layer_are_counted_as_the_model_was_put_together(results):
    assert list(results["shared"]) == ["shared@0", "shared@1"]
    assert_same(results["shared"], results["shared expected"])


def test_state_goes_on_as_in_predict(results):
    for computed, expected in zip(results["stateful"], results["stateful expected"], strict=True):
        np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)
    assert abs(results["stateful"][0] - results["stateful"][1]).max() > 1e-3


def test_the_session_keeps_its_statistics(results):
    normed = (STEPS - STEPS.mean((0, 1))) / np.sqrt(STEPS.var((0, 1)) + 1e-3) * 2 + 1
    np.testing.assert_allclose(results["statistics"], normed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(results["norm"], results["norm expected"], rtol=1e-6)
    assert [weight[0] for weight in results["kept"]] == [2.0, 1.0, 0.5, 4.0]


def test_variables_without_a_value_are_missed_where_they_are_needed(results):
    assert_same(results["first"], [part.astype("float32") for part in results["first expected"]])
    assert "Could not find variable second/" in results["forgotten"]
    assert results["forgotten weight"] == "second/kernel:0 isn't initialised, and has no value"


def test_the_weights_are_not_copied(results):
    assert results["in place"]
