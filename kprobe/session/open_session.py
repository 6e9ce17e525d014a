"""The steps from a model to a session: built, its samples opened, traced over them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.engines.eager import run_eagerly
from kprobe.errors import Hint, InputError, ModelError, Setting
from kprobe.inputs.opening import open_samples
from kprobe.naming import list_names
from kprobe.preprocessing import Preprocessing
from kprobe.session.complete import build_model, describe_inputs, explain_sizes
from kprobe.session.parts import arrange_parts, find_parts, has_call
from kprobe.session.session import Session, drop_inputs
from kprobe.subgraph.apply_preprocessing import prepare
from kprobe.trace.recording.graph_mode import is_graph_mode
from kprobe.trace.recording.model_inputs import (
    library_of,
    list_optional,
    read_signature,
    takes_any_size,
)
from kprobe.trace.recording.run_symbolically import trace

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection, Mapping, Sequence

    from kprobe.engines.compute import Compute
    from kprobe.inputs.samples import Samples
    from kprobe.inputs.spec import SampleSpec
    from kprobe.session.loading import Loaded
    from kprobe.session.parts import Part


def open_session(
    loaded: Loaded,
    compute: Compute,
    spec: SampleSpec,
    opened: contextlib.ExitStack,
    samples: Samples | None = None,
    *,
    wait: bool = False,
) -> tuple[Session, Samples | None]:
    """Build a loaded model and trace it over the samples that it will be given.

    Args:
        loaded: The model.
        compute: How it is to be computed.
        spec: Its samples.
        opened: What closes samples that are opened now.
        samples: The samples, if they are open already.
        wait: Whether samples are opened later, by who knows which are needed; but for a model that
            has to be called before it is built.

    Returns:
        The session; and the samples, in the data's own dtypes and shapes, unless they are to wait.

    Raises:
        KprobeError: Whatever is wrong with the model, its weights or the samples.
    """
    notes, first = build_model(loaded, spec, opened, samples, compute.batch_size)
    samples = first if samples is None else samples
    # What runs eagerly runs as a whole.
    parts = [] if compute.eager else find_parts(loaded.model)
    wait = wait or bool(parts)  # each needs inputs of its own
    signature = _read_inputs(loaded.model, parts)
    if wait and samples is not None:
        samples.close()
        samples = None
    elif samples is None and not wait:
        size = next((taken.shape.as_list()[0] for taken in signature.values()), None)
        full = spec.fill_batches(size or compute.batch_size)
        samples = opened.enter_context(open_samples(full, describe_inputs(loaded.model, signature)))
    session = _trace_any_length(loaded, compute, spec, signature, samples, parts)
    notes = [*notes, *_note_places(session)]
    return replace(session, notes=notes, called=first is not None), samples


def _trace_any_length(
    loaded: Loaded,
    compute: Compute,
    spec: SampleSpec,
    signature: Mapping[str, tf.TensorSpec],
    samples: Samples | None,
    parts: Sequence[Part],
) -> Session:
    """Trace a model, with random samples of other lengths where it doesn't take the first."""
    traced: list[tuple[Session, Mapping[str, tuple[int, ...]]]] = []
    failures: list[ModelError] = []
    while True:
        try:
            session = _trace(loaded, compute, spec, signature, samples, parts)
        except ModelError as error:
            failures.append(explain_sizes(error, loaded.model, signature, samples))
        else:
            # What cuts more off than there is gives nothing, and goes on.
            if not any(t.shape.rank and 0 in t.shape.as_list() for t in session.traced.outputs):
                return session
            traced.append((session, samples.find_open() if samples is not None else {}))
        if samples is None or not samples.change_lengths(to_run=compute.eager):
            break
    if not traced:
        raise failures[0]
    session, shapes = traced[0]
    if samples is not None:
        samples.reshape(shapes)
    return session


def _note_places(session: Session) -> list[str]:
    """Say which layers have addresses by their place."""
    placed = list(dict.fromkeys(call.address for call in session.traced.calls if call.is_placed))
    if not placed:
        return []
    file = getattr(session.loaded.source, "path", "the model's file")
    return [f"{file} has no name for {list_names(placed, 4)}: `at:` gives the place of each"]


@eagerly
def _trace(
    loaded: Loaded,
    compute: Compute,
    spec: SampleSpec,
    signature: Mapping[str, tf.TensorSpec],
    samples: Samples | None,
    parts: Sequence[Part],
) -> Session:
    """Trace a model, or run it eagerly, over inputs in the samples' own dtypes and shapes."""
    model = loaded.model
    library = library_of(model)
    of_parts = {name for part in parts for name in part.inputs}
    chosen = _assign_preprocessing(spec, list(signature), of_parts)
    free = takes_any_size(model)

    def arrange(tensors: Mapping[str, tf.Tensor]) -> Any:
        ready = {}
        for name, tensor in tensors.items():
            dtype = signature[name].dtype
            taken = tf.TensorSpec(tensor.shape, dtype) if free else signature[name]
            ready[name] = prepare(tensor, taken, chosen[name], library)
        return arrange_parts(model, parts, ready)

    if compute.eager and is_graph_mode(model):
        raise ModelError(
            "the model was built with eager execution off, and can't run with it on",
            hint=Hint("leave ", Setting("eager"), " out"),
        )
    specs = _describe_data(model, compute, signature, samples)
    if compute.eager and samples is not None:
        samples.restrict(list(specs))  # the whole model runs
        first = {
            name: tf.convert_to_tensor(rows, specs[name].dtype)
            for name, rows in samples.peek(_count_first(compute, specs)).items()
        }
        traced = run_eagerly(model, first, arrange, training=compute.training)
    else:
        traced = trace(model, specs, arrange, training=compute.training)
    traced.dropped.extend(drop_inputs(set(signature) - set(specs)))
    return Session(loaded, compute, traced, signature, specs, arrange, traced.inputs, parts=parts)


def _read_inputs(model: Any, parts: Sequence[Part]) -> dict[str, tf.TensorSpec]:
    """Give what a model takes, then what its parts take that it doesn't run itself."""
    signature = {} if parts and not has_call(model) else read_signature(model)
    for part in parts:
        own = read_signature(part.model)
        signature |= {name: own[inner] for name, inner in part.inputs.items()}
    return signature


def _describe_data(
    model: Any,
    compute: Compute,
    signature: Mapping[str, tf.TensorSpec],
    samples: Samples | None,
) -> dict[str, tf.TensorSpec]:
    """Give shape and dtype of the data for each input, without optional ones that aren't given."""
    # Such models often have as many copies of a part as a batch has samples, and don't say so.
    size = compute.batch_size if is_graph_mode(model) else None
    specs = {
        name: tf.TensorSpec([spec.shape[0] or size, *spec.shape[1:]], spec.dtype)
        for name, spec in signature.items()
    }
    if samples is None:
        return specs
    # Before it is traced nobody knows what is needed: what isn't given is left out if it may be.
    given = samples.specs()
    for name in list_optional(model) - set(given):
        del specs[name]
    return specs | {
        name: tf.TensorSpec(
            [specs[name].shape[0], *(None if size == -1 else size for size in shape)],
            tf.string if dtype.kind in "OSU" else dtype,
        )
        for name, (shape, dtype) in given.items()
    }


def _count_first(compute: Compute, specs: Mapping[str, tf.TensorSpec]) -> int:
    """Give how many samples a model that runs eagerly is looked at with."""
    only = next((spec.shape[0] for spec in specs.values()), None)
    return only or compute.batch_size or 1


def _assign_preprocessing(
    spec: SampleSpec, inputs: Sequence[str], of_parts: Collection[str]
) -> dict[str, Preprocessing]:
    unknown = [name for name in spec.preprocessing if name and name not in inputs]
    if unknown:
        raise InputError(
            f"preprocessing for {', '.join(unknown)}, but the model's inputs are "
            f"{', '.join(inputs)}"
        )
    # What is run by itself has samples by itself.
    if "" in spec.preprocessing and len(inputs) - len(of_parts) > 1:
        raise InputError(
            f"preprocessing is for one input, and the model has {len(inputs)}",
            hint=Hint(
                "say which, for example ",
                Setting("scale", f"{inputs[0]}=0.5", f"{{{inputs[0]!r}: ...}}", "preprocessing"),
            ),
        )
    everywhere = spec.preprocessing.get("", Preprocessing())
    return {name: spec.preprocessing.get(name, everywhere) for name in inputs}
