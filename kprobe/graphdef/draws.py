"""Make what a graph draws at random a function of a key.

TensorFlow's stateful random operations count their draws somewhere inside, so that what they give
depends on all that ran before. Here each becomes its stateless twin, whose numbers follow from a
key that is an argument, the operation's name, and in a loop the iteration.
"""

from __future__ import annotations

import hashlib
from functools import partial
from itertools import islice
from typing import Any

import tensorflow as tf

from kprobe.graphdef.functions import LOOPS, Body, Functions, functions_of, nodes_run

# The stateless twin of each operation, and what its attributes are called there. Key, counter and
# algorithm stand behind the first input (tensorflow/core/ops/stateless_random_ops_v2.cc).
_TWINS = {
    "RandomUniform": ("StatelessRandomUniformV2", {"dtype": "dtype", "T": "Tshape"}),
    "RandomStandardNormal": ("StatelessRandomNormalV2", {"dtype": "dtype", "T": "Tshape"}),
    "TruncatedNormal": ("StatelessTruncatedNormalV2", {"dtype": "dtype", "T": "Tshape"}),
    "RandomUniformInt": ("StatelessRandomUniformIntV2", {"Tout": "dtype", "T": "Tshape"}),
    "RandomGamma": ("StatelessRandomGammaV3", {"T": "dtype", "S": "shape_dtype"}),
    "RandomShuffle": ("StatelessShuffle", {"T": "T"}),
}
# These draw too, and have no such twin.
_OTHERS = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGammaGrad",
    "RandomPoisson",
    "RandomPoissonV2",
    "StatefulRandomBinomial",
}
_PHILOX = 1  # tf.random.Algorithm.PHILOX
# Odd, so that different keys stay different (Knuth's MMIX generator).
_FACTOR = 6364136223846793005


def find_draws(definition: tf.compat.v1.GraphDef) -> tuple[bool, bool]:
    """Tell whether a graph, or what it runs, draws at random otherwise than from a variable's seed.

    Returns:
        Whether it draws what `seed_draws` can seed, and whether it draws what it can't.
    """
    types = {node.op for node in nodes_run(definition)}
    return bool(types & set(_TWINS)), bool(types & _OTHERS)


def draws_inside(definition: tf.compat.v1.GraphDef) -> bool:
    """Tell whether something is drawn at random in a loop, a branch or a function of a graph."""
    inside = islice(nodes_run(definition), len(definition.node), None)
    return any(node.op in _OTHERS or node.op in _TWINS for node in inside)


def seed_draws(definition: tf.compat.v1.GraphDef, key: str) -> None:
    """Change a graph so that its draws follow from a key.

    Args:
        definition: The graph; its nodes are changed, and functions added.
        key: The edge of the key: uint64, shape (1,).
    """
    _Seeding(definition).run(Body(definition), key)


class _Seeding:
    def __init__(self, definition: tf.compat.v1.GraphDef) -> None:
        self._functions = Functions(definition)
        self._drawing: dict[str, bool] = {}

    def run(self, body: Body, key: str) -> None:
        for node in list(body.nodes):
            if node.op in _TWINS:
                self._seed(body, node, key)
            elif any(self._draws(function.name) for _, function in functions_of(node)):
                self._pass_on(body, node, key)

    def _draws(self, name: str) -> bool:
        if name not in self._drawing:
            self._drawing[name] = any(
                node.op in _TWINS or any(self._draws(f.name) for _, f in functions_of(node))
                for node in self._functions.nodes(name)
            )
        return self._drawing[name]

    def _seed(self, body: Body, node: Any, key: str) -> None:
        twin, names = _TWINS[node.op]
        # Each operation has a stretch of the generator's numbers of its own.
        counter = body.add_constant([0, _number(node.name)], tf.uint64)
        algorithm = body.add_constant(_PHILOX)
        node.op = twin
        node.input[1:1] = [key, counter, algorithm]
        values = {
            names.get(name, name): value.SerializeToString()
            for name, value in node.attr.items()
            if name in names or name.startswith("_")
        }
        node.attr.clear()
        for name, value in values.items():
            node.attr[name].ParseFromString(value)

    def _pass_on(self, body: Body, node: Any, key: str) -> None:
        """Give a node that runs functions the key as one more argument, another for each place."""
        factor = body.add_constant(_FACTOR, tf.uint64)
        place = body.add_constant(_number(node.name), tf.uint64)
        scaled = body.add("Mul", [key, factor], "z", T=tf.uint64)
        own = body.add("AddV2", [scaled, place], "z", T=tf.uint64)
        change = partial(self._change, node.op in LOOPS)
        self._functions.pass_on(node, [(own, tf.uint64)], change)

    def _change(self, loops: bool, attr: str, _name: str, body: Body, keys: list[str]) -> None:
        """Let a function draw from a key; a loop's body gives the next key."""
        (key,) = keys
        self.run(body, key)
        if loops and attr == "body":
            one = body.add_constant([1], tf.uint64)
            body.add_result(body.add("AddV2", [key, one], "z", T=tf.uint64), tf.uint64)


def _number(name: str) -> int:
    """Make of an operation's name a number of 64 bits, whatever else is in the graph."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
