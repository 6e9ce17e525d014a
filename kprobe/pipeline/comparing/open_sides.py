"""Open the two sides of a comparison: dumps, models, or one model computed in two ways."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.analysis.comparison.names import check_given
from kprobe.dumps.attributes import read_json
from kprobe.dumps.create import FORMAT
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import Dump, open_dump
from kprobe.dumps.soundness import open_sound
from kprobe.errors import (
    AddressError,
    DumpError,
    Hint,
    InputError,
    KprobeError,
    ModelError,
    Setting,
)
from kprobe.image_options import ImageOptions
from kprobe.models.code import find_code
from kprobe.models.spec import ModelSpec
from kprobe.naming import list_names
from kprobe.pipeline.comparing.sides import DumpSide, Side
from kprobe.pipeline.planning.job import make_job, make_parts
from kprobe.preprocessing import Preprocessing
from kprobe.subgraph.selection import list_addresses

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    from kprobe.pipeline.comparing.spec import DiffSpec
    from kprobe.pipeline.planning.job import Job

# What a dump knows of its samples, and a model that is compared with it can be given.
_OF_SAMPLES = ("inputs", "random", "random_shape", "seed", "limit", "preprocessing", "images")


def open_sides(
    a: Any, b: Any, spec: DiffSpec, settings: Mapping[str, Any], opened: contextlib.ExitStack
) -> tuple[Side, Side]:
    """Open two sides.

    Args:
        a: A dump, its file, or a model as `make_job` takes it.
        b: The same; None where `spec` says what A is compared with.
        spec: How they are compared.
        settings: The settings of a job but for the model and the output.
        opened: What closes the sides.

    Raises:
        KprobeError: Whatever is wrong with either of them, or with the samples.
    """
    _check_sides(a, b, spec)
    if spec.directory is not None:
        _make_directory(spec.directory)
    # Files first, which take no time.
    dumps = [_open_dump(side, opened) for side in (a, b)]
    if all(dump is None for dump in dumps) or spec.against is not None:
        return _open_models(a, b, spec, settings, opened)
    if dumps[0] is not None and dumps[1] is not None:
        _check_no_samples(settings)
        one, other = (DumpSide(dump, with_dump=True) for dump in (dumps[0], dumps[1]))
        _choose(one, settings)
        return one, other
    return _open_both_kinds(a, b, dumps, spec, settings, opened)


def _open_both_kinds(
    a: Any,
    b: Any,
    dumps: Sequence[Dump | None],
    spec: DiffSpec,
    settings: Mapping[str, Any],
    opened: contextlib.ExitStack,
) -> tuple[Side, Side]:
    """Open a dump and a model, which is run over the samples that the dump has."""
    dump = DumpSide(next(dump for dump in dumps if dump is not None))
    dump_first = dumps[0] is not None
    check_given([tensor.described for tensor in dump.tensors], spec.matches, old=dump_first)
    given, place = (b, "b") if dump_first else (a, "a")
    asked = {**_fit(settings, given), "model": given, **_keep(spec, place)}
    _check_file(make_parts(asked, "model")["model"])
    job = make_job(**_recall_samples(dump.dump, asked))
    named = job.selection.layers is not None
    if dump_first:
        _choose(dump, settings)
    if dump_first or not named:
        job = replace(job, selection=replace(job.selection, layers=None))
        wanted = [tensor.described.address for tensor in dump.tensors]
        model = _open_model(_name(given), job, opened, wanted=wanted)
    else:
        model = _open_model(_name(given), job, opened)
    return (dump, model) if dump_first else (model, dump)


def _choose(dump: DumpSide, settings: Mapping[str, Any]) -> None:
    """Keep of a dump what is asked for."""
    if settings.get("layers") is not None:
        dump.choose(list_addresses(settings["layers"]))


def _open_models(
    a: Any, b: Any, spec: DiffSpec, settings: Mapping[str, Any], opened: contextlib.ExitStack
) -> tuple[Side, Side]:
    first = make_job(**{**_fit(settings, a), "model": a, **_keep(spec, "a")})
    if b is None:
        second = _vary(first, spec)
    else:
        second = make_job(**{**_fit(settings, b), "model": b, **_keep(spec, "b")})
    for side, job in enumerate((first, second)):
        _check_file(job.model, [pair[side] for pair in spec.matches])
    name = _name(a)
    names = (name, _name(b)) if b is not None else (name, f"{name} ({spec.against})")
    if names[0] == names[1]:
        names = (f"A ({names[0]})", f"B ({names[1]})")
    one = _open_model(names[0], first, opened)
    if not one.plan.samples.replayable:
        raise InputError(
            "expected samples that can be read again, since two models are run over them, "
            "received some that can be read once",
            hint="write them to a file first, or give arrays",
        )
    if not one.tensors:
        raise InputError(f"{name}: nothing of it can be compared: {list_names(one.left_out, 4)}")
    # What A's pattern brought, B may have under other names.
    named = first.selection.layers is not None
    other = _open_model(
        names[1],
        replace(second, selection=replace(second.selection, layers=None)) if named else second,
        opened,
        wanted=[tensor.described.address for tensor in one.tensors] if named else None,
        loaded=one.loaded if b is None and second.model is first.model else None,
    )
    return one, other


def _open_model(name: str, job: Job, opened: contextlib.ExitStack, **more: Any) -> Any:
    from kprobe.pipeline.comparing.model_side import ModelSide

    return ModelSide(name, job, opened, **more)


def _check_sides(a: Any, b: Any, spec: DiffSpec) -> None:
    """Check that there are two sides.

    Raises:
        KprobeError: There are more, or less; or a dump is to be computed otherwise.
    """
    if (b is None) == (spec.against is None):
        received = "neither" if b is None else "both"
        raise KprobeError(
            f"expected either a second side or how the first is computed otherwise, received "
            f"{received}",
            hint=Hint("give B, or ", Setting("against")),
        )
    if spec.against is not None and _is_dump(a):
        raise DumpError(
            f"{_name(a)} is a dump, which can't be computed otherwise: expected a model",
            hint="give the model that it was made of",
        )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DumpError(f"{path}: can't be made a directory: {error.strerror}") from None


def _is_dump(side: Any) -> bool:
    """Tell a dump from a model, without opening what may be code."""
    if isinstance(side, Dump):
        return True
    if not isinstance(side, str | os.PathLike):
        return False
    path = Path(side)
    if not path.is_file():
        # What a run that was stopped has left of it is told by who opens it.
        return path.with_name(f"{path.name}.partial").is_file()
    try:
        with open_sound(path) as file:
            kind = file.attrs.get("format")
            return isinstance(kind, str) and kind == FORMAT
    except (OSError, ValueError, KprobeError):
        return False


def _open_dump(side: Any, opened: contextlib.ExitStack) -> Dump | None:
    if not _is_dump(side):
        return None
    return side if isinstance(side, Dump) else opened.enter_context(open_dump(side))


def _name(side: Any) -> str:
    if isinstance(side, Dump):
        return str(side.path)
    if isinstance(side, str | os.PathLike):
        return os.fspath(side)
    return str(getattr(side, "name", side))


def _fit(settings: Mapping[str, Any], side: Any) -> dict[str, Any]:
    """Give the settings that concern a side: arguments are for code alone."""
    is_code = isinstance(side, str | os.PathLike) and find_code(side) is not None
    in_memory = not isinstance(side, str | os.PathLike)
    left_out = {*(() if is_code else ("arguments",))}
    if in_memory:
        left_out |= {"keras", "signature", "custom_objects", "allow", "unsafe"}
        left_out |= {"max_model_bytes"}
    return {name: value for name, value in settings.items() if name not in left_out}


def _keep(spec: DiffSpec, name: str) -> dict[str, Any]:
    """Say where a model's dump goes, if it is kept."""
    directory = spec.directory
    return {} if directory is None else {"output": directory / f"{name}.h5"}


def _vary(job: Job, spec: DiffSpec) -> Job:
    """Give a job that computes the same model otherwise.

    Raises:
        KprobeError: That is how it is computed already.
    """
    way = spec.way
    if way is None:
        return job
    if way.compute and all(getattr(job.compute, n) == value for n, value in way.compute.items()):
        raise KprobeError(
            f"against: expected another way than that of both sides, received {way.text!r}"
        )
    model = job.model
    if way.weights is not None:
        given = {f.name: getattr(model, f.name) for f in fields(ModelSpec) if f.init}
        model = ModelSpec(**{**given, "weights": way.weights})
    output = job.output
    if output is not None:
        output = OutputSpec(path=output.path.with_name("b.h5"))
    return replace(job, model=model, compute=replace(job.compute, **way.compute), output=output)


def _check_file(spec: ModelSpec, matched: Sequence[str] = ()) -> None:
    """Check that there is a model, before TensorFlow is imported for the other one.

    Args:
        spec: The model.
        matched: What of it belongs to something of the other side: addresses or patterns.

    Raises:
        ModelError: There is none.
        KprobeError: What is matched isn't there.
    """
    from kprobe.models.load import find_source
    from kprobe.pipeline.planning.precheck import check_addresses

    if spec.in_memory:
        return
    try:
        source = find_source(spec)
    except ModelError as error:
        if any("is not a model file" in fault for fault in error.faults):
            raise ModelError(
                f"{_name(spec.model)}: expected a dump or a model, received a file that is neither"
            ) from None
        raise
    try:
        check_addresses(source, matched)
    except AddressError as error:
        error.faults = [f"match: {_name(spec.model)}: {fault}" for fault in error.faults]
        raise


def _check_no_samples(settings: Mapping[str, Any]) -> None:
    """Check that no samples are given for two dumps.

    Raises:
        InputError: Some are.
    """
    for name in ("inputs", "random"):
        if not _is_empty(settings.get(name)):
            raise InputError(
                "two dumps are compared without running anything: expected no samples",
                hint=Hint("leave ", Setting(name), " out"),
            )


def _recall_samples(dump: Dump, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings with the samples that a dump was made from, unless others are given.

    Raises:
        InputError: The dump doesn't tell them.
    """
    if any(not _is_empty(settings.get(name)) for name in ("inputs", "random", "random_shape")):
        return dict(settings)
    job = read_json(dump.attrs, "job", dict)
    if job.get("inputs", ()) is None or "job" not in dump.attrs:
        raise InputError(
            f"{dump.path} doesn't say which samples it was made from",
            hint=Hint("give them with ", Setting("inputs")),
        )
    known = {name: job[name] for name in _OF_SAMPLES if not _is_empty(job.get(name))}
    if "inputs" not in known and "random" not in known:
        known["random"] = dump.rows
    for name, kind in (("preprocessing", Preprocessing), ("images", ImageOptions)):
        if name in known:
            known[name] = {
                owner: kind(**{key: _thaw(value) for key, value in given.items()})
                for owner, given in known[name].items()
            }
    given = {name: value for name, value in settings.items() if not _is_empty(value)}
    return {**settings, **known, **{n: v for n, v in given.items() if n not in ("seed",)}}


def _thaw(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | list | dict) and not value)
