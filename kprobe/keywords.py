"""The keywords of the Python library: spelt out for editors and `help`, checked when they come."""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypedDict, TypeVar

from kprobe.naming import suggest_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from dataclasses import Field

    from kprobe.image_options import ImageOptions
    from kprobe.models.custom import GivenObjects
    from kprobe.pictures.boxes import BoxFormat
    from kprobe.preprocessing import Preprocessing

P = ParamSpec("P")
R = TypeVar("R")


class ModelSettings(TypedDict, total=False):
    """How a model is loaded: see `kprobe.models.spec.ModelSpec`."""

    weights: str | os.PathLike[str] | None
    random_weights: bool
    arguments: Mapping[str, Any]
    keras: Literal[2, 3] | None
    signature: str | None
    custom_objects: GivenObjects
    allow: str | Sequence[str]
    unsafe: bool
    max_model_bytes: int | None


class FunctionSettings(ModelSettings, total=False):
    """How a function computes, and on which sample a model is built that has to be called."""

    inputs: Any
    gradients_of: Any
    unit: int | str | Sequence[int] | None
    reduce: str | Sequence[str] | Mapping[str, str | Sequence[str]]
    exact: bool
    training: bool
    stateful: bool
    seed: int
    threads: int | None
    device: str | None
    max_activation_bytes: int | None


class BatchSettings(ModelSettings, total=False):
    """Which samples are run, and how: see `SampleSpec` and `Compute`."""

    random: int | None
    random_shape: Sequence[int] | Mapping[str, Sequence[int]]
    seed: int
    limit: int | None
    preprocessing: Preprocessing | Mapping[str, Preprocessing]
    images: ImageOptions | Mapping[str, ImageOptions]
    on_error: Literal["stop", "skip"]
    follow_links: bool
    exact: bool
    training: bool
    stateful: bool
    precision: Literal["float32", "bfloat16"]
    batch_size: int | None
    streams: int | None
    threads: int | None
    device: str | None
    max_activation_bytes: int | None


class CamSettings(BatchSettings, total=False):
    """Of which score class activation maps are, and what becomes of them.

    See `SampleSpec`, `Compute` and `kprobe.dumps.output.OutputSpec`.
    """

    unit: int | str | Sequence[int] | None
    labels_from_folders: bool
    fail_on: Literal["nan"] | None
    dtype: Literal["float16", "float32", "as-is"]
    overwrite: bool
    resume: bool
    stop_after: float | None
    max_bytes: int | None


class SampleSettings(BatchSettings, total=False):
    """What is asked for of a model, too: see `SampleSpec`, `Selection` and `Compute`."""

    feeds: str | Sequence[str] | Mapping[str, Any]
    ragged: str | Sequence[str]
    gradients_of: Any
    unit: int | str | Sequence[int] | None
    reduce: str | Sequence[str] | Mapping[str, str | Sequence[str]]
    labels_from_folders: bool
    eager: bool
    audit: bool


class StatisticsSettings(SampleSettings, total=False):
    """What becomes of statistics that are kept: see `kprobe.dumps.output.OutputSpec`."""

    overwrite: bool
    resume: bool
    stop_after: float | None


class PlotSettings(SampleSettings, total=False):
    """What is drawn, and how: see `kprobe.pipeline.plotting.spec.PlotSpec`."""

    samples: int | str | Sequence[int | str] | None
    kind: Literal["maps", "matrix", "lines", "bars", "histogram", "boxes"] | None
    channels: int | str | slice | Sequence[int | str | slice] | None
    overlay: str | os.PathLike[str] | None
    boxes: BoxFormat | None
    pca: bool


class RunSettings(SampleSettings, total=False):
    """When a run fails, too: see `Compute`."""

    fail_on: Literal["nan"] | None


class DumpSettings(RunSettings, total=False):
    """What becomes of the dump: see `kprobe.dumps.output.OutputSpec`."""

    dtype: Literal["float16", "float32", "as-is"]
    overwrite: bool
    resume: bool
    stop_after: float | None
    max_bytes: int | None
    shard: str | None


class DiffSettings(BatchSettings, total=False):
    """How two sides are compared, too: see `kprobe.pipeline.comparing.spec.DiffSpec`."""

    against: str | None
    eager: bool
    match: str | Sequence[str] | Mapping[str, str]
    local: bool | None
    rtol: float | Mapping[str, float] | None
    atol: float | Mapping[str, float] | None
    cosine: bool
    ulps: bool
    keep: str | os.PathLike[str] | None


def spelling_out(settings: type, *parts: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function's signature name the keywords that it takes as `**settings`.

    A misspelt one is answered with the nearest.

    Args:
        settings: The `TypedDict` of these keywords.
        *parts: The dataclasses that they go to, which have the defaults.
    """
    defaults = {field.name: _find_default(field) for part in parts for field in fields(part)}
    spelt = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[name],
            annotation=getattr(kind, "__forward_arg__", kind),
        )
        for name, kind in settings.__annotations__.items()
    ]

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = [parameter.name for parameter in (*kept, *spelt)]

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in names:
                    near = suggest_name(name, names, "{!r}")
                    meant = f"; {near}" if near else ""
                    raise TypeError(
                        f"{function.__name__}() received an unknown keyword {name!r}{meant}"
                    )
            for name, value in kwargs.items():
                kwargs[name] = _make_plain(value)
            return function(*args, **kwargs)

        call.__signature__ = own.replace(parameters=[*kept, *spelt])  # type: ignore[attr-defined]
        return call

    return decorate


def _make_plain(value: Any) -> Any:
    """Give a switch of numpy's as Python's."""
    # If there is one, it has been imported.
    numpy = sys.modules.get("numpy")
    return bool(value) if numpy is not None and isinstance(value, numpy.bool_) else value


def _find_default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
