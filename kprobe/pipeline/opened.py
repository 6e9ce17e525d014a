"""Open a model, by tracing it or running it eagerly, and cut out what a job asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import InputError, ModelError
from kprobe.graph.computation import pad
from kprobe.graph.eager import EagerRun, run_eagerly
from kprobe.graph.prepare import prepare
from kprobe.graph.preprocessing import Preprocessing
from kprobe.graph.session import is_graph_mode
from kprobe.graph.signature import arrange_inputs, library_of
from kprobe.graph.subgraph import Subgraph
from kprobe.graph.trace import Trace, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kprobe.graph.computation import Computation
    from kprobe.graph.fetch import Fetch
    from kprobe.graph.replacement import Replacement
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.job import Job, StoredDtype

# Freezing costs up to a second, which fewer rows don't win back.
_FREEZE_ROWS = 256
_FREEZE_WEIGHT_BYTES = 200 << 20


@dataclass(frozen=True)
class OpenModel:
    """A model made ready for a job: what the job asks for is cut out of it.

    Attributes:
        job: The job.
        traced: The model's trace, or the record of its eager run on a sample.
        specs: Shape (batch axis first) and dtype of the data for each input, by name.
        arrange: Gives, from a tensor for each input, the model's first argument.
        feeds: The tensors that will be supplied, by name.
        replaced: The tensors whose values are replaced, by name.
    """

    job: Job
    traced: Trace
    specs: Mapping[str, tf.TensorSpec]
    arrange: Callable[[Mapping[str, tf.Tensor]], Any]
    feeds: Mapping[str, tf.Tensor]
    replaced: Mapping[str, tuple[tf.Tensor, Replacement]]

    def feed(
        self,
        feeds: Mapping[str, tf.Tensor],
        replaced: Mapping[str, tuple[tf.Tensor, Replacement]],
    ) -> OpenModel:
        """Give the same model with some of its tensors fed and some replaced."""
        return replace(self, feeds={**self.feeds, **feeds}, replaced=replaced)

    def cut(self, groups: Sequence[Sequence[Fetch]], rows: float) -> Computation:
        """Give what computes a tensor for each group, frozen where that pays."""
        tensors = [group[0].tensor for group in groups]
        dtypes = [_choose_stored(tensor, self.job.dtype) for tensor in tensors]
        if self.job.eager:
            return EagerRun(
                self.traced.model,
                self.specs,
                self.arrange,
                [group[0].address for group in groups],
                dtypes=dtypes,
                training=self.job.training,
                stateful=self.job.stateful,
                seed=self.job.seed,
            )
        subgraph = self.cut_tensors(tensors, dtypes)
        subgraph.names = [group[0].address for group in groups]
        if rows >= _FREEZE_ROWS and subgraph.weight_bytes <= _FREEZE_WEIGHT_BYTES:
            subgraph.freeze()
        return subgraph

    def read_weights(self, groups: Sequence[Sequence[Fetch]]) -> list[tf.Tensor]:
        """Give the value of the weight of each group, in the dtype it is stored as."""
        return [
            tf.cast(group[0].read(), _choose_stored(group[0].tensor, self.job.dtype))
            for group in groups
        ]

    def cut_tensors(
        self, tensors: Sequence[tf.Tensor], dtypes: Sequence[tf.DType] | None = None
    ) -> Subgraph:
        """Cut the sub-graph that gives some tensors of the trace."""
        return Subgraph(
            self.traced,
            self.feeds,
            tensors,
            replaced=self.replaced,
            dtypes=dtypes,
            exact=self.job.exact,
            bfloat16=self.job.precision == "bfloat16",
            stateful=self.job.stateful,
            seed=self.job.seed,
        )


def open_model(
    job: Job, model: Any, signature: Mapping[str, tf.TensorSpec], samples: Samples | None
) -> OpenModel:
    """Trace a model, or run it eagerly, over inputs in the samples' own dtype and shape.

    Args:
        job: The job.
        model: A built model of keras or tf_keras.
        signature: What it takes.
        samples: The samples, where they are known before the model is.
    """
    library = library_of(model)
    chosen = _assign_preprocessing(job, list(signature))

    def arrange(tensors: Mapping[str, tf.Tensor]) -> Any:
        ready = {
            name: prepare(tensors[name], spec, chosen[name], library)
            for name, spec in signature.items()
        }
        return arrange_inputs(model, ready)

    if job.eager and is_graph_mode(model):
        raise ModelError(
            "the model was built with eager execution off, and can't run with it on",
            hint="leave --eager out",
        )
    # Such models often have as many copies of a part as a batch has samples, and don't say so.
    size = job.batch_size if is_graph_mode(model) else None
    specs = {
        name: tf.TensorSpec([spec.shape[0] or size, *spec.shape[1:]], spec.dtype)
        for name, spec in signature.items()
    }
    if samples is not None:
        specs = {
            name: tf.TensorSpec(
                [specs[name].shape[0], *(None if size == -1 else size for size in shape)],
                tf.string if dtype.kind in "OSU" else dtype,
            )
            for name, (shape, dtype) in samples.specs().items()
        }
    if job.eager and samples is not None:
        first = {
            name: pad(tf.convert_to_tensor(rows, specs[name].dtype), specs[name].shape[0] or 1)
            for name, rows in samples.peek(1).items()
        }
        traced = run_eagerly(model, first, arrange, training=job.training)
    else:
        traced = trace(model, specs, arrange, training=job.training)
    return OpenModel(job, traced, specs, arrange, traced.inputs, {})


def _assign_preprocessing(job: Job, inputs: Sequence[str]) -> dict[str, Preprocessing]:
    unknown = [name for name in job.preprocessing if name and name not in inputs]
    if unknown:
        raise InputError(
            f"preprocessing for {', '.join(unknown)}, but the model's inputs are "
            f"{', '.join(inputs)}"
        )
    if "" in job.preprocessing and len(inputs) > 1:
        raise InputError(
            f"preprocessing is for one input, and the model has {len(inputs)}",
            hint=f"say which, for example --scale {inputs[0]}=0.5",
        )
    everywhere = job.preprocessing.get("", Preprocessing())
    return {name: job.preprocessing.get(name, everywhere) for name in inputs}


def _choose_stored(tensor: tf.Tensor, dtype: StoredDtype) -> tf.DType:
    """The dtype a tensor is stored as. Numpy has no bfloat16 or float8, and HDF5 no booleans."""
    if tensor.dtype == tf.bool:
        return tf.uint8
    if tensor.dtype.is_floating and dtype != "as-is":
        return tf.as_dtype(dtype)
    known = not tensor.dtype.is_floating or tensor.dtype in (tf.float16, tf.float32, tf.float64)
    return tensor.dtype if known else tf.float32
