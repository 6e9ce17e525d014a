"""What Python users call."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kprobe.dumps.output import OutputSpec
from kprobe.engines.compute import Compute
from kprobe.errors import DumpError
from kprobe.inputs.spec import SampleSpec
from kprobe.keywords import (
    CamSettings,
    DiffSettings,
    DumpSettings,
    FunctionSettings,
    ModelSettings,
    PlotSettings,
    RunSettings,
    StatisticsSettings,
    spelling_out,
)
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.comparing.spec import DiffSpec
from kprobe.pipeline.plotting.spec import PlotSpec
from kprobe.subgraph.selection import Selection

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from kprobe.analysis.comparison.result import DiffResult
    from kprobe.analysis.representations import Method
    from kprobe.analysis.similarity import Similarity
    from kprobe.dumps.ranges.merge import Merged
    from kprobe.dumps.reader import Dump
    from kprobe.models.custom import GivenObjects
    from kprobe.pipeline.checking import CheckResult
    from kprobe.pipeline.function import Function
    from kprobe.pipeline.running.ranges import ShardReceipt
    from kprobe.pipeline.running.run import Receipt
    from kprobe.pipeline.statistics.report import StatsResult


@spelling_out(ModelSettings, ModelSpec)
def load_model(
    model: str | os.PathLike[str] | Any, *, inputs: Any = (), **settings: Unpack[ModelSettings]
) -> Any:
    """Load a model with its weights, uncompiled, with the Keras that saved it.

    Args:
        model: A `.keras` or HDF5 model file of Keras 3, or of Keras 2 and older; a SavedModel
            directory; a JSON file of an architecture; or code, `FILE.py:CALLABLE` or
            `package.module:CALLABLE`, that returns a model, or an object that holds one as
            `keras_model` or `model`.
        inputs: Samples, as `kprobe.dump` takes them, for a subclassed model that has to be called
            before it is built; the first one is used.
        **settings: How it is loaded. weights: a file of weights, or a checkpoint, instead
            of the model's own weights. random_weights: whether layers may go without weights.
            arguments: what code is called with, by keyword. keras: the major version to load
            with, 2 (tf_keras) or 3; None for the file's own. signature: which signature of a
            SavedModel; None for the Keras model in it, or where it holds none for
            "serving_default" or the only one. custom_objects: the model's own classes and
            functions by name, as Keras takes them; or Python files or modules that define them.
            allow: what it may hold besides, such as "lambda" (see `kprobe help`). unsafe: whether
            the file may run code of its own. max_model_bytes: how large the file may be, or all
            files of a SavedModel, in bytes; None for any size.

    Returns:
        A `keras.Model` or `tf_keras.Model`, or a signature. What code leaves unbuilt stays so
        without `inputs`.

    Raises:
        UnsafeModelError: The file would run code of its own, or is larger than it may be.
        ModelCodeError: The code raised.
        ModelError: The model can't be loaded or made, or the weights don't fit it.
        InputError: The model can't be called on the first sample.
    """
    from kprobe.pipeline.planning.job import make_parts
    from kprobe.session.loading import load

    parts = make_parts({**settings, "model": model, "inputs": inputs}, "model", "samples")
    spec, samples = parts["model"], parts["samples"]
    loaded = load(spec)
    from kprobe.session.complete import build_model, needs_sample

    bare = spec.code is not None and spec.weights is None and not samples.given
    if not (needs_sample(loaded.model, samples) and bare):
        with contextlib.ExitStack() as opened:
            build_model(loaded, samples, opened)
    return loaded.model


def check(
    model: str | os.PathLike[str],
    *,
    custom_objects: GivenObjects = (),
    allow: str | Sequence[str] = (),
    max_model_bytes: int | None = None,
) -> CheckResult:
    """Check a stranger's model file by all rules of the gate, before anything is loaded.

    TensorFlow isn't imported, and nothing of the file is run: `kprobe help safety` tells what is
    promised.

    Args:
        model: A model file of any kind that `kprobe.load_model` takes, a SavedModel directory, a
            `.tflite` or an `.onnx` file; or weights alone.
        custom_objects: The model's own classes and functions that aren't faults: by name, as Keras
            takes them; or Python files that define them, or their modules, of which nothing is run.
        allow: What isn't a fault, such as "lambda" or "savedmodel".
        max_model_bytes: How large the file may be; None for any size.

    Returns:
        A record, which is true where the file is accepted. `reasons` says why it isn't, the rest
        what is inside. A file that isn't there, can't be read or is no model isn't accepted.

    Raises:
        KprobeError: A setting that can't be.
    """
    from kprobe.pipeline.checking import check_models

    (result,) = check_models(
        [model], custom_objects=custom_objects, allow=allow, max_model_bytes=max_model_bytes
    )
    return result


@spelling_out(FunctionSettings, ModelSpec, Selection, SampleSpec, Compute)
def function(
    model: str | os.PathLike[str] | Any,
    layers: Any,
    feeds: Any = (),
    *,
    replace: Mapping[str, str] | None = None,
    **settings: Unpack[FunctionSettings],
) -> Function:
    """Make a function of the sub-graph that reaches some layers: what `K.function` was.

    Args:
        model: A built `keras.Model` or `tf_keras.Model`; or whatever `kprobe.load_model` takes.
        layers: The addresses to compute, or layers of the model; a text may hold several
            addresses, with commas. None for every layer call.
        feeds: Addresses whose values are supplied, or layers; what lies upstream of them isn't
            run. Without any, the model's inputs are.
        replace: By address, what the value of a tensor is replaced by on the way: "zero", "mean"
            (over the batch), or "noise:STD", normally distributed noise that is added.
        **settings: Those of `load_model`; and inputs: samples for a model that has to be called
            before it is built. gradients_of: the address, or the layer, whose gradient with regard
            to each of the layers is given, too, as `ADDRESS:gradient`; where such addresses are
            among the layers, theirs alone. unit: which of its values: a number, several for an
            index, "max" (the largest of each sample, by default) or "sum". reduce: what is left of
            tensors in their place, as `kprobe.dump` takes it. exact: whether results
            must be those of the layers run one by one, bit for bit, at the cost of speed; else
            they are within 1e-5 of the tensor's largest magnitude. training: whether the layers
            behave as in training: dropout active, batch statistics. stateful: whether a call begins
            with the state (of stateful RNNs, say) that the last one left in the model; else the
            model is left as it was. seed: what random numbers follow from, with the number of
            samples run before. threads: how many threads work on one operation, which TensorFlow
            takes once for a process, before anything is computed. device: "cpu", "gpu" or "gpu:N".

    Returns:
        A callable. It takes an array for each of its `feeds` (batch axis first), positionally or
        by name, and gives a dict from address to array. Inputs that the model declares optional
        may be left out.

    Raises:
        AddressError: Addresses that name nothing, or several things, or can't be replaced.
        UnsafeModelError: The file would run code of its own.
        ModelError: The model can't be loaded, or doesn't say what it takes.
        InputError: The model can't be called on the first sample.
        KprobeError: A setting that can't be.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.planning.job import make_parts
    from kprobe.session.loading import load

    parts = make_parts({**settings, "model": model}, "model", "samples", "compute")
    compute = parts["compute"]
    loaded = load(parts["model"], compute)
    from kprobe.pipeline.function import Function
    from kprobe.session.open_session import open_session

    with contextlib.ExitStack() as opened:
        session, _ = open_session(loaded, compute, parts["samples"], opened, wait=True)
    added = {
        name: settings[name] for name in ("gradients_of", "unit", "reduce") if name in settings
    }
    return Function(session, layers, feeds, replace, **added)


@spelling_out(DumpSettings, ModelSpec, Selection, SampleSpec, Compute, OutputSpec)
def dump(
    model: str | os.PathLike[str] | Any,
    layers: Any,
    *,
    output: str | os.PathLike[str],
    inputs: Any = (),
    **settings: Unpack[DumpSettings],
) -> Receipt | ShardReceipt:
    """Run a model over samples and write the activations of some layers to HDF5.

    Args:
        model: A model file, code, or a built `keras.Model` or `tf_keras.Model`.
        layers: Addresses, or layers of a model in memory; a text may hold several addresses, with
            commas. None for every layer call.
        output: The dump.
        inputs: Where samples come from: a source as the command line takes it, or several; an
            array, a list of arrays of several shapes, one a sample; a `tf.data.Dataset`, a
            `PyDataset`, a generator or a function of batches; or any of these by input name. The
            axis of samples comes first. Without any, random samples.
        **settings: Those of `load_model`; and feeds: what is fed, by address. ragged: addresses
            whose shape differs from sample to sample. gradients_of: the address, or the layer,
            whose gradient with regard to each of the layers is stored, too, as `ADDRESS:gradient`;
            where such addresses are among the layers, theirs alone. unit: which of its values: a
            number, several for an index, "max" (the largest of each sample, by default) or "sum".
            reduce: what is left of tensors in their place, such as "gap" or "conv1=pool(2,2),norm",
            or by address (see `kprobe help reductions`). random: how many random samples. seed:
            where randomness starts. limit: at most how many samples. preprocessing, images: a
            `Preprocessing`, an `ImageOptions`, or several by input name. labels_from_folders,
            on_error, follow_links, exact, training, stateful, eager, precision, batch_size,
            streams, threads, device, max_activation_bytes, audit, fail_on: as
            `kprobe.inputs.spec.SampleSpec` and `kprobe.engines.compute.Compute` have them. dtype,
            overwrite, resume, stop_after (in seconds), max_bytes, shard: as
            `kprobe.dumps.output.OutputSpec` has them.

    Returns:
        What was done; its `output` is the path of the dump, or with `shard` of the directory.

    Raises:
        KprobeError: Whatever is wrong with the model, the addresses, the inputs or the output.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job
    from kprobe.pipeline.running.ranges import run_shard
    from kprobe.pipeline.running.run import run

    if output == "-":
        raise DumpError(
            "output: expected the name of a file, received '-', which stands for stdout"
        )
    job = make_job(**settings, model=model, layers=layers, inputs=inputs, output=output)
    with plan_job(job) as ready:
        return run(ready) if settings.get("shard") is None else run_shard(ready)


def merge(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    allow_missing: bool = False,
) -> Merged:
    """Put the ranges of a dump that was written in shards together in one file.

    Args:
        folder: The directory that `dump` wrote to with `shard`.
        output: The dump.
        overwrite: Whether a dump of this name may be replaced.
        allow_missing: Whether ranges may be missing: their rows are NaN, or 0, and `valid` of the
            dump says which they are.

    Returns:
        What was done. But for its times the dump is the one that a single process writes.

    Raises:
        DumpError: A range is missing, cut, or of another run; or the dump can't be written.
    """
    from kprobe.dumps.ranges.merge import merge_ranges

    where = OutputSpec(path=Path(output), overwrite=overwrite)
    return merge_ranges(Path(folder), where, allow_missing=allow_missing)


@spelling_out(RunSettings, ModelSpec, Selection, SampleSpec, Compute)
def activations(
    model: str | os.PathLike[str] | Any,
    layers: Any,
    inputs: Any = (),
    **settings: Unpack[RunSettings],
) -> dict[str, npt.NDArray[Any] | list[np.ndarray[Any, Any]]]:
    """Run a model over samples and give the activations of some layers.

    Args:
        model: As for `dump`.
        layers: As for `dump`.
        inputs: As for `dump`.
        **settings: As for `dump`, but for what becomes of a file.

    Returns:
        By address, or by the alias that was given, an array of shape (samples, *shape of one); a
        weight has its own shape. Where shapes differ from sample to sample it is a list of arrays.
        The dtype is the tensor's own, but for booleans (uint8) and what numpy doesn't have, such
        as bfloat16 (float32); texts are bytes, as TensorFlow has them.
        Where `on_error` is "skip" there are also `valid`, a bool array of shape (samples,), False
        for those that couldn't be read, whose values are NaN or 0; and `reason`, a str array of
        that shape that says why.

    Raises:
        KprobeError: As for `dump`.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job
    from kprobe.pipeline.running.collect import collect

    with plan_job(make_job(**settings, model=model, layers=layers, inputs=inputs)) as ready:
        return collect(ready)


@spelling_out(CamSettings, ModelSpec, Selection, SampleSpec, Compute, OutputSpec)
def cam(
    model: str | os.PathLike[str] | Any,
    inputs: Any = (),
    layer: Any = None,
    *,
    of: Any = None,
    method: Literal["grad-cam", "grad-cam++", "cam"] = "grad-cam",
    output: str | os.PathLike[str] | None = None,
    overlays: str | os.PathLike[str] | None = None,
    **settings: Unpack[CamSettings],
) -> Receipt | dict[str, npt.NDArray[Any] | list[np.ndarray[Any, Any]]]:
    """Make class activation maps: where in each image the evidence for a class lies.

    Args:
        model: As for `dump`.
        inputs: As for `dump`.
        layer: The address of the layer, or the layer itself, whose maps they are. None for the last
            one with height and width that the score depends on.
        of: The address of the scores, or the layer that gives them; None for the model's only
            output. Where a softmax or sigmoid gives them, gradients are of what goes into it.
        method: How channels are weighted: by Grad-CAM, by Grad-CAM++, or by CAM, which needs
            global average pooling and one dense layer behind it. `kprobe.subgraph.cam` names the
            papers.
        output: The dump of maps to write; None to give them.
        overlays: A folder for PNG images of the maps laid over the samples, which must be images;
            None for none. They have the size of the photo, up to 640 pixels a side; of other
            samples that of the image in memory.
        **settings: Those of `dump`, but for feeds, ragged, gradients_of and eager. unit: which
            score: a number, several for an index, "max" (the largest of each sample, by default)
            or "sum".

    Returns:
        With `output` what was done, as `dump` does. Else by name: `cam`, the maps, of shape
        (samples, height, width), as the layer has them; a list of arrays where sizes differ.
        `unit`, int64, which score it is of each sample: of shape (samples,), or (samples, axes)
        where scores have several axes; not there for "sum". `score`, of shape (samples,), the
        value of `of` there.

    Raises:
        KprobeError: As for `dump`; or there is no such map, or no overlay can be drawn.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    asked = {"layers": layer, "gradients_of": of, "cam": str(method)}
    where = {} if output is None else {"output": output}
    with plan_job(make_job(**settings, **asked, **where, model=model, inputs=inputs)) as ready:
        from kprobe.pipeline.running.collect import collect
        from kprobe.pipeline.running.overlays import Overlays, OverlaySink
        from kprobe.pipeline.running.run import run

        drawn = None if not overlays else Overlays(ready, Path(overlays))
        if output is None:
            return collect(ready, None if drawn is None else drawn.draw)
        return run(ready, sink=None if drawn is None else OverlaySink(ready, drawn))


@spelling_out(StatisticsSettings, ModelSpec, Selection, SampleSpec, Compute, OutputSpec)
def stats(
    source: str | os.PathLike[str] | Any,
    layers: Any = None,
    *,
    inputs: Any = (),
    by: Literal["tensor", "channel", "sample"] = "tensor",
    output: str | os.PathLike[str] | None = None,
    **settings: Unpack[StatisticsSettings],
) -> StatsResult:
    """Tell what the values of tensors are: means, extremes, quantiles, zeros, NaN, histograms.

    Of a dump, or of statistics that were kept, the file is read, without TensorFlow. Of a model the
    layers are computed, and their values are stored nowhere.

    Args:
        source: A dump, or statistics that were kept; or a model, as `dump` takes it.
        layers: Of a file the addresses, where `*` and `?` may stand; of a model, as for `dump`.
            None for all.
        inputs: Of a model, as for `dump`.
        by: "sample" to tell of each sample by itself, too; of channels it always does.
        output: The file to keep the statistics in; None for none. Of a model, it has what is known
            until then every 10 s.
        **settings: Of a model as for `dump`, but for `fail_on` and what only a dump has. overwrite,
            resume, stop_after (in seconds): as `kprobe.dumps.output.OutputSpec` has them.

    Returns:
        Records: its `tensors`, `by_channel` and `by_sample`, which `to_pandas()` gives as tables.

    Raises:
        KprobeError: Whatever is wrong with the file, the model, the addresses or the inputs.
        StoppedError: By Ctrl-C, or at the time limit.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.statistics.gather import gather
    from kprobe.pipeline.statistics.report import make_report

    return make_report(gather(source, layers, inputs, by, output, settings))


@spelling_out(PlotSettings, ModelSpec, Selection, SampleSpec, Compute, PlotSpec)
def plot(
    source: str | os.PathLike[str] | Any,
    layers: Any = None,
    *,
    inputs: Any = (),
    **settings: Unpack[PlotSettings],
) -> Figure:
    """Draw what layers compute: a figure of matplotlib.

    Several tensors come on a contact sheet, each with its most active channels and a scale of its
    own; a single one as large as fits.

    Args:
        source: A dump, or statistics that were kept, of which histograms are drawn; or a model, as
            `dump` takes it, of which only the samples that are drawn are run.
        layers: Of a file the addresses, where `*` and `?` may stand; of a model, as for `dump`.
            None for all.
        inputs: Of a model, as for `dump`.
        **settings: samples, kind, channels, overlay, boxes, pca: as
            `kprobe.pipeline.plotting.spec.PlotSpec` has them. Of a model as for `dump`, but for
            `fail_on` and what only a dump has.

    Returns:
        A `matplotlib.figure.Figure`, which no window and no pyplot knows of; `savefig` writes it.

    Raises:
        KprobeError: Whatever is wrong with the file, the model, the addresses, the inputs, or what
            is asked for; or there is no matplotlib.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.plotting.plot import picture

    own = {f.name: settings.pop(f.name) for f in fields(PlotSpec) if f.name in settings}  # type: ignore[misc]
    with picture(source, layers, inputs, PlotSpec(**own), settings) as pictured:
        return pictured.draw()


@spelling_out(DiffSettings, ModelSpec, SampleSpec, Compute, DiffSpec)
def diff(
    a: str | os.PathLike[str] | Any,
    b: str | os.PathLike[str] | Any = None,
    inputs: Any = (),
    layers: Any = None,
    **settings: Unpack[DiffSettings],
) -> DiffResult:
    """Compare two sides, and say where they part ways and where the difference is born.

    Args:
        a: A dump, as a file or as `kprobe.open_dump` gives it; or a model as for `dump`.
        b: The same; None where `against` says how A is computed otherwise.
        inputs: The samples that models are run over, as for `dump`. Where the other side is a dump,
            by default those that it was made from.
        layers: Addresses of A; None for every layer call, or every tensor of a dump.
        **settings: Those of `load_model`, for both sides; those of `activations`, but for feeds;
            and against: "exact", "eager", "bfloat16", "batch:N", "training" or "weights:FILE".
            match, local, rtol, atol, cosine, ulps, keep: as
            `kprobe.pipeline.comparing.spec.DiffSpec` has them.

    Returns:
        Plain records of every matched pair of tensors, in the order of computing, and the verdict;
        `result.same` tells whether all are within tolerance, `result.to_pandas()` gives a table.

    Raises:
        KprobeError: Whatever is wrong with a side, the samples or what is asked for.
        TypeError: There is no such setting.
    """
    from kprobe.pipeline.comparing.compare import compare

    own = {f.name: settings.pop(f.name) for f in fields(DiffSpec) if f.name in settings}  # type: ignore[misc]
    return compare(a, b, DiffSpec(**own), {**settings, "layers": layers, "inputs": inputs})


def similarity(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    layers: str | Sequence[str] = (),
    *,
    method: Method = "cka",
    batch_size: int = 256,
) -> Similarity:
    """Tell how alike the layers of two dumps represent the same samples.

    The layers may have other shapes, and the samples another order. Memory doesn't grow with the
    dumps.

    Args:
        a: A dump.
        b: Another one, or the same.
        layers: Addresses or globs, in A or in B; a text may hold several, with commas. By default
            all layers.
        method: "cka", linear centred kernel alignment with the unbiased estimator; or "rsa",
            representational similarity analysis by rank correlation. `kprobe help comparing` names
            the papers.
        batch_size: How many samples are compared with each other at a time, 4 or more. Results are
            means over batches, to which samples are dealt by chance, always in the same way.

    Returns:
        A record. `values` are the similarities, float64 of shape (layers of A, layers of B): 1 is
        the same but for rotation and scale, 0 is chance. `to_pandas()` gives a table, `to_json()`
        plain values, and `save(path)` writes HDF5.

    Raises:
        DumpError: A file is no dump.
        InputError: A layer isn't there, samples are on one side only, there are fewer than 4 of
            them, or a setting can't be.
    """
    from kprobe.analysis.similarity import measure_similarity

    texts = [layers] if isinstance(layers, str) else layers
    return measure_similarity(a, b, texts, method=method, batch_size=batch_size)


def report(
    source: str | os.PathLike[str] | Dump | StatsResult | DiffResult,
    *,
    output: str | os.PathLike[str],
    samples: str | int | Sequence[str | int] = (),
    dumps: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Path:
    """Make one page for a browser: what stands out, the network, all layers, feature maps.

    The page is one file, which needs no other and fetches nothing. TensorFlow isn't imported.

    Args:
        source: A dump; statistics that were kept, or what `kprobe.stats` gives; what `kprobe diff`
            prints as JSON, as a file, or what `kprobe.diff` gives.
        output: The page. An earlier report is replaced, and nothing else.
        samples: The samples of a dump that feature maps are shown of: names or rows, up to four;
            by default the first four that could be read.
        dumps: Of a comparison, the dumps of A and of B, such as `kprobe.diff` leaves with `keep`:
            then there are feature maps of both sides beside each other. None for none.
        images: The images that the samples were made from, to be shown with the feature maps: a
            folder, an image, a `.npy`, or `FILE.npz:KEY`. None for none.

    Returns:
        The page's path.

    Raises:
        DumpError: The source is none of these, or can't be read; or the page can't be written.
        InputError: There is no such sample or image, or there are too many.
    """
    from kprobe.reports.make import make_report

    given = [samples] if isinstance(samples, str | int) else list(samples)
    return make_report(source, output, samples=given, dumps=dumps, images=images).path
