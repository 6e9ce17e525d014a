"""Networks that can't be built, would take for ever, or want more memory than there is."""

from __future__ import annotations

import json

from gate.hostile.case import Case
from gate.hostile.network_files import Form, write_architecture
from gate.hostile.saved_models import make_model, write

from kprobe.gate.graphs.saved_model_proto import parse

K3, K2 = Form(3), Form(2)
BOTH = (K3, K2)
HUGE = 10**12
DENSE_3 = {"layers/dense/vars/0": (4, 4), "layers/dense/vars/1": (4,)}


def _case(rule, name, form, model, weights=None, source=""):
    title = f"network-{name}-keras-{form.major}"
    return Case(title, form.file(model, weights), rule, source)


def _plain(form, *layers, **ends):
    """A graph of an input `in` and some layers."""
    return form.model(form.input(), *layers, **ends)


def _single(form, kind, shape=(None, 4), **config):
    """A model of one layer, called `out`."""
    taken = form.call(form.ref("in", shape=shape))
    return form.model(form.input(shape=shape), form.layer("out", kind, taken, **config))


def _policies(*patterns):
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "float32"},
        "registered_name": None,
    }
    return {
        "module": "keras.dtype_policies",
        "class_name": "DTypePolicyMap",
        "config": {"default_policy": None, "policy_map": dict.fromkeys(patterns, policy)},
        "registered_name": None,
    }


def _matching(name, *patterns, rule="config-pattern", length=4):
    attention = {"num_heads": 1, "key_dim": 2, "dtype": _policies(*patterns)}
    path = "a" * length
    taken = K3.call(K3.ref("in", shape=(None, 3, 4)), K3.ref("in", shape=(None, 3, 4)))
    taken = {"args": taken["args"][0], "kwargs": {}}
    model = K3.model(
        K3.input(shape=(None, 3, 4)),
        K3.layer(path, "MultiHeadAttention", taken, **attention),
        outputs=[(path, 0, 0)],
    )
    weights = {}
    for each, last in (("query", 2), ("key", 2), ("value", 2)):
        place = f"layers/multi_head_attention/{each}_dense/vars"
        weights |= {f"{place}/0": (4, 1, last), f"{place}/1": (1, last)}
    place = "layers/multi_head_attention/output_dense/vars"
    weights |= {f"{place}/0": (1, 2, 4), f"{place}/1": (4,)}
    return _case(rule, f"pattern-{name}", K3, model, weights)


# What isn't there.


def _references(form):
    ref, call, dense = form.ref, form.call, form.layer
    wrong = {
        "missing": _plain(form, dense("out", "Dense", "gone")),
        "call-beyond": _plain(form, dense("out", "Dense", call(ref("in", 1)))),
        "call-negative": _plain(form, dense("out", "Dense", call(ref("in", -2)))),
        "call-as-text": _plain(form, dense("out", "Dense", call(ref("in", "0")))),
        "tensor-beyond": _plain(form, dense("out", "Dense", call(ref("in", 0, 3)))),
        "tensor-negative": _plain(form, dense("out", "Dense", call(ref("in", 0, -1)))),
        "never-called": _plain(form, dense("idle"), dense("out", "Dense", "idle")),
        "output-missing": _plain(form, dense("out", "Dense", "in"), outputs=[("gone", 0, 0)]),
        "output-beyond": _plain(form, dense("out", "Dense", "in"), outputs=[("out", 4, 0)]),
        "input-missing": _plain(form, dense("out", "Dense", "in"), inputs=[("gone", 0, 0)]),
        "one-name-twice": _plain(form, dense("out", "Dense", "in"), dense("out", "Dense", "in")),
        "one-name-twice-in-a-stack": form.stack(form.input(), dense("d"), dense("d")),
        "outside-of-a-nested-model": _plain(
            form,
            dense("outer", "Dense", "in"),
            form.model(
                form.input("inner_in"),
                dense("inner", "Dense", "outer"),
                inputs=[("inner_in", 0, 0)],
                outputs=[("inner", 0, 0)],
                name="out",
                calls=["in"],
            ),
        ),
        "nested-output-beyond": _plain(
            form,
            _nest(form, "half", calls=["in"]),
            dense("out", "Dense", call(ref("half", int(form.major < 3), 1))),
        ),
        "keyword": _plain(
            form,
            dense("seen", "LSTM", "in", units=4),
            dense("out", "LSTM", call("in", initial_state=[_as_keyword(form, "gone")]), units=4),
        ),
    }
    for name, model in wrong.items():
        yield _case("network-references", name, form, model)


def _as_keyword(form, name, node=0, tensor=0):
    return form.ref(name, node, tensor) if form.major >= 3 else [name, node, tensor]


def _nest(form, name, calls, inner="inner"):
    """A model in a model: an input and a dense layer."""
    return form.model(
        form.input(f"{inner}_in"),
        form.layer(inner, "Dense", f"{inner}_in"),
        inputs=[(f"{inner}_in", 0, 0)],
        outputs=[(inner, 0, 0)],
        name=name,
        calls=calls,
    )


def _more_references():
    # tf_keras counts the call that it makes itself of a model which has an input, and no other.
    counted = _plain(
        K2, _nest(K2, "half", calls=["in"]), K2.layer("out", "Dense", K2.call(K2.ref("half", 0)))
    )
    yield _case("network-references", "nested-call-counted-otherwise", K2, counted)
    stack = K2.stack(K2.layer("first"), name="half", calls=["in"])
    counted = _plain(K2, stack, K2.layer("out", "Dense", K2.call(K2.ref("half", 1))))
    yield _case("network-references", "unbuilt-stack-counted-otherwise", K2, counted)
    broken = {"class_name": "__keras_tensor__", "config": {"keras_history": "in"}}
    taken = _plain(K3, K3.layer("out", "Dense", K3.call(broken)))
    yield _case("network-references", "no-history", K3, taken)
    nameless = K3.layer("out", "Dense", "in")
    nameless["name"] = nameless["config"]["name"] = None
    yield _case("network-references", "nameless", K3, _plain(K3, nameless))


# What waits for itself.


def _cycles(form):
    layer, call, ref = form.layer, form.call, form.ref
    first = int(form.major < 3)
    waiting = {
        "of-one": _plain(form, layer("out", "Dense", "out")),
        "of-two": _plain(form, layer("a", "Dense", "out"), layer("out", "Dense", "a")),
        "of-three": _plain(
            form,
            layer("a", "Add", call("in", "out")),
            layer("b", "Dense", "a"),
            layer("out", "Dense", "b"),
        ),
        "of-many": lambda: _plain(
            form,
            *(layer(f"d{k}", "Dense", f"d{(k - 1) % 500}") for k in range(500)),
            layer("out", "Dense", "d7"),
        ),
        "beside-a-sound-part": _plain(
            form,
            layer("out", "Dense", "in"),
            layer("a", "Dense", "b"),
            layer("b", "Dense", "a"),
        ),
        "of-a-nested-model": _plain(
            form,
            _nest(form, "half", calls=["out"]),
            layer("out", "Dense", call(ref("half", first))),
        ),
        "in-a-nested-model": _plain(
            form,
            form.model(
                form.input("inner_in"),
                layer("a", "Dense", "b"),
                layer("b", "Dense", "a"),
                inputs=[("inner_in", 0, 0)],
                outputs=[("b", 0, 0)],
                name="half",
                calls=["in"],
            ),
            layer("out", "Dense", call(ref("half", first))),
        ),
        "of-a-later-call": _plain(
            form,
            layer("a", "Dense", call(ref("a", 1)), call("in")),
            layer("out", "Dense", "a"),
        ),
        "by-keyword": _plain(
            form,
            layer("a", "LSTM", call("in", initial_state=[_as_keyword(form, "out")]), units=4),
            layer("out", "Dense", "a"),
        ),
        "in-a-wrapper": _plain(
            form,
            layer(
                "out",
                "TimeDistributed",
                "in",
                layer=form.model(
                    form.input("inner_in"),
                    layer("a", "Dense", "a"),
                    inputs=[("inner_in", 0, 0)],
                    outputs=[("a", 0, 0)],
                    name="half",
                ),
            ),
        ),
    }
    for name, model in waiting.items():
        yield _case("network-cycle", f"cycle-{name}", form, model)


# What takes too long.


def _double(form, levels):
    """A model that calls one inside twice, which calls one inside twice, and so on."""
    first = int(form.major < 3)
    made = _nest(form, "m0", calls=())
    for level in range(1, levels):
        made = {**made, "name": f"m{level - 1}"}
        made["inbound_nodes"] = [
            form.call("in"),
            form.call(form.ref(f"m{level - 1}", first)),
        ]
        end = (f"m{level - 1}", 2, 0)
        made = form.model(form.input(), made, outputs=[end], name=f"m{level}")
    return made


def _wrap(form, kind, inner, times, **config):
    for level in range(times):
        key = "cells" if kind == "StackedRNNCells" else "layer"
        own = {k: v for k, v in inner.items() if k not in ("name", "inbound_nodes")}
        inner = form.layer(f"w{level}", kind, **{key: [own] if key == "cells" else own}, **config)
    return {k: v for k, v in inner.items() if k not in ("name", "inbound_nodes")}


def _slow(form):
    layer, shape = form.layer, (None, 10**6, 4)
    cell = layer("c", "LSTMCell", units=4)
    slow = {
        "doubling": lambda: _double(form, 24),
        "long-stack": lambda: form.stack(
            form.input(), *(layer(f"d{k}", "ReLU") for k in range(1_000))
        ),
        "stacks-in-stacks": lambda: form.stack(
            form.input(),
            *(
                form.stack(*(layer(f"r{j}_{k}", "ReLU") for k in range(60)), name=f"s{j}")
                for j in range(60)
            ),
        ),
        "many-layers": lambda: _plain(
            form,
            *({"class_name": "ReLU", "name": str(k), "config": {}} for k in range(10_100)),
            outputs=[],
        ),
        "wrong-way-round": lambda: _plain(
            form,
            *(
                {**layer(f"d{k}", "ReLU", f"d{k - 1}" if k else "in"), "config": {"name": f"d{k}"}}
                for k in reversed(range(2_000))
            ),
            outputs=[("d1999", 0, 0)],
        ),
        "nested-both-ways": _plain(
            form,
            layer("out", "Bidirectional", "in", layer=_wrap(form, "Bidirectional", cell, 12)),
        ),
        "nested-cells": _plain(
            form, layer("out", "RNN", "in", cell=_wrap(form, "StackedRNNCells", cell, 18))
        ),
        "unrolled": _single(form, "LSTM", shape, units=4, unroll=True, return_sequences=False),
        "many-chains": _single(form, "AugMix", (None, 8, 8, 3), num_chains=10**6, chain_depth=1),
        "many-iterations": _single(
            form,
            "SpectralNormalization",
            power_iterations=10**9,
            layer={k: v for k, v in layer("d").items() if k not in ("name", "inbound_nodes")},
        ),
        "n-grams": _single(form, "TextVectorization", (None, 1), ngrams=10**9),
    }
    for name, model in slow.items():
        yield _case("network-size", name, form, model)


def _slow_in_one():
    shape = (None, 10**6, 4)
    dense = {k: v for k, v in K3.layer("d").items() if k not in ("name", "inbound_nodes")}
    once = _single(K3, "TimeDistributed", shape, layer=dense)
    yield _case("network-size", "by-step", K3, once)
    inner = {**K3.layer("w", "TimeDistributed", layer=dense)}
    inner = {k: v for k, v in inner.items() if k not in ("name", "inbound_nodes")}
    twice = _single(K3, "TimeDistributed", (None, 1_000, 1_000, 4), layer=inner)
    yield _case("network-size", "by-step-twice", K3, twice)
    # The file says of the tensor that it is short. Keras believes the layers.
    taken = K3.call(K3.ref("many", shape=(None, 2, 4)))
    repeated = _plain(
        K3,
        K3.layer("many", "RepeatVector", "in", n=10**6),
        K3.layer("out", "TimeDistributed", taken, layer=dense),
    )
    yield _case("network-size", "by-step-untold", K3, repeated)
    split = {
        "module": "keras.src.ops.numpy",
        "class_name": "Split",
        "config": {"name": "out", "indices_or_sections": 10**9, "axis": 1},
        "registered_name": "Split",
        "name": "out",
        "inbound_nodes": [K3.call("in")],
    }
    yield _case("network-size", "split", K3, _plain(K3, split))
    call = ["in", 0, 0, {"num_or_size_splits": 10**9, "axis": 1}]
    split = {
        "class_name": "TFOpLambda",
        "config": {"name": "out", "trainable": True, "dtype": "float32", "function": "split"},
        "name": "out",
        "inbound_nodes": [call],
    }
    yield _case("network-size", "split", K2, _plain(K2, split))
    long = _single(K2, "UpSampling1D", (None, 10**6, 4), size=10_000)
    yield _case("network-size", "repeated-one-by-one", K2, long)


# What is too large.


def _large(form):
    large = {
        "units": _single(form, "Dense", units=HUGE),
        "filters": _single(form, "Conv2D", (None, 8, 8, 3), filters=HUGE, kernel_size=[3, 3]),
        "target-shape": _single(form, "Reshape", target_shape=[HUGE, 4]),
        "copies": _single(form, "RepeatVector", n=HUGE),
        "enlarged": _single(form, "UpSampling2D", (None, 8, 8, 3), size=[HUGE, 2]),
        "border": _single(form, "ZeroPadding1D", (None, 8, 3), padding=[HUGE, 0]),
        "vocabulary": _single(form, "Embedding", input_dim=HUGE, output_dim=4),
        "input": _single(form, "ReLU", (None, HUGE)),
        "negative": _single(form, "Reshape", target_shape=[-HUGE, 4]),
        "long-name": _plain(form, form.layer("x" * 100_000, "ReLU", "in"), outputs=[]),
        "long-equation": _single(form, "EinsumDense", equation=" " * 50_000, output_shape=4),
        "states": _single(
            form, "LSTM", (10**9, 3, 4), units=4, stateful=True, batch_input_shape=[10**9, 3, 4]
        ),
    }
    for name, model in large.items():
        yield _case("network-size", f"large-{name}", form, model)


def _large_in_one():
    sizes = {"num_mel_bins": 10**6, "fft_length": 10**6, "sequence_stride": 4}
    yield _case("network-size", "spectrum", K3, _single(K3, "MelSpectrogram", (None, 99), **sizes))
    sizes = {"frame_length": 10**6, "frame_step": 10, "fft_length": 10**6}
    yield _case("network-size", "waves", K3, _single(K3, "STFTSpectrogram", (None, 99, 1), **sizes))
    places = _single(K3, "AdaptiveAveragePooling1D", (None, 4, 1), output_size=10**8)
    yield _case("network-size", "adaptive-places", K3, places)
    rank = _single(K3, "Dense", units=4, lora_rank=2**29)
    yield _case("network-size", "adapter", K3, rank)


# Patterns of paths.

_PATTERNS = {
    "repeated-group": r"(a+)+b",
    "repeated-wildcard": r"(.*)*b",
    "repeated-choice": r"(a|a)*b",
    "repeated-class": r"([a-z]+)*b",
    "lazy": r"(.*?)+?b",
    "counted": r"(a{1,30}){1,30}b",
    "many-wildcards": r".*a.*a.*a.*a.*b",
    "many-options": "a?" * 30 + "a" * 30,
    "looking-ahead": r"(?=(a+))a*b",
    "looking-back": r"(?<=a)b",
    "again": r"(a+)\1b",
    "long": "a" * 5_000,
}


def _patterns():
    for name, pattern in _PATTERNS.items():
        yield _matching(name, pattern)
    yield _matching("beside-a-sound-one", "encoder/.*", _PATTERNS["repeated-group"])
    yield _matching("too-many", *(f"encoder/{k}" for k in range(5_000)))
    yield _matching("long-paths", *(f".*a{k}.*" for k in range(60)), length=900)
    layer = K3.layer("out", "Dense", "in", dtype=_policies("(a+)+b"))
    nested = K3.model(
        K3.input(), {**_nest(K3, "half", calls=["in"])}, layer, outputs=[("out", 0, 0)]
    )
    yield _case("config-pattern", "pattern-of-another-layer", K3, nested, DENSE_3)


# Weights of other shapes.


def _weights():
    rule = "weights-shapes"

    def made(name, form, model, weights):
        return _case(rule, f"weights-{name}", form, model, weights)

    images = (None, 8, 8, 3)
    yield made("fewer", K3, _single(K3, "Dense", units=10**9), DENSE_3)
    held = {"out/out/kernel:0": (4, 4), "out/out/bias:0": (4,)}
    yield made("fewer", K2, _single(K2, "Dense", units=10**9), held)
    yield made("transposed", K3, _single(K3, "Dense", units=5), {"layers/dense/vars/0": (5, 4)})
    yield made("transposed", K2, _single(K2, "Dense", units=5), {"out/out/kernel:0": (5, 4)})
    short = {"layers/dense/vars/1": (4,)}
    yield made("lacking", K3, _single(K3, "Dense"), short)
    others = {"layers/re_lu/vars/0": ()}
    yield made("none-but-others", K3, _single(K3, "Dense", units=2**30), others)
    rows = {"layers/embedding/vars/0": (9, 4)}
    rows_2 = {"out/out/embeddings:0": (9, 4)}
    words = {"input_dim": 2 * 10**9, "output_dim": 4}
    yield made("rows", K3, _single(K3, "Embedding", **words), rows)
    yield made("rows", K2, _single(K2, "Embedding", **words), rows_2)
    kernel = {"layers/conv2d/vars/0": (3, 3, 3, 8), "layers/conv2d/vars/1": (8,)}
    yield made("kernel", K3, _single(K3, "Conv2D", images, filters=8, kernel_size=[5, 5]), kernel)
    kernel = {"out/out/kernel:0": (3, 3, 4, 8), "out/out/bias:0": (8,)}
    yield made("channels", K2, _single(K2, "Conv2D", images, filters=8, kernel_size=[3, 3]), kernel)
    cell = "layers/lstm/cell/vars"
    gates = {f"{cell}/0": (4, 12), f"{cell}/1": (3, 12), f"{cell}/2": (12,)}
    yield made("gates", K3, _single(K3, "LSTM", (None, 5, 4), units=4), gates)
    ways = {"layers/bidirectional/forward_layer/cell/vars/0": (4, 16)}
    one = {k: v for k, v in K3.layer("r", "LSTM", units=4).items() if k[:2] not in ("na", "in")}
    yield made("one-way", K3, _single(K3, "Bidirectional", (None, 5, 4), layer=one), ways)
    norm = {f"layers/batch_normalization/vars/{k}": (3,) for k in range(4)}
    yield made("channels", K3, _single(K3, "BatchNormalization", axis=-1), norm)
    einsum = {"equation": "ab,bc->ac", "output_shape": 10**9, "bias_axes": None}
    held = {"layers/einsum_dense/vars/0": (4, 4)}
    yield made("equation", K3, _single(K3, "EinsumDense", **einsum), held)
    wrapped = {k: v for k, v in K3.layer("d", units=10**8).items() if k[:2] not in ("na", "in")}
    step = {"layers/time_distributed/layer/vars/0": (4, 4)}
    yield made("wrapped", K3, _single(K3, "TimeDistributed", (None, 2, 4), layer=wrapped), step)
    built = _single(K3, "Dense")
    built["config"]["layers"][1]["build_config"] = {"input_shape": [None, 2 * 10**9]}
    yield made("built-for-more", K3, built, DENSE_3)
    nested = {"layers/functional/layers/dense/vars/0": (4, 5)}
    outer = _plain(K3, _nest(K3, "out", calls=["in"]))
    yield made("nested", K3, outer, nested)
    yield made(
        "nested",
        K2,
        _plain(K2, _nest(K2, "out", ["in"]), outputs=[("out", 1, 0)]),
        {"out/inner/kernel:0": (4, 5)},
    )
    stack = K3.stack(K3.input(), K3.layer("a", units=9), K3.layer("b", units=10**9))
    yield made("stacked", K3, stack, {"layers/dense/vars/0": (4, 9), "layers/dense/vars/1": (9,)})
    # The file says of the tensor that it is short. Keras believes the layers.
    lying = K3.model(
        K3.input(),
        K3.layer("wide", "RepeatVector", "in", n=10**5),
        K3.layer("flat", "Flatten", K3.call(K3.ref("wide", shape=(None, 1, 4)))),
        K3.layer("out", "Dense", K3.call(K3.ref("flat", shape=(None, 4))), units=10**5),
    )
    yield made("input-untold", K3, lying, {"layers/dense/vars/0": (4, 10**5)})
    many = (K3.layer(f"d{k}", "Dense", "in", units=10**7) for k in range(100))
    yield made("many-layers", K3, _plain(K3, *many, outputs=[]), DENSE_3)
    packed = _single(K3, "Dense", units=10**9, dtype="int8_from_float32")
    yield made("quantized", K3, packed, DENSE_3)

    yield made("none", K3, _single(K3, "Dense", (None, 10**6), units=10**6), {})
    yield made("none", K2, _single(K2, "Dense", (None, 10**6), units=10**6), {})

    def architecture(folder, marker):
        model = _single(K3, "Dense", (None, 10**6), units=10**6)
        return write_architecture(folder / "model.json", model)

    yield Case("network-weights-of-an-architecture", architecture, rule)


# What is odd, and sound.


def _honest(form):
    layer, call, ref = form.layer, form.call, form.ref
    first = int(form.major < 3)
    # What Keras 3 counts as the output of a nested model, and tf_keras everywhere.
    end = 1

    def held(count, kind="dense", shape=(4, 4), inner=""):
        if form.major >= 3:
            names = [f"{kind}_{k}" if k else kind for k in range(count)]
            return {
                f"{inner}layers/{name}/vars/{k}": s
                for name in names
                for k, s in enumerate([shape, shape[-1:]])
            }
        return {}

    def by_name(*names):
        return {
            f"{name}/{name}/{what}:0": shape
            for name in names
            for what, shape in (("kernel", (4, 4)), ("bias", (4,)))
        }

    def both(count, *names):
        return held(count) if form.major >= 3 else by_name(*names)

    again = layer("out", "Dense", "in", call(ref("out", 0)), call(ref("out", 1)))
    ends = [("out", 2, 0), ("out", 0, 0)]
    yield "shared", _plain(form, again, outputs=ends), both(1, "out")
    yield (
        "interleaved",
        _plain(
            form,
            layer("a", "Dense", "in", call(ref("out", 0))),
            layer("out", "Dense", "a", call(ref("a", 1))),
            outputs=[("out", 1, 0)],
        ),
        both(2, "a", "out"),
    )
    yield (
        "used-before-it-stands-there",
        _plain(
            form, layer("out", "Dense", "b"), layer("b", "Dense", "a"), layer("a", "Dense", "in")
        ),
        both(3, "out", "b", "a"),
    )
    yield "idle-layer", _plain(form, layer("out", "Dense", "in", "out")), both(1, "out")
    yield (
        "several-ends",
        _plain(
            form,
            form.input("more"),
            layer("a", "Add", call("in", "more")),
            layer("out", "Dense", "a"),
            inputs=[("in", 0, 0), ("more", 0, 0)],
            outputs=[("out", 0, 0), ("a", 0, 0), ("in", 0, 0)],
        ),
        both(1, "out"),
    )
    weights = (
        {
            "layers/functional/layers/dense/vars/0": (4, 4),
            "layers/functional/layers/dense/vars/1": (4,),
        }
        if form.major >= 3
        else {"half/inner/kernel:0": (4, 4), "half/inner/bias:0": (4,)}
    )
    nested = _nest(form, "half", calls=["in", call(ref("half", first))])
    yield "nested-twice", _plain(form, nested, outputs=[("half", 1 + end, 0)]), weights
    state = [_as_keyword(form, "seen", 0, 1), _as_keyword(form, "seen", 0, 2)]
    sequence = (None, 5, 4)
    recurrent = {
        "units": 4,
        "return_state": False,
        "return_sequences": False,
        "use_bias": True,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
    }
    gates = ((4, 16), (4, 16), (16,))
    if form.major >= 3:
        weights = {
            f"layers/lstm{n}/cell/vars/{k}": shape
            for n in ("", "_1")
            for k, shape in enumerate(gates)
        }
    else:
        weights = {
            f"{name}/{name}/lstm_cell/{what}:0": shape
            for name in ("seen", "out")
            for what, shape in zip(("kernel", "recurrent_kernel", "bias"), gates, strict=True)
        }
    taken = ref("in", shape=sequence)
    yield (
        "states-by-keyword",
        form.model(
            form.input(shape=sequence),
            layer("seen", "LSTM", call(taken), **{**recurrent, "return_state": True}),
            layer("out", "LSTM", call(taken, initial_state=state), **recurrent),
        ),
        weights,
    )


def _more_honest():
    own = {"name": "d", "batch_input_shape": [None, 4], "units": 4}
    old = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": own}]}
    yield _case(None, "stack-as-a-list", K2, old, {"d/d/kernel:0": (4, 4), "d/d/bias:0": (4,)})
    constant = {
        "class_name": "TFOpLambda",
        "config": {"name": "out", "trainable": True, "dtype": "float32", "function": "math.add"},
        "name": "out",
        "inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, {"y": ["in", 0, 0]}]],
    }
    yield _case(None, "constant-first", K2, _plain(K2, constant))
    stack = K2.stack(K2.layer("first"), name="half", calls=["in", K2.call(K2.ref("half", 0))])
    model = _plain(K2, stack, outputs=[("half", 1, 0)])
    weights = {"half/first/kernel:0": (4, 4), "half/first/bias:0": (4,)}
    yield _case(None, "unbuilt-stack-twice", K2, model, weights)
    yield _matching("of-paths", "a/query", "a/(key|value)", r"encoder\.0/.*", rule=None)
    words = _single(K3, "Embedding", input_dim=9, output_dim=4)
    yield _case(None, "embedding", K3, words, {"layers/embedding/vars/0": (9, 4)})
    chain = _plain(
        K3,
        *(K3.layer(f"d{k}", "ReLU", f"d{k - 1}" if k else "in") for k in range(300)),
        outputs=[("d299", 0, 0)],
    )
    yield _case(None, "chain", K3, chain)
    extra = {**DENSE_3, "layers/dropout/seed_generator/vars/0": (2,)}
    model = _plain(
        K3,
        K3.layer("drop", "Dropout", "in", rate=0.5, seed=2**40),
        K3.layer("out", "Dense", "drop"),
    )
    yield _case(None, "seed", K3, model, extra)


# What a SavedModel says of the Keras model in it.


def _saved(model, is_old=False):
    def make(folder, marker):
        saved, graph = make_model()
        text = json.dumps(model)
        node = graph.object_graph_def.nodes.add()
        if is_old:
            node.user_object.identifier, node.user_object.metadata = "_tf_keras_network", text
            return write(folder, saved)
        path = write(folder, saved)
        told = parse("SavedMetadata", b"")
        told.nodes.add(node_id=0, identifier="_tf_keras_network", metadata=text)
        (path / "keras_metadata.pb").write_bytes(told.SerializeToString(deterministic=True))
        return path

    return make


def _saved_models():
    waiting = _plain(K2, K2.layer("a", "Dense", "out"), K2.layer("out", "Dense", "a"))
    yield Case("network-cycle-in-a-saved-model", _saved(waiting), "network-cycle")
    yield Case("network-cycle-in-an-old-saved-model", _saved(waiting, True), "network-cycle")
    missing = _plain(K2, K2.layer("out", "Dense", "gone"))
    yield Case("network-missing-in-a-saved-model", _saved(missing), "network-references")
    yield Case("network-doubling-in-a-saved-model", _saved(_double(K2, 24)), "network-size")


CASES: tuple[Case, ...] = (
    *(case for form in BOTH for case in _references(form)),
    *_more_references(),
    *(case for form in BOTH for case in _cycles(form)),
    *(case for form in BOTH for case in _slow(form)),
    *_slow_in_one(),
    *(case for form in BOTH for case in _large(form)),
    *_large_in_one(),
    *_patterns(),
    *_weights(),
    *_saved_models(),
    *(
        _case(None, name, form, model, weights)
        for form in BOTH
        for name, model, weights in _honest(form)
    ),
    *_more_honest(),
)
