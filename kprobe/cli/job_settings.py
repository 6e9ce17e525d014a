"""From the options of a command to the settings of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.options.samples import collect_images, collect_preprocessing
from kprobe.cli.options.values import read_layers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREPROCESSING = ("preprocess", "scale", "mean", "std")
_IMAGES = ("resize", "fit", "interpolation", "channels")


def check_layers(options: Mapping[str, Any]) -> None:
    """Check that layers are asked for in one way, and that stdin is read once.

    Raises:
        click.UsageError: Both or neither of --layers and --all are given, or both --layers and
            --input are to be read from stdin.
    """
    if bool(options["layers"]) == options["every"]:
        raise click.UsageError("Expected either --layers or --all.")
    if "-" in options["layers"] and "-" in options["inputs"]:
        raise click.UsageError("--layers - and --input - both want stdin.")


def collect_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a job, by name.

    Args:
        options: The options of a command, by the names that its function knows them by.

    Raises:
        KprobeError: The layers can't be read, or something is said twice of one input.
    """
    settings = {
        **options,
        "layers": None if options["every"] else read_layers(options["layers"]),
        "preprocessing": collect_preprocessing(**{name: options[name] for name in _PREPROCESSING}),
        "images": collect_images(**{name: options[name] for name in _IMAGES}),
    }
    if "ragged" in options:
        settings["ragged"] = read_layers(options["ragged"])
    return settings


def default_output(model: str) -> Path:
    """Name the dump after the model: "shapes_rpn.h5" gives "shapes_rpn.activations.h5"."""
    from pathlib import Path

    from kprobe.models.spec import ModelSpec

    return Path(f"{ModelSpec(model=model).name}.activations.h5")
