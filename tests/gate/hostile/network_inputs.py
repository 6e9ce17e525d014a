"""Networks that want too much for what their layers take, and say so nowhere or wrongly."""

from __future__ import annotations

from gate.hostile.case import Case
from gate.hostile.networks import BOTH, K2, K3

MANY = 10**6


def _case(name, form, model, rule="network-size"):
    # They have no weights, and some take all memory when they run.
    return Case(f"network-{name}-keras-{form.major}", form.file(model), rule, loads=False)


def _inner(form, name, kind="Dense", **config):
    """A layer in a wrapper."""
    made = form.layer(name, kind, **config)
    return {key: item for key, item in made.items() if key not in ("name", "inbound_nodes")}


def _by_step(form, name="each", *calls, inner=None):
    """What makes a call for each step: in tf_keras, only what is unrolled."""
    if form.major < 3:
        return form.layer(name, "LSTM", *calls, units=4, unroll=True, return_sequences=True)
    return form.layer(name, "TimeDistributed", *calls, layer=inner or _inner(form, "d"))


def _operate(form, name, kind, call, **config):
    """An operation, or for Keras 2 a function, with what it is called with."""
    if form.major < 3:
        own = {"name": name, "trainable": True, "dtype": "float32", "function": kind}
        node = [[*call[:3], config]]
        return {"class_name": "TFOpLambda", "config": own, "name": name, "inbound_nodes": [node]}
    made = form.layer(name, kind, form.call(call))
    made["config"] = {"name": name, **config}
    return {**made, "module": "keras.src.ops.numpy", "registered_name": kind}


def _behind(form, *made, shape=(None, 3, 4), **more):
    """A model that goes by step over what the last of some layers gives, which looks short."""
    taken = form.call(form.ref(made[-1]["name"], shape=(None, 2, 4)))
    return form.model(form.input(shape=shape), *made, _by_step(form, "out", taken), **more)


# States.


def _stateful(form, batch, *, name="out", kind="LSTM", taken=None, **config):
    config = {"units": 4, "return_sequences": True, "stateful": True, **config}
    shape = (batch, 3, 4)
    layer = form.layer(name, kind, taken or form.call(form.ref("in", shape=shape)), **config)
    return form.model(form.input(shape=shape), layer)


def _states(form):
    batch = 2**25
    yield _case("states", form, _stateful(form, batch))
    yield _case("states-by-another-truth", form, _stateful(form, batch, stateful=1))
    inner = _inner(form, "r", "LSTM", units=4, stateful=True, return_sequences=True)
    both = _stateful(form, batch, kind="Bidirectional", layer=inner, merge_mode="concat")
    yield _case("states-both-ways", form, both)
    cells = [_inner(form, f"c{k}", "LSTMCell", units=4) for k in range(2)]
    cell = _inner(form, "cells", "StackedRNNCells", cells=cells)
    yield _case("states-of-cells", form, _stateful(form, batch, kind="RNN", cell=cell))
    places = form.layer(
        "out",
        "ConvLSTM2D",
        form.call(form.ref("in", shape=(4, 3, 2048, 2048, 1))),
        filters=64,
        kernel_size=[3, 3],
        stateful=True,
    )
    wide = form.model(form.input(shape=(4, 3, 2048, 2048, 1)), places)
    yield _case("states-of-places", form, wide)
    # Each of these alone is small enough.
    shape = (2**22, 3, 4)
    config = {"units": 4, "return_sequences": True, "stateful": True}
    layers = [
        form.layer(
            f"r{k}", "LSTM", form.call(form.ref(f"r{k - 1}" if k else "in", shape=shape)), **config
        )
        for k in range(40)
    ]
    several = form.model(form.input(shape=shape), *layers, outputs=[("r39", 0, 0)])
    yield _case("states-of-many", form, several)
    # The operation tells how many samples there are.
    size = [2**28, 1, 4]
    kind, key = ("Reshape", "newshape") if form.major >= 3 else ("reshape", "shape")
    packed = _operate(form, "packed", kind, form.ref("in"), **{key: size})
    layer = form.layer("out", "LSTM", form.call(form.ref("packed", shape=(2, 1, 4))), **config)
    yield _case("states-behind-an-operation", form, form.model(form.input(), packed, layer))


# Steps that no rule tells, or a file wrongly.


def _untold(form):
    taken = form.ref("in", shape=(None, 3, 4))
    kind, config = ("Repeat", {"repeats": MANY, "axis": 1})
    yield _case("steps-repeated", form, _behind(form, _function(form, "a", kind, taken, config)))
    kind, config = ("Tile", {"repeats": [1, MANY, 1]})
    yield _case("steps-tiled", form, _behind(form, _function(form, "a", kind, taken, config)))
    width = [[0, 0], [0, MANY], [0, 0]]
    padded = _function(form, "a", "Pad", taken, {"pad_width": width})
    yield _case("steps-padded", form, _behind(form, padded))
    # Layers that have a rule stand behind one that has none.
    odd = _function(form, "odd", "Diagonal", taken, {"axis1": 1, "axis2": 2})
    seen = form.call(form.ref("odd", shape=(None, 4)))
    for name, layer in (
        ("repeated", form.layer("more", "RepeatVector", seen, n=MANY)),
        ("enlarged", form.layer("more", "UpSampling1D", seen, size=MANY)),
        ("bordered", form.layer("more", "ZeroPadding1D", seen, padding=[MANY, MANY])),
        ("arranged", form.layer("more", "Reshape", seen, target_shape=[MANY, 4])),
    ):
        yield _case(f"steps-untold-and-{name}", form, _behind(form, odd, layer))
    chain = [
        form.layer(f"a{k}", "ReLU", form.call(form.ref(f"a{k - 1}" if k else "more")))
        for k in range(12)
    ]
    more = form.layer("more", "RepeatVector", "in", n=MANY)
    out = _by_step(form, "out", form.call(form.ref("a11", shape=(None, 2, 4))))
    yield _case("steps-of-the-last-first", form, form.model(form.input(), out, *chain[::-1], more))
    key = "batch_shape" if form.major >= 3 else "batch_input_shape"
    last = form.layer("a", "ReLU", **{key: [None, 2, 4]})
    stack = form.stack(
        form.input(), form.layer("more", "RepeatVector", n=MANY), last, _by_step(form)
    )
    yield _case("steps-of-a-later-layer", form, stack)
    first = int(form.major < 3)
    inner = form.model(
        form.input("i", (None, None, 4)),
        _by_step(form, "each", form.call(form.ref("i", shape=(None, None, 4)))),
        inputs=[("i", 0, 0)],
        outputs=[("each", 0, 0)],
        name="out",
        calls=[form.call(form.ref("more", shape=(None, MANY, 4)))],
    )
    more = form.layer("more", "RepeatVector", "in", n=MANY)
    nested = form.model(form.input(), more, inner, outputs=[("out", first, 0)])
    yield _case("steps-of-an-open-model", form, nested)
    long = form.input(shape=(None, 60_000, 4))
    taken = form.call(form.ref("in", shape=(None, 60_000, 4)))
    yield _case("steps-60000", form, form.model(long, _by_step(form, "out", taken)))
    chain = [_by_step(form, f"s{k}", f"s{k - 1}" if k else "in") for k in range(60)]
    shape = (None, 500, 4)
    several = form.model(form.input(shape=shape), *chain, outputs=[("s59", 0, 0)])
    yield _case("steps-of-many", form, several)
    if form.major >= 3:
        unrolled = form.layer("out", "GRU", taken, units=4, unroll=1)
        yield _case("steps-by-another-truth", form, form.model(long, unrolled))


# How functions of TensorFlow say the same.
_FUNCTIONS = {
    "Diagonal": ("linalg.diag_part", {}),
    "Pad": ("pad", {"pad_width": "paddings"}),
    "Repeat": ("repeat", {}),
    "Tile": ("tile", {"repeats": "multiples"}),
}


def _function(form, name, kind, taken, config):
    if form.major >= 3:
        return _operate(form, name, kind, taken, **config)
    function, names = _FUNCTIONS[kind]
    own = {names.get(key, key): value for key, value in config.items() if kind != "Diagonal"}
    return _operate(form, name, function, taken, **own)


# What whoever makes samples has to make.


def _wide(form):
    for name, shape in (
        ("batch-that-is-fixed", (2**31 - 1, 4)),
        ("picture", (None, 50_000, 50_000)),
        ("pictures", (2**31 - 1, 50_000, 50_000)),
    ):
        layer = form.layer("out", "ReLU", form.call(form.ref("in", shape=shape)))
        yield _case(name, form, form.model(form.input(shape=shape), layer))
    key = "batch_shape" if form.major >= 3 else "batch_input_shape"
    first = form.layer("out", "ReLU", **{key: [2**31 - 1, 4]})
    yield _case("batch-of-a-first-layer", form, form.stack(first))
    shape = (None, 2**24)
    names = [f"i{k}" for k in range(40)]
    inputs = [form.input(name, shape) for name in names]
    layer = form.layer("out", "Add", form.call(*(form.ref(name, shape=shape) for name in names)))
    ends = [(name, 0, 0) for name in names]
    yield _case("many-wide-inputs", form, form.model(*inputs, layer, inputs=ends))


# Layers in a layer that is no model.


def _pipelines():
    dense = _inner(K3, "d")
    step = _inner(K3, "each", "TimeDistributed", layer=dense)
    more = _inner(K3, "more", "RepeatVector", n=MANY)
    state = _inner(K3, "r", "LSTM", units=4, stateful=True)
    for name, shape, inner, rule in (
        ("steps-in-a-pipeline", (None, 60_000, 4), [step], "network-size"),
        ("steps-made-in-a-pipeline", (None, 4), [more, step], "network-size"),
        (
            "steps-in-two-pipelines",
            (None, 60_000, 4),
            [_inner(K3, "p", "Pipeline", layers=[step])],
            "network-size",
        ),
        ("states-in-a-pipeline", (2**25, 3, 4), [state], "network-size"),
        ("steps-in-an-honest-pipeline", (None, 9, 4), [_inner(K3, "a", "ReLU"), step], None),
    ):
        layer = K3.layer("out", "Pipeline", K3.call(K3.ref("in", shape=shape)), layers=inner)
        for key in ("trainable", "dtype"):
            layer["config"].pop(key)
        yield _case(name, K3, K3.model(K3.input(shape=shape), layer), rule)


# Sizes that some layers take for numbers.


def _odd_sizes(form):
    for name, units in (("text", "1000000000"), ("fraction", 1e9), ("truth", True), ("dict", {})):
        layer = form.layer("out", "Dense", "in", units=units)
        yield _case(f"size-as-{name}", form, form.model(form.input(), layer))


# What is made, or computed, when a layer is built.


def _built():
    constant = {"args": [[1.0]], "kwargs": {}}
    tiled = K3.layer("odd", "Tile", constant)
    tiled |= {"module": "keras.src.ops.numpy", "registered_name": "Tile"}
    tiled["config"] = {"name": "odd", "repeats": 2**30}
    out = K3.layer("out", "ReLU", K3.call(K3.ref("in")))
    yield _case("constant-tiled", K3, K3.model(K3.input(), tiled, out), "network-references")
    for name, kind, config in (
        ("many-unknown", "IntegerLookup", {"num_oov_indices": 2**31 - 8, "vocabulary": [1, 2]}),
        ("padded", "StringLookup", {"pad_to_max_tokens": True, "max_tokens": 2**31 - 8}),
        ("padded-text", "TextVectorization", {"pad_to_max_tokens": True, "max_tokens": 2**31 - 8}),
        ("widened", "Normalization", {"axis": [1], "mean": 0.0, "variance": 1.0}),
    ):
        shape = (None, 2**29 - 8)
        layer = K3.layer("out", kind, K3.call(K3.ref("in", shape=shape)), **config)
        yield _case(f"table-{name}", K3, K3.model(K3.input(shape=shape), layer))


def _local():
    for implementation in (1, 2, 3):
        for name, length, rule in (("many", 300_000, "network-size"), ("a-few", 28, None)):
            shape = (None, length, 4)
            config = {"filters": 4, "kernel_size": [3], "implementation": implementation}
            taken = K2.call(K2.ref("in", shape=shape))
            layer = K2.layer("out", "LocallyConnected1D", taken, **config)
            model = K2.model(K2.input(shape=shape), layer)
            yield _case(f"places-{name}-{implementation}", K2, model, rule)


# What is odd, and sound.


def _honest(form):
    def made(name, model):
        return _case(name, form, model, None)

    yield made("states-of-a-few", _stateful(form, 256))
    taken = form.ref("in", shape=(None, 3, 4))
    repeated = _function(form, "a", "Repeat", taken, {"repeats": 30, "axis": 1})
    yield made("steps-repeated-a-few-times", _behind(form, repeated))
    odd = _function(form, "odd", "Diagonal", taken, {"axis1": 1, "axis2": 2})
    dense = form.layer("d", "Dense", form.call(form.ref("odd", shape=(None, 3))), units=512)
    more = form.layer("more", "RepeatVector", "d", n=20)
    yield made("steps-untold-and-wide", _behind(form, odd, dense, more))
    shape = (None, 5_000, 4)
    layer = _by_step(form, "out", form.call(form.ref("in", shape=shape)))
    yield made("steps-of-a-long-record", form.model(form.input(shape=shape), layer))
    volume = (None, 512, 512, 512, 4)
    layer = form.layer("out", "ReLU", form.call(form.ref("in", shape=volume)))
    yield made("volume", form.model(form.input(shape=volume), layer))
    free = (None, None, 4)
    layer = form.layer("out", "LSTM", form.call(form.ref("in", shape=free)), units=4)
    yield made("steps-that-vary", form.model(form.input(shape=free), layer))


def _film():
    """A network of 300 layers for each of 40 pictures."""
    names = ["i", *(f"a{k}" for k in range(300))]
    layers = [
        K3.layer(name, "ReLU", K3.call(K3.ref(names[k], shape=(None, 8, 8, 3))))
        for k, name in enumerate(names[1:])
    ]
    inner = K3.model(
        K3.input("i", (None, 8, 8, 3)),
        *layers,
        inputs=[("i", 0, 0)],
        outputs=[("a299", 0, 0)],
        name="picture",
    )
    shape = (None, 40, 8, 8, 3)
    taken = K3.call(K3.ref("in", shape=shape))
    return K3.model(K3.input(shape=shape), _by_step(K3, "out", taken, inner=inner))


CASES: tuple[Case, ...] = (
    *(case for form in BOTH for case in _states(form)),
    *(case for form in BOTH for case in _untold(form)),
    *(case for form in BOTH for case in _wide(form)),
    *_pipelines(),
    *(case for form in BOTH for case in _odd_sizes(form)),
    *_built(),
    *_local(),
    *(case for form in BOTH for case in _honest(form)),
    _case("steps-of-a-film", K3, _film, None),
)
