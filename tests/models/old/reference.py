"""What an old Keras itself computes for each call of each layer, saved beside its model.

Runs under the Pythons of `save_keras_1.py` and `save_keras_2.py`, 2.7 the oldest.
"""

import sys

import numpy as np


def save(keras, model, inputs, path):
    """Save PATH.h5, and PATH.npz with the keys `in NAME` and `out ADDRESS`."""
    model.save(path + ".h5")
    arrays = {}
    for name, array in inputs.items():
        arrays["in " + name] = array
    # A name in the graph has more to it in some versions, and `input_names` is in all of them.
    values = [inputs[name] for name in model.input_names]
    for address, array in activations(keras, model, values):
        arrays["out " + address] = array
    np.savez_compressed(path + ".npz", **arrays)


def activations(keras, model, values, prefix=""):
    """Yield every call's address and output; those inside a nested model for each of its calls.

    An old Keras has no tensors for a call of a nested model, so that its own are evaluated at
    what went into the call.
    """
    calls = list_calls(model)
    tensors = []
    for _, node in calls:
        tensors += as_list(node.output_tensors) + as_list(node.input_tensors)
    # An input can't be fetched, nor anything twice.
    known = list(model.inputs) + tensors
    tensors = [t for k, t in enumerate(known) if index_of(t, known) == k][len(model.inputs) :]
    fed, given = list(model.inputs), list(values)
    phase = keras.backend.learning_phase()
    if not eager() and not isinstance(phase, int):
        fed.append(phase)
        given.append(0)
    found = list(values) + list(keras.backend.function(fed, tensors)(given))
    tensors = list(model.inputs) + tensors
    totals = {}
    for layer, _ in calls:
        totals[layer.name] = totals.get(layer.name, 0) + 1
    numbers = {}
    for layer, node in calls:
        number = numbers[layer.name] = numbers.get(layer.name, -1) + 1
        address = prefix + layer.name + ("@" + str(number) if totals[layer.name] > 1 else "")
        made = as_list(node.output_tensors)
        for k, tensor in enumerate(made):
            yield (
                address + ("[" + str(k) + "]" if len(made) > 1 else ""),
                found[index_of(tensor, tensors)],
            )
        if hasattr(layer, "get_layer"):
            went_in = [found[index_of(t, tensors)] for t in as_list(node.input_tensors)]
            for inner in activations(keras, layer, went_in, address + "/"):  # noqa: UP028 -- for Python 2.7
                yield inner


def eager():
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and tensorflow.__version__ >= "2"


def list_calls(model):
    """List a model's own calls of its layers, a layer's in the order they were made."""
    layers = model.layers  # without the input of a Sequential
    if getattr(model, "model", model) is None:  # a nested Sequential of Keras 1
        model.build()
    model = getattr(model, "model", model)  # a Sequential before Keras 2.2
    for name in ("_nodes_by_depth", "nodes_by_depth"):
        by_depth = getattr(model, name, None)
        if by_depth:
            break
    own = [node for nodes in by_depth.values() for node in nodes]
    calls = []
    for layer in layers:
        nodes = getattr(layer, "_inbound_nodes", None) or layer.inbound_nodes
        calls += [(layer, node) for node in nodes if any(node is other for other in own)]
    return calls


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def index_of(tensor, tensors):
    return [k for k, other in enumerate(tensors) if other is tensor][0]  # noqa: RUF015
