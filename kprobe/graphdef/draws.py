"""Make what a graph draws at random a function of a key.

TensorFlow's stateful random operations count their draws somewhere inside, so that what they give
depends on all that ran before. Here each becomes its stateless twin, whose numbers follow from a
key that is an argument, the operation's name, and in a loop the iteration.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import tensorflow as tf

from kprobe.graphdef.lift import LOOPS, Body, add_argument, functions_of, nodes_run

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
_SEEDED = "__seeded_"
_numbers = itertools.count()


def find_draws(definition: tf.compat.v1.GraphDef) -> tuple[bool, bool]:
    """Tell whether a graph, or what it runs, draws at random otherwise than from a variable's seed.

    Returns:
        Whether it draws what `seed_draws` can seed, and whether it draws what it can't.
    """
    types = {node.op for node in nodes_run(definition)}
    return bool(types & set(_TWINS)), bool(types & _OTHERS)


def seed_draws(definition: tf.compat.v1.GraphDef, key: str) -> None:
    """Change a graph so that its draws follow from a key.

    Args:
        definition: The graph; its nodes are changed, and functions added.
        key: The edge of the key: uint64, shape (1,).
    """
    _Seeding(definition).run(Body(definition.node, in_function=False), key)


class _Seeding:
    def __init__(self, definition: tf.compat.v1.GraphDef) -> None:
        self._definition = definition
        self._library = {f.signature.name: f for f in definition.library.function}
        self._drawing: dict[str, bool] = {}

    def run(self, body: Body, key: str) -> None:
        for node in list(body.nodes):
            if node.op in _TWINS:
                self._seed(body, node, key)
            elif any(self._draws(function.name) for _, function in functions_of(node)):
                self._pass_on(body, node, key)

    def _draws(self, name: str) -> bool:
        if name not in self._drawing:
            nodes = self._library[name].node_def if name in self._library else ()
            self._drawing[name] = any(
                node.op in _TWINS or any(self._draws(f.name) for _, f in functions_of(node))
                for node in nodes
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
        add_argument(node, body.add("AddV2", [scaled, place], "z", T=tf.uint64), tf.uint64)
        for attr, function in functions_of(node):
            function.name = self._copy(function.name, counts=node.op in LOOPS and attr == "body")

    def _copy(self, name: str, counts: bool) -> str:
        """Copy a function with the key as its last argument; a loop's body gives the next key."""
        function = self._definition.library.function.add()
        function.CopyFrom(self._library[name])
        number = next(_numbers)
        function.signature.name = f"{name}{_SEEDED}{number}"
        argument = function.signature.input_arg.add()
        argument.name, argument.type = f"key_{number}", tf.uint64.as_datatype_enum
        body = Body(function.node_def, in_function=True, function=function)
        self.run(body, argument.name)
        if counts:
            one = body.add_constant([1], tf.uint64)
            result = function.signature.output_arg.add()
            result.name, result.type = f"key_after_{number}", tf.uint64.as_datatype_enum
            function.ret[result.name] = body.add("AddV2", [argument.name, one], "z", T=tf.uint64)
        return str(function.signature.name)


def _number(name: str) -> int:
    """Make of an operation's name a number of 64 bits, whatever else is in the graph."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
