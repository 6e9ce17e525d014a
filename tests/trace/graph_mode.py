"""Run in a process of its own, since eager execution can't be switched on again: `FILE v1|v2`.

Writes what kprobe computes of models built with eager execution off, and what `K.function` and
Keras compute of the same, to FILE, pickled. With `v1` the loops are those of TensorFlow 1, too.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

if sys.argv[2] == "v1":
    tf.compat.v1.disable_v2_behavior()
else:
    tf.compat.v1.disable_eager_execution()

import detector
import tf_keras as keras

import kprobe
from kprobe.compat.eager_mode import eagerly
from kprobe.trace.operations import list_operations
from kprobe.trace.recording.graph_mode import recording_session
from kprobe.trace.recording.graph_mode_variables import find_variables, take_values
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace
from kprobe.trace.search import search_upstream

KL = keras.layers
K = keras.src.backend  # the public one lacks get_session and function
# Nothing rewrites what is compared with; and for these graphs that takes long.
settings = tf.compat.v1.ConfigProto(allow_soft_placement=True)
settings.graph_options.rewrite_options.disable_meta_optimizer = True
K.set_session(tf.compat.v1.Session(config=settings))
FOLDER = Path(sys.argv[1]).parent
STEPS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
LAYERS = ["rpn_class", "ROI", *(f"fpn_p{number}" for number in range(2, 7))]
NMS = "ROI/rpn_non_max_suppression/NonMaxSuppressionV3"


def build(make, *args):
    with recording_session():
        return make(*args)


def reference(model, fetches, inputs, feeds=None, training=None):
    """What the session computes."""
    phase = [] if training is None else [K.learning_phase()]
    given = [*inputs.values(), *([training] if phase else [])]
    return K.function([*(feeds or model.inputs), *phase], fetches)(given)


def message(action):
    try:
        action()
    except kprobe.KprobeError as error:
        return "; ".join(error.lines)
    return ""


def dump(model, layers, inputs=(), **options):
    path = FOLDER / "a.h5"
    kprobe.dump(model, layers, inputs=inputs, output=path, overwrite=True, **options)
    with kprobe.open_dump(path) as file:
        return {name: np.stack(list(file[name])) for name in file}


def run_layers(model, inputs):
    """Everything that a model has addresses for, each next to what it is to be."""
    graph = model.outputs[0].graph
    addresses = [*LAYERS, "nms=ROI//*NonMaxSuppression*:0"]
    others = ("rpn_model", *model.input_names)
    once = [layer for layer in model.layers if layer.name not in others]
    inside = {
        "rpn_model@3/rpn_class_raw": "rpn_model_3/rpn_class_raw/BiasAdd:0",
        "rpn_model@0[1]": "rpn_model/rpn_class_xxx/Softmax:0",
        "rpn_model@4/rpn_conv_shared:in": "fpn_p6/MaxPool:0",
        "head_bn/batch_norm": "head_bn/batch_norm/FusedBatchNormV3:0",
        "ROI//refined": "ROI/refined:0",
        "//ROI/clipped": "ROI/clipped:0",
        "conv1//Conv2D": "conv1/Conv2D:0",
        "sum=tf_op_layer_add": "add:0",
    }
    owners = ["conv1", "bn_c2", "head_conv"]
    # By what is asked for, the tensors that it is to be; all in one run, since each takes long.
    wanted = {
        "addresses": [
            *(model.get_layer(name).output for name in LAYERS),
            graph.get_tensor_by_name(f"{NMS}:0"),
        ],
        "layers": [layer.output for layer in once],
        "inside": [graph.get_tensor_by_name(name) for name in inside.values()],
        "branch": [model.get_layer("bn_c2").output],
    }
    found = iter(reference(model, [t for tensors in wanted.values() for t in tensors], inputs))
    results = {f"{name} expected": [next(found) for _ in t] for name, t in wanted.items()}
    results["weights expected"] = [
        weight for name in owners for weight in model.get_layer(name).get_weights()
    ]
    results["addresses"] = kprobe.function(model, addresses)(inputs)
    names = [layer.name for layer in once]
    branch = ["bn_c2//*FusedBatchNormV3:0"]
    if sys.argv[2] == "v1":  # where the branches are in the graph itself
        branch = []
    weights = [f"{name}:*" for name in owners]
    computed = kprobe.function(model, [*names, *inside, *branch, *weights])(inputs)
    places = list(computed)
    ends = np.cumsum([0, len(names), len(inside), len(branch)])
    for name, start, stop in zip(
        ("layers", "inside", "branch", "weights"), ends, [*ends[1:], None], strict=True
    ):
        results[name] = {place: computed[place] for place in places[start:stop]}
    return results


def run_detector():
    inputs = detector.make_inputs()
    model = build(detector.make_detector)
    graph = model.outputs[0].graph
    results = run_layers(model, inputs)

    traced = trace(model, read_signature(model), lambda given: arrange_inputs(model, given))
    results["find"] = [
        (match.address, match.hops)
        for match in search_upstream(traced, ".*NonMaxSuppression.*", "ROI")
    ]
    calls = {call.address: call for call in traced.calls}
    results["calls"] = list(calls)
    results["listed"] = [entry.name for entry in list_operations(traced, calls["ROI"])]

    fed = ["rpn_class", "rpn_bbox"]
    function = kprobe.function(model, "ROI", feeds=fed)
    results["feeds"] = list(function.feeds)
    values = dict(zip(LAYERS, results["addresses expected"], strict=False))
    given = {
        "rpn_class": values["rpn_class"][:, ::-1],
        "rpn_bbox": np.zeros_like(results["layers"]["rpn_bbox"]),
        "input_anchors": inputs["input_anchors"],
    }
    results["fed"] = function(given)
    feeds = [*(model.get_layer(name).output for name in fed), model.inputs[2]]
    results["fed expected"] = reference(model, [model.get_layer("ROI").output], given, feeds)
    boxes = np.random.default_rng(1).uniform(size=(1, 60, 4)).astype("float32")
    function = kprobe.function(model, "moved=tf_op_layer_add", feeds="ROI//clipped")
    given = {**inputs, "ROI//clipped": boxes}
    results["fed inside"] = function(given)
    feeds = [*model.inputs, graph.get_tensor_by_name("ROI/clipped:0")]
    added = [graph.get_tensor_by_name("add:0")]
    results["fed inside expected"] = reference(model, added, given, feeds)

    stages = [f"c{number}" for number in (2, 3)]
    results["training"] = kprobe.function(model, stages, training=True)(inputs)
    tensors = [model.get_layer(name).output for name in stages]
    results["training expected"] = reference(model, tensors, inputs, training=True)

    several = detector.make_inputs(3, seed=1)
    rows = [{name: value[i : i + 1] for name, value in several.items()} for i in range(3)]
    tensors = [
        *(model.get_layer(name).output for name in LAYERS),
        graph.get_tensor_by_name(NMS + ":0"),
    ]
    found = [reference(model, tensors, row) for row in rows]
    results["dump expected"] = [
        np.concatenate(part) for part in zip(*[f[:-1] for f in found], strict=True)
    ]
    results["dump expected"].append(np.stack([f[-1] for f in found]))
    addresses = [*LAYERS, "nms=ROI//*NonMaxSuppression*:0"]
    results["dump"] = dump(model, addresses, several, batch_size=1)
    results["dump one by one"] = dump(model, addresses, several)

    pixels = np.random.default_rng(2).integers(0, 256, (4, 64, 64, 3), "uint8")
    scaled = kprobe.Preprocessing(scale=1 / 255)
    results["prepared"] = dump(
        model,
        ["fpn_p2"],
        {**detector.make_inputs(4), "input_image": pixels},
        preprocessing={"input_image": scaled},
    )
    given = {
        **detector.make_inputs(4),
        "input_image": pixels.astype("float32") * np.float32(1 / 255),
    }
    results["prepared expected"] = reference(model, [model.get_layer("fpn_p2").output], given)

    audited = kprobe.dump(
        model,
        "rpn_class",
        inputs=several,
        output=FOLDER / "b.h5",
        overwrite=True,
        batch_size=1,
        audit=True,
        exact=True,
    )
    with kprobe.open_dump(audited.output) as file:
        results["audit"] = int(file.attrs["audit_ulps"])

    many = {name: np.tile(value, (96, *[1] * (value.ndim - 1))) for name, value in several.items()}
    results["many"] = dump(model, ["fpn_p2"], many, batch_size=16)["fpn_p2"][:3]
    (results["many expected"],) = reference(model, [model.get_layer("fpn_p2").output], several)
    with kprobe.open_dump(FOLDER / "a.h5") as file:
        results["frozen"] = bool(file.attrs["frozen"])

    results["eager"] = message(lambda: dump(model, ["c2"], several, eager=True))
    results["misspelt"] = message(lambda: kprobe.function(model, "rpn_clas"))
    return results, model, inputs


def run_variants(results, model, inputs):
    """The detector as others have it: for two images a batch, and built unrecorded."""
    results["unchanged"] = reference(model, [model.get_layer("ROI").output], inputs)
    K.clear_session()  # a graph that grows is placed anew at each run
    plain = detector.make_detector()
    name = plain.get_layer("ROI").output.name.partition("/")[0]
    function = kprobe.function(plain, ["ROI", "rpn_model@2[1]", "ROI//*NonMaxSuppression*"])
    results["unrecorded"] = function(inputs)
    tensors = [
        plain.get_layer("ROI").output,
        plain.get_layer("rpn_model").get_output_at(2)[1],
        plain.outputs[0].graph.get_tensor_by_name(f"{name}{NMS.removeprefix('ROI')}:0"),
    ]
    results["unrecorded expected"] = reference(plain, tensors, inputs)
    pair = build(detector.make_detector, 2)
    images = detector.make_inputs(2, seed=3)
    results["pair"] = kprobe.function(pair, "ROI,ROI//*NonMaxSuppression*")(images)
    suppressions = [
        op.outputs[0]
        for op in pair.outputs[0].graph.get_operations()
        if op.type == "NonMaxSuppressionV3"
        and op.name.startswith(pair.get_layer("ROI").output.name.partition("/")[0] + "/")
    ]
    tensors = [pair.get_layer("ROI").output, *suppressions]
    results["pair expected"] = reference(pair, tensors, images)


class Probe(KL.Layer):
    """A layer that runs a function."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def wrap(function, **shape):
    i = KL.Input(**(shape or {"shape": (7, 4)}))
    return keras.Model(i, Probe(function, name="probe")(i))


def map_squares(x):
    return tf.map_fn(lambda row: tf.square(row, name="square") + 1.0, x)


def map_layer(x):
    layer = KL.Dense(4, name="inner")
    layer.build((None, 7, 4))
    return tf.map_fn(lambda row: layer(row[None])[0] + 1.0, x)


def use_reference(x):
    with tf.compat.v1.variable_scope("old"):
        variable = tf.compat.v1.get_variable(
            "variable", (4,), use_resource=False, initializer=tf.compat.v1.constant_initializer(3.0)
        )
    K.track_variable(variable)
    return tf.multiply(x, variable, name="scaled") + 1.0


def make_norm():
    i = KL.Input((7, 4))
    model = keras.Model(i, KL.BatchNormalization(momentum=0.5, name="norm")(i))
    model.set_weights([np.full(4, value, "float32") for value in (2.0, 1.0, 0.5, 4.0)])
    return model


def make_twice():
    i = KL.Input((7, 4))
    return keras.Model(i, KL.Dense(4, name="second")(KL.Dense(4, name="first")(i)))


def make_shared():
    """The first call of the shared layer lies closer to the output than the second."""
    i = KL.Input((7, 4))
    shared = KL.Dense(4, name="shared")
    first = shared(i)
    second = KL.Activation("tanh")(KL.Activation("relu")(shared(KL.Activation("exponential")(i))))
    return keras.Model(i, KL.Add()([first, second]))


def make_stateful():
    i = KL.Input(batch_shape=(3, 7, 4))
    return keras.Model(i, KL.LSTM(5, stateful=True, name="lstm")(i))


def make_masked():
    i = KL.Input((7, 4))
    x = KL.Masking(name="masking")(i)
    return keras.Model(i, KL.LSTM(5, return_sequences=True, name="lstm")(x))


def make_recurrent():
    i = KL.Input((7, 4))
    x = KL.LSTM(4, return_sequences=True, name="lstm")(KL.Dense(4, name="before")(i))
    return keras.Model(i, KL.Dense(2, name="after")(KL.GRU(3, name="gru")(x)))


def run_gradients(results):
    """Gradients through loops, and behind them."""
    K.clear_session()
    model = build(make_recurrent)
    names = ["before", "lstm", "gru"]
    gradients = K.gradients(
        model.outputs[0][:, 1], [model.get_layer(name).output for name in names]
    )
    results["gradients expected"] = reference(model, gradients, {"": STEPS})
    for key, layers in {"gradients": names, "gradient": names[2:]}.items():
        try:
            layers = [f"{name}:gradient" for name in layers]
            function = kprobe.function(model, layers, gradients_of="after", unit=1, exact=True)
            results[key] = list(function(STEPS).values())
        except kprobe.KprobeError as error:
            results[key] = "; ".join(error.lines)


def run_constructions(results):
    def compute(name, address, make, **options):
        K.clear_session()  # a graph that grows is placed anew at each run
        model = build(make)
        (expected,) = reference(model, [model.outputs[0]], {"": STEPS})
        results[f"{name} expected"] = expected
        try:
            results[name] = kprobe.function(model, address, **options)(STEPS)
        except kprobe.KprobeError as error:
            results[name] = "; ".join(error.lines)
        return model

    compute("map", "probe", lambda: wrap(map_squares))
    compute("square", "probe//*square", lambda: wrap(map_squares))
    compute("layer in map", "probe/inner", lambda: wrap(map_layer))
    compute(
        "function",
        "probe,probe//*square",
        lambda: wrap(tf.function(lambda x: 1 + tf.square(x, name="square"))),
    )
    compute(
        "python",
        "probe",
        lambda: wrap(lambda x: tf.py_function(lambda a: a.numpy() * 2, [x], tf.float32)),
    )
    compute("device", "probe", lambda: wrap(lambda x: place(x)))
    compute("reference", "probe,probe//scaled", lambda: wrap(use_reference))
    results["lstm"] = compute("gates", "lstm//*Sigmoid*", make_masked).get_weights()
    model = compute("shared", "shared@0,shared@1", make_shared)
    outputs = [model.get_layer("shared").get_output_at(number) for number in range(2)]
    results["shared expected"] = reference(model, outputs, {"": STEPS})
    masked = STEPS.copy()
    masked[1, 3:] = 0
    results["mask"] = kprobe.function(build(make_masked), "masking:mask")(masked)

    model = make_stateful()
    function = kprobe.function(model, "lstm", stateful=True)
    results["stateful"] = [function(STEPS)["lstm"] for _ in range(2)]
    results["stateful expected"] = [model.predict(STEPS) for _ in range(2)]

    model = make_norm()
    function = kprobe.function(model, "norm", training=True)
    results["statistics"] = function(STEPS)["norm"]
    results["kept"] = model.get_weights()
    results["norm"] = compute("norm", "norm", make_norm) and results["norm"]["norm"]

    K.clear_session()
    K.manual_variable_initialization(True)
    model = build(make_twice)
    weights = [np.full((4, 4), 2.0), np.ones(4)]
    model.get_layer("first").set_weights(weights)
    results["first"] = kprobe.function(model, "first,first:bias")(STEPS)
    results["first expected"] = [STEPS @ weights[0] + 1, weights[1]]
    results["forgotten"] = message(lambda: kprobe.function(model, "second")(STEPS))
    results["forgotten weight"] = message(lambda: kprobe.function(model, "second:kernel"))
    K.manual_variable_initialization(False)

    i = KL.Input((600,))
    model = keras.Model(i, KL.Dense(600, kernel_initializer="zeros", name="wide")(i))
    K.get_session()
    results["in place"] = share_memory(model.output.graph, "wide/kernel")


def place(x):
    with tf.device("/gpu:0"):
        return x * 3.0


@eagerly
def share_memory(graph, name):
    """Tell whether what is taken of a variable twice lies in one place: the variable's own."""
    operations = find_variables(graph, [name], ())
    one, other = (take_values(graph, operations)[name].value() for _ in range(2))
    return np.shares_memory(np.asarray(one), np.asarray(other))


computed, built, batch = run_detector()
run_variants(computed, built, batch)
run_constructions(computed)
run_gradients(computed)
Path(sys.argv[1]).write_bytes(pickle.dumps(computed))
