"""How TensorFlow's graph compiler works on what this thread calls, and nobody else's."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.compat.tensorflow_names import CALL_OPTIONS, EAGER_CONTEXT, FUNCTION_CALL_OPTIONS
from kprobe.graphdef.functions import CALLS, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tensorflow.compat.v1 import GraphDef, NameAttrList, NodeDef

# Its module isn't public, but what it describes is a part of what is.
_RewriterConfig = type(tf.compat.v1.ConfigProto().graph_options.rewrite_options)

Options = tuple[tuple[str, int], ...]

# What the compiler rewrites isn't the same: division by a constant becomes multiplication by its
# reciprocal, and that is another number.
UNCHANGED: Options = (("disable_meta_optimizer", True),)
# Remapping fuses a layer with its activation, and many of the fused kernels make 0 of relu(NaN) and
# NaN of gelu(inf). Which do, depends on the processor. A frozen graph is no better, but for layers
# with a bias of zero: adding that is folded away, and nothing is fused. Activations that wait for
# another node aren't fused (`HasControlFaninOrFanout` in TensorFlow's
# core/grappler/optimizers/remapper.cc), but a later pass takes most such edges away
# (`TransitiveReduction` in dependency_optimizer.cc), and remapping runs again after it.
SAFE: Options = (("remapping", _RewriterConfig.OFF),)
_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"
BFLOAT16: Options = (*SAFE, (_BFLOAT16, _RewriterConfig.ON))


def make_lowering() -> tf.compat.v1.ConfigProto:
    """Give what makes bfloat16 of a graph, and changes nothing else."""
    config = tf.compat.v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.extend(["function", _BFLOAT16])
    setattr(rewriting, _BFLOAT16, _RewriterConfig.ON)
    rewriting.meta_optimizer_iterations = _RewriterConfig.ONE
    rewriting.min_graph_nodes = -1
    return config


@contextlib.contextmanager
def compiling(options: Options) -> Iterator[None]:
    """Let functions that this thread calls inside the block be compiled with some options.

    The user's own options hold beside them, and are as they were afterwards. TensorFlow looks the
    options up at every call (`context.Context.function_call_options`), in each thread by itself;
    `tf.config.optimizer.set_experimental_options` would set those of the whole process.

    Args:
        options: Fields of `RewriterConfig`, and their values.
    """
    context = EAGER_CONTEXT.find()()
    own = FUNCTION_CALL_OPTIONS.find(context)
    config = _set_options(own.config_proto_serialized, options)
    changed = CALL_OPTIONS.find()(executor_type=own.executor_type, config_proto=config)
    with FUNCTION_CALL_OPTIONS.patched(context, changed):
        yield


def set_options(definition: GraphDef, options: Options) -> None:
    """Let the functions that a graph calls without inlining them be compiled with some options.

    Each call has options of its own, from when it was traced. A function in which that changes a
    call gets another name, since TensorFlow knows it by the old one.

    Args:
        definition: The graph, with its library. It is changed.
        options: As for `compiling`.
    """
    library = by_name(definition)
    calling = {
        name: {inner.name for node in function.node_def for inner in list_functions(node)}
        for name, function in library.items()
    }
    changed = {name for name, f in library.items() if _set_calls(f.node_def, options)}
    while more := {name for name, inner in calling.items() if inner & changed} - changed:
        changed |= more
    suffix = "".join(f"__{name}_{value}" for name, value in options)
    for name in changed:
        library[name].signature.name = name + suffix
    _set_calls(definition.node, options)
    for nodes in (definition.node, *(function.node_def for function in library.values())):
        for node in nodes:
            for inner in list_functions(node):
                if inner.name in changed:
                    inner.name += suffix


def list_functions(node: NodeDef) -> Iterator[NameAttrList]:
    """Give the functions that a node names, whatever it does with them."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func
        yield from value.list.func


def _set_calls(nodes: Iterable[NodeDef], options: Options) -> bool:
    """Set the options of all calls among some nodes, and tell whether that changes one."""
    changed = False
    for node in nodes:
        if node.op in CALLS:
            before = node.attr["config_proto"].s
            after = _set_options(before, options).SerializeToString(deterministic=True)
            node.attr["config_proto"].s = after
            changed |= after != before
    return changed


@functools.lru_cache
def _set_options(serialized: bytes, options: Options) -> tf.compat.v1.ConfigProto:
    config = tf.compat.v1.ConfigProto.FromString(serialized)
    for name, value in options:
        setattr(config.graph_options.rewrite_options, name, value)
    return config
