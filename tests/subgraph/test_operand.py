"""Each reduction gives what numpy gives on the values that it takes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kprobe.errors import AddressError
from kprobe.subgraph.operand import Operand
from kprobe.subgraph.reductions import REDUCTIONS, parse_requests
from kprobe.subgraph.sparse_projection import draw_projection

IMAGE = ("height", "width", "channel")
# Numbers that all formats hold, from -4 to 3.75.
VALUES = np.random.default_rng(0).integers(-16, 16, (3, 5, 7, 4)).astype("float64") / 4


def refer_pool(values):
    cut = values[:, :4, :6]
    windows = [[cut[:, i : i + 2, j : j + 3].mean((1, 2)) for j in (0, 3)] for i in (0, 2)]
    return np.moveaxis(np.array(windows), 2, 0)  # fmt: skip


def refer_histogram(values):
    return np.stack(
        [np.histogram(row, 5, (-1.1, 1.3))[0] for row in values.reshape(len(values), -1)]
    )


def refer_projection(values):
    drawn = draw_projection(140, 6, 9)
    matrix = np.zeros((6, 140))
    matrix[drawn.outputs, drawn.inputs] = drawn.values
    return values.reshape(len(values), -1) @ matrix.T


# By what is written: the names of the axes that are left, and what numpy has for it.
COMPUTED = {
    "gap": (["channel"], lambda v: v.mean((1, 2))),
    "mean": ([], lambda v: v.mean((1, 2, 3))),
    "mean(height)": (["width", "channel"], lambda v: v.mean(1)),
    "mean(height,width)": (["channel"], lambda v: v.mean((1, 2))),
    "mean(1,-1)": (["width"], lambda v: v.mean((1, 3))),
    "norm": ([], lambda v: np.sqrt((v**2).sum((1, 2, 3)))),
    "norm(channel)": (["height", "width"], lambda v: np.linalg.norm(v, axis=3)),
    "pool(2,3)": ([*IMAGE], refer_pool),
    "quantiles(0,0.3,0.5,1)": (
        ["quantile"], lambda v: np.quantile(v.reshape(len(v), -1), [0, 0.3, 0.5, 1], 1).T
    ),
    "project(6,9)": (["component"], refer_projection),
    "channels(1:3).gap": (["channel"], lambda v: v[..., 1:3].mean((1, 2))),
    "pool(2,3).norm(height,width).topk(2)": (
        ["rank"], lambda v: -np.sort(-np.linalg.norm(refer_pool(v), axis=(1, 2)))[:, :2]
    ),
}  # fmt: skip
CHOSEN = {
    "gmax": (["channel"], lambda v: v.max((1, 2))),
    "channels(1:3)": ([*IMAGE], lambda v: v[..., 1:3]),
    "channels(::-2)": ([*IMAGE], lambda v: v[..., ::-2]),
    "channels(-1)": (["height", "width"], lambda v: v[..., -1]),
    "channels(3,-4)": ([*IMAGE], lambda v: v[..., [3, 0]]),
    "flatten": ([None], lambda v: v.reshape(len(v), -1)),
    "topk(2)": (["height", "width", "rank"], lambda v: -np.sort(-v)[..., :2]),
    "flatten.topk(3)": (["rank"], lambda v: -np.sort(-v.reshape(len(v), -1))[:, :3]),
}
COUNTED = {
    "argtopk(2)": (
        ["height", "width", "rank"], lambda v: np.argsort(-v, axis=-1, kind="stable")[..., :2]
    ),
    "histogram(5,-1.1,1.3)": (["bin"], refer_histogram),
}  # fmt: skip
OF_STEPS = {
    "positions(-1)": (["unit"], lambda v: v[:, -1]),
    "positions(0,2)": (["step", "unit"], lambda v: v[:, [0, 2]]),
    "positions(1:)": (["step", "unit"], lambda v: v[:, 1:]),
    "last": (["unit"], lambda v: v[:, -1]),
}


def apply_all(texts, values, names, dtype=tf.float32, *, mask=None, shape=None):
    """Apply chains as one graph does that knows no more of the sizes than `shape`.

    Gives by text what is left, and the names of its axes.
    """
    given = tf.cast(tf.constant(values), dtype)
    left = []

    def run(tensor):
        results = []
        for text in texts:
            ((chain,),) = [request.chains for request in parse_requests(text)]
            operand = Operand(tensor, tuple(names), None if mask is None else tf.constant(mask))
            for step in chain.steps:
                operand = step.apply(operand)
            left.append([*operand.names])
            results.append(operand.tensor)
        return results

    spec = tf.TensorSpec(given.shape if shape is None else shape, dtype)
    results = tf.function(run, input_signature=[spec], autograph=False)(given)
    return dict(zip(texts, zip(results, left, strict=True), strict=True))


def apply(text, values, names, dtype=tf.float32, **options):
    return apply_all([text], values, names, dtype, **options)[text]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int32])
def test_what_is_computed_is_as_numpy_has_it(dtype):
    values = VALUES if dtype.is_floating else np.trunc(VALUES)
    wide = dtype in (tf.float64, tf.int32)
    tolerance = 1e-12 if wide else 2e-6
    for text, (result, left) in apply_all(COMPUTED, values, IMAGE, dtype).items():
        names, refer = COMPUTED[text]
        assert result.dtype == (tf.float64 if wide else tf.float32), text
        assert left == names, text
        np.testing.assert_allclose(result, refer(values), tolerance, tolerance, err_msg=text)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.int8, tf.int64])
def test_what_is_chosen_among_the_values_is_as_it_was(dtype):
    values = VALUES if dtype.is_floating else np.trunc(VALUES)
    for text, (result, left) in apply_all(CHOSEN, values, IMAGE, dtype).items():
        names, refer = CHOSEN[text]
        assert result.dtype == dtype, text
        assert left == names, text
        np.testing.assert_array_equal(tf.cast(result, tf.float64), refer(values), err_msg=text)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.float64, tf.int32])
def test_what_is_counted_is_as_numpy_has_it(dtype):
    values = VALUES if dtype.is_floating else np.trunc(VALUES)
    for text, (result, left) in apply_all(COUNTED, values, IMAGE, dtype).items():
        names, refer = COUNTED[text]
        assert result.dtype == tf.int32, text
        assert left == names, text
        np.testing.assert_array_equal(result, refer(values), err_msg=text)


@pytest.mark.parametrize("known", [("step", "unit"), (None, None)])
def test_steps_are_taken_as_numpy_takes_them(known):
    values = VALUES[..., 0]
    for text, (result, left) in apply_all(OF_STEPS, values, known).items():
        names, refer = OF_STEPS[text]
        np.testing.assert_array_equal(result, refer(values), err_msg=text)
        assert left == [name if known[0] else None for name in names], text


def test_sizes_need_not_be_known_before():
    table = {**COMPUTED, **CHOSEN, **COUNTED}
    del table["project(6,9)"]
    for text, (result, _) in apply_all(table, VALUES, IMAGE, shape=[None] * 4).items():
        np.testing.assert_allclose(result, table[text][1](VALUES), 1e-5, 1e-6, err_msg=text)
    with pytest.raises(AddressError, match="expected rows of one size"):
        apply("project(6)", VALUES, IMAGE, shape=[None] * 4)
    for text in ("channels(9)", "channels(0,-5)"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            apply(text, VALUES, IMAGE, shape=[None] * 4)


def test_channels_may_be_anywhere():
    moved = np.moveaxis(VALUES, -1, 1)
    texts = ["gap", "gmax", "norm(channel)", "channels(1:3)", "topk(2)", "argtopk(2)", "pool(2,3)"]
    last = apply_all([*texts, "mean(height)"], VALUES, IMAGE)
    first = apply_all(last, moved, ("channel", "height", "width"))
    for text, (expected, names) in last.items():
        result, left = first[text]
        order = [0, *(left.index(name) + 1 for name in names)]
        np.testing.assert_allclose(tf.transpose(result, order), expected, 1e-6, err_msg=text)


def test_there_may_be_any_number_of_axes():
    volume = VALUES.reshape(3, 5, 7, 2, 2)
    named = ("depth", "height", "width", "channel")
    np.testing.assert_allclose(apply("gap", volume, named)[0], volume.mean((1, 2, 3)), 1e-6)
    pooled, _ = apply("pool(5,7,2)", volume, named)
    np.testing.assert_allclose(pooled[:, 0, 0, 0], volume.mean((1, 2, 3)), 1e-6)
    scores = VALUES[:, 0, 0]
    np.testing.assert_array_equal(apply("topk(1)", scores, ["unit"])[0], scores.max(1)[:, None])
    np.testing.assert_array_equal(apply("channels(1)", scores, [None])[0], scores[:, 1])
    alone, left = apply("mean", VALUES[:, 0, 0, 0], [])
    np.testing.assert_array_equal(alone, VALUES[:, 0, 0, 0])
    assert left == []


# Of 0 to 1 in steps that no format holds: where a value lies on an edge or beside it.
@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.float64])
def test_values_beside_an_edge_lie_in_the_bin_that_they_lie_in_with_all_digits(dtype):
    edges = np.linspace(-0.3, 0.7, 11)
    held = tf.cast(tf.cast(edges, dtype), tf.float64).numpy()
    near = np.concatenate([held, np.nextafter(held, 9), np.nextafter(held, -9), [np.inf, -np.inf]])
    rounded = tf.cast(tf.cast(near, dtype), tf.float64).numpy()
    expected = np.histogram(rounded, 10, (-0.3, 0.7))[0]
    result, _ = apply("histogram(10,-0.3,0.7)", near[np.newaxis], [None], dtype)
    np.testing.assert_array_equal(result[0], expected)


def test_a_mask_says_which_step_is_the_last():
    values = VALUES[..., 0]
    mask = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    result, left = apply("last", values, ["step", "unit"], mask=mask)
    np.testing.assert_array_equal(result[:2], values[[0, 1], [1, 2]])
    assert np.isnan(result[2]).all()
    assert left == ["unit"]
    numbers, _ = apply("last", np.trunc(values), ["step", "unit"], tf.int32, mask=mask)
    np.testing.assert_array_equal(numbers[2], 0)


def test_nan_makes_nan_of_each_result_that_depends_on_it():
    values = VALUES.copy()
    values[1, 2, 3, 1] = np.nan
    table = {**COMPUTED, **CHOSEN, **COUNTED}
    found = {text: result for text, (result, _) in apply_all(table, values, IMAGE).items()}
    for text, (_, refer) in {**COMPUTED, **CHOSEN}.items():
        if "topk" not in text and "project" not in text:
            expected = np.isnan(refer(values))
            np.testing.assert_array_equal(np.isnan(found[text]), expected, err_msg=text)
    expected = np.zeros((3, 5, 7, 2), bool)
    expected[1, 2, 3] = True
    np.testing.assert_array_equal(np.isnan(found["topk(2)"]), expected)
    np.testing.assert_array_equal(found["argtopk(2)"] == -1, expected)
    expected = refer_histogram(values[1:2][~np.isnan(values[1:2])][np.newaxis])
    np.testing.assert_array_equal(found["histogram(5,-1.1,1.3)"][1], expected[0])
    drawn = draw_projection(140, 6, 9)
    touched = np.zeros((3, 6), bool)
    touched[1, drawn.outputs[drawn.inputs == np.ravel_multi_index((2, 3, 1), (5, 7, 4))]] = True
    np.testing.assert_array_equal(np.isnan(found["project(6,9)"]), touched)


def test_infinity_is_a_value():
    row = np.array([[-np.inf, 1, 2, np.inf]])
    found, _ = apply("quantiles(0,0.5,0.9,1)", row, [None])
    np.testing.assert_array_equal(found, [[-np.inf, 1.5, np.inf, np.inf]])
    np.testing.assert_array_equal(apply("topk(2)", row, [None])[0], [[np.inf, 2]])


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("mean(heigth)", IMAGE, "no axis heigth of samples: its axes are height 5, width 7,"),
        ("mean(0)", IMAGE, "no axis 0 of samples"),
        ("mean(4)", IMAGE, "no axis 4 of samples"),
        ("mean(1,height)", IMAGE, "expected each axis once, received 1, height"),
        ("channels(4)", IMAGE, "expected a number from 0 to 3, received 4"),
        ("channels(0,-5)", IMAGE, "expected a number from 0 to 3, received -5"),
        ("channels(4:)", IMAGE, "expected some of 4, received none"),
        ("topk(5)", IMAGE, "expected at least 5 values"),
        ("pool(2)", IMAGE, "expected 2 sizes of a window, received 1"),
        ("pool(6,2)", IMAGE, "a window of 6 doesn't fit"),
        ("last", IMAGE, "expected an axis of steps"),
        ("gap.gap", IMAGE, "expected axes beside that of channels: its axes are channel 4"),
        ("gap", ("head", "step", "key_step"), "expected an axis of channels or units"),
    ],
)  # fmt: skip
def test_what_doesnt_fit_is_answered_with_the_axes(text, names, said):
    with pytest.raises(AddressError) as raised:
        apply(text, VALUES, names)
    assert said in str(raised.value)


def test_each_row_of_the_table_is_held_against_numpy():
    tried = "".join([*COMPUTED, *CHOSEN, *COUNTED, *OF_STEPS])
    assert [name for name in REDUCTIONS if name not in tried] == []
