"""From the options of a command to the settings of a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kprobe.errors import AddressError, KprobeError
from kprobe.image_options import ImageOptions
from kprobe.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PREPROCESSING = ("preprocess", "scale", "mean", "std")
_IMAGES = ("resize", "fit", "interpolation", "channels", "max_pixels")


def find_layer_faults(
    _ctx: click.Context, options: Mapping[str, Any]
) -> Iterator[click.UsageError]:
    """Check that layers are asked for in one way, and that stdin is read once.

    Yields:
        Both or neither of --layers and --all are given, or both --layers and --input are to be read
        from stdin.
    """
    if "layers" not in options:
        return
    if bool(options["layers"]) == options["every"]:
        received = "both" if options["every"] else "neither"
        yield click.UsageError(f"Expected either --layers or --all, received {received}.")
    if "-" in options["layers"] and "-" in options["inputs"]:
        yield click.UsageError("--layers - and --input - both want stdin.")


def find_job_faults(
    _ctx: click.Context, options: Mapping[str, Any]
) -> Iterator[click.UsageError | KprobeError]:
    """Yield what is wrong with a job, as far as its settings and the names of files tell.

    Args:
        options: As for `collect_settings`. Whether layers are asked for isn't looked at.
    """
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.precheck import find_missing

    if options["model"] is None:
        return
    # What is read from stdin is left there.
    layers = [text for text in options["layers"] if text != "-"]
    settled = {**options, "layers": layers, "every": not layers}
    try:
        if options["output"] in (None, "-"):
            settled["output"] = name_output(options["model"])
        job = make_job(**collect_settings(settled))
    except (click.UsageError, KprobeError) as error:
        yield error
    else:
        yield from find_missing(job)


def collect_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a job, by name.

    Args:
        options: The options of a command, by the names that its function knows them by.

    Raises:
        KprobeError: The layers can't be read, or something is said twice of one input.
    """
    settings = {
        **options,
        "layers": None if options["every"] else _read_layers(options["layers"]),
        "preprocessing": _collect_preprocessing(options),
        "images": _collect_images(options),
        "random_shape": _collect_shapes(options),
    }
    if "ragged" in options:
        settings["ragged"] = _read_layers(options["ragged"])
    return settings


def name_output(model: str, what: str = "activations.h5") -> Path:
    """Name the dump after the model: "shapes_rpn.h5" gives "shapes_rpn.activations.h5"."""
    from kprobe.models.spec import ModelSpec

    return Path(f"{ModelSpec(model=model).name}.{what}")


def _read_layers(arguments: Iterable[str]) -> list[str]:
    """Turn the values of --layers into addresses: lists, `@FILE`, and `-` for stdin.

    Raises:
        AddressError: A file that can't be read.
    """
    from kprobe.addresses.grammar import split_addresses

    addresses: list[str] = []
    for argument in arguments:
        if argument == "-":
            lines = sys.stdin.read().splitlines()
        elif argument.startswith("@"):
            try:
                lines = Path(argument[1:]).read_text().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise AddressError(f"--layers {argument} can't be read: {reason}") from None
        else:
            addresses += split_addresses(argument)
            continue
        # One address a line: a comma in it is its own.
        addresses += [line.strip() for line in lines if line.strip()]
    return addresses


def _collect_images(options: Mapping[str, Any]) -> dict[str, ImageOptions]:
    """Gather what is said for the images of each input, under "" for all of them."""
    chosen = _gather(options, _IMAGES)
    everywhere = chosen.get("", {})
    return {owner: ImageOptions(**{**everywhere, **values}) for owner, values in chosen.items()}


def _collect_preprocessing(options: Mapping[str, Any]) -> dict[str, Preprocessing]:
    """Gather the preprocessing of each input, under "" where none is named."""
    chosen = _gather(options, _PREPROCESSING)
    return {owner: Preprocessing(**values) for owner, values in chosen.items()}


def _collect_shapes(options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Give the shapes of random samples by input, under "" where none is named."""
    gathered = _gather(options, ["random_shape"])
    return {owner: chosen["random_shape"] for owner, chosen in gathered.items()}


def _gather(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    chosen: dict[str, dict[str, Any]] = {}
    for option in names:
        for owner, value in options[option]:
            if option in chosen.setdefault(owner, {}):
                flag = option.replace("_", "-")
                raise click.UsageError(f"--{flag} is given twice for one input.")
            chosen[owner][option] = value
    return chosen
