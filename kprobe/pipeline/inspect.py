"""Look inside a model: list what its file holds, or load it, trace it, and list what is there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kprobe.addresses.resolve import find_nearest_classes, match_pattern, resolve
from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.errors import AddressError, Hint, KprobeError, Setting
from kprobe.gate.names.judge_names import MissingObject, find_name_faults
from kprobe.gate.rules import RULES
from kprobe.models.custom_names import read_given_names
from kprobe.models.file import choose_signature, read_model_file, read_specified
from kprobe.models.listing import LayerEntry, find_partly_told, find_untold, list_layers
from kprobe.models.spec import ModelSpec
from kprobe.models.weights.stored_weights import holds_weights
from kprobe.naming import join_nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.models.saved_model import SignatureTensor
    from kprobe.trace.search import Match
    from kprobe.trace.trace import Trace


def needs_loading(model: str, **settings: Any) -> bool:
    """Tell whether a model is loaded for its layers to be listed.

    One that code makes is. Of a model file only one that doesn't tell all its layers, where the
    code of the others is given.

    Args:
        model: A model file, or code.
        **settings: As for `list_model`.

    Raises:
        ModelError: It can't be a model.
    """
    spec = ModelSpec(model=model, custom_objects=settings.get("custom_objects", ()))
    if spec.code is not None or not spec.custom:
        return spec.code is not None
    return any(find_untold_layers(model, **settings))


def find_untold_layers(
    model: str, *, inputs: Any = (), **settings: Any
) -> tuple[list[str], list[str]]:
    """Find what a model file doesn't tell of its layers.

    Args:
        model: A model file, or code.
        inputs: Samples, which the file tells nothing of.
        **settings: As for `list_model`.

    Returns:
        The layers whose own layers it doesn't name, "" for the model; and those that may have more
        inside than it names.
    """
    del inputs
    spec = ModelSpec(model=model, **settings)
    if spec.code is not None:
        return [], []
    model_file = read_specified(spec)
    untold = find_untold(model_file)
    return untold, [name for name in find_partly_told(model_file) if name not in untold]


def find_needed(model: str, *, inputs: Any = (), **settings: Any) -> list[Setting]:
    """Find which settings a model file can't be loaded without, besides those that are given.

    Args:
        model: A model file.
        inputs: Samples, which the file tells nothing of.
        **settings: As for `list_model`.

    Raises:
        ModelError: The file can't be read, or the user's own code isn't there.
    """
    del inputs
    spec = ModelSpec(model=model, **settings)
    file = read_specified(spec)
    needed: dict[Setting, None] = {}
    if not spec.unsafe:
        given = read_given_names(spec.custom)
        operations = file.unsafe_operations
        faults = find_name_faults(
            file.objects,
            given.names,
            spec.allowed,
            modules=given.packages,
            has_graph=operations is not None,
        )
        for fault in faults:
            if not isinstance(fault, MissingObject):
                kind = RULES[fault.rule].kind
                needed[Setting("allow", kind) if kind else Setting("unsafe", True)] = None
            else:
                needed[Setting("custom_objects", "FILE.py")] = None
        if operations and "operations" not in spec.allowed:
            needed[Setting("allow", "operations")] = None
    if spec.weights is None and not holds_weights(file):
        needed[Setting("random_weights", True)] = None
    return [*needed]


def list_layer_addresses(model: str) -> list[str]:
    """List the addresses of all layers in a model file; none if it can't be read."""
    try:
        calls = list_layers(read_model_file(model), parameters=False)
    except (KprobeError, OSError):
        return []
    return [call.address for call in calls]


def list_model(
    model: str,
    pattern: str | None = None,
    class_name: str | None = None,
    *,
    inputs: Any = (),
    **settings: Any,
) -> Sequence[LayerEntry] | Mapping[str, Sequence[SignatureTensor]]:
    """List the calls of a model's layers, loading it only where `needs_loading` says so.

    Args:
        model: A model file, or code.
        pattern: An address, with globs; None for every call.
        class_name: The class of the layers; None for any.
        inputs: Samples for code that makes a model which has to be called before it is built.
        **settings: As for `open_trace`.

    Returns:
        The calls, in the order of the model. Of a SavedModel without a Keras model, where nothing
        narrows the list, the tensors of each signature.

    Raises:
        AddressError: There is no such layer.
        ModelError: The model can't be read or loaded.
    """
    spec = ModelSpec(model=model, **settings)
    if needs_loading(model, **settings):
        calls = _list_traced_layers(model, inputs=inputs, **settings)
    else:
        file = read_specified(spec)
        signatures = file.saved.signatures if file.saved and not file.saved.is_keras else {}
        if signatures and not (pattern or class_name or spec.signature):
            return signatures
        calls = list_layers(choose_signature(file, spec.signature))
    return _select(calls, model, pattern, class_name)


def _select(
    everything: Sequence[LayerEntry], model: str, pattern: str | None, class_name: str | None
) -> Sequence[LayerEntry]:
    """Choose the calls that a pattern and a class name."""
    calls = everything
    if pattern is not None:
        if "//" in pattern:
            hint = Hint(Setting("ops", True), " lists them")
            raise AddressError(f"{pattern!r} names operations", hint=hint)
        calls = match_pattern(pattern, calls)
    if class_name is None:
        return calls
    calls = [call for call in calls if call.class_name == class_name]
    if not calls:
        named = f" {pattern!r}" if pattern is not None else ""
        near = [name for name in find_nearest_classes(class_name, everything) if name != class_name]
        raise AddressError(
            f"{model} has no layer{named} of class {class_name}",
            hint=join_nearest(near),
        )
    return calls


def _list_traced_layers(model: str, **settings: Any) -> list[LayerEntry]:
    """List every call of every layer, in the order in which they begin."""
    traced = open_trace(model, **settings)
    inside: dict[int, dict[str, Any]] = {}
    entries = []
    for call in traced.calls:
        shapes = [tuple(tensor.shape) for _, tensor in call.outputs]
        single = len(shapes) == 1 and call.outputs[0][0] is None
        layer = _find_layer(traced.model, [name for name, _ in call.steps], inside)
        entries.append(
            LayerEntry(
                steps=call.steps,
                class_name=call.class_name,
                position=call.position,
                is_input=call.is_input,
                output_shape=shapes[0] if single else shapes,
                parameters=layer.count_params() if layer is not None else None,
                depth=len(call.steps) - 1,
            )
        )
    return entries


def _find_layer(model: Any, names: Sequence[str], inside: dict[int, dict[str, Any]]) -> Any:
    """Go down from a model to a layer; `inside` keeps what is in each layer on the way."""
    layer = model
    for name in names:
        if id(layer) not in inside:
            found = FLATTEN_LAYERS.find(layer)(recursive=False, include_self=False)
            # Of several with one name the first is meant.
            inside[id(layer)] = {inner.name: inner for inner in reversed([*found])}
        layer = inside[id(layer)].get(name)
        if layer is None:
            return None
    return layer


def list_model_operations(
    model: str, address: str | None = None, type_name: str | None = None, **settings: Any
) -> list[Match]:
    """List the operations inside layers, constants and the values of variables left out.

    Args:
        model: A model file, or code.
        address: The layers, or the operations, with globs in both; None for all operations,
            under their names in the graph.
        type_name: The operations' type, such as "Conv2D"; None for any.
        **settings: As for `open_trace`.

    Returns:
        The operations, in the order they were made.

    Raises:
        AddressError: The address names nothing.
        ModelError: The model can't be loaded or traced.
    """
    traced = open_trace(model, **settings)
    from kprobe.trace.operations import is_passive, list_operations, match_operations
    from kprobe.trace.search import describe

    matches = []
    for target in resolve([address or "//*"], traced.calls, traced.dropped):
        place = f"{target.call.address if target.call else ''}//"
        listed = [e for e in list_operations(traced, target.call) if not is_passive(e.operation)]
        wanted = target.address.operation or "*"
        matches += [
            describe(entry.operation, place + entry.name)
            for entry in match_operations(listed, wanted)
        ]
    if not matches:
        raise AddressError(f"{address} names no operation")
    return [match for match in matches if type_name in (None, match.type)]


def search_model(
    model: str, pattern: str, start: str | None, depth: int | None, **settings: Any
) -> list[Match]:
    """Search a model upstream, as `search_upstream` does a trace.

    Args:
        model: A model file, or code.
        pattern: A regular expression for the addresses and types of operations.
        start: The address to begin at; None for the outputs.
        depth: How many hops to go at most; None for any number.
        **settings: As for `open_trace`.

    Returns:
        At least one operation, the nearest first.

    Raises:
        AddressError: There is none, or nothing to begin at.
        ModelError: The model can't be loaded or traced.
    """
    traced = open_trace(model, **settings)
    from kprobe.trace.search import search_upstream

    matches = search_upstream(traced, pattern, start, depth)
    if not matches:
        within = "" if depth is None else f" within {depth} hops"
        raise AddressError(
            f"nothing upstream of {start or 'the outputs'}{within} matches {pattern!r}",
            hint=_suggest_start(traced, pattern),
        )
    return matches


def _suggest_start(traced: Trace, pattern: str) -> Hint | None:
    """Tell how to begin at a tensor, where a regular expression is the address of one."""
    from kprobe.trace.fetch import find_fetches

    with contextlib.suppress(KprobeError):
        find_fetches(traced, [pattern])
        return Hint("it is an address: begin there with ", Setting("start", pattern))
    return None


def open_trace(model: str, *, inputs: Any = (), **settings: Any) -> Trace:
    """Load a model and trace it; what it computes doesn't matter, and it needs no weights.

    Args:
        model: A model file, or code.
        inputs: Samples for a model that has to be called before it is built.
        **settings: The other attributes of `ModelSpec`, but for `random_weights`.
    """
    from kprobe.inputs.spec import SampleSpec
    from kprobe.session.loading import load

    samples = SampleSpec(inputs=inputs)
    without = settings.get("weights") is None
    loaded = load(ModelSpec(model=model, **settings, random_weights=without))
    # Not earlier: code, or a file, chooses its Keras before TensorFlow is imported.
    from kprobe.engines.compute import Compute
    from kprobe.session.open_session import open_session

    with contextlib.ExitStack() as opened:
        session, _ = open_session(loaded, Compute(), samples, opened, wait=True)
    return session.traced
