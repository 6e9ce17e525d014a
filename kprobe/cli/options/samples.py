"""Options that say how samples are made ready: how they are resized, scaled and shifted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

import click

from kprobe.image_options import CHANNELS, Fit, ImageOptions, Interpolation
from kprobe.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Named(click.ParamType[tuple[str, Any]]):
    """`VALUE`, or `INPUT=VALUE` for a model with several inputs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        owner, _, text = value.rpartition("=")
        try:
            return owner, self.parse(text)
        except (ValueError, ZeroDivisionError):
            self.fail(f"expected {self.expected}, received {text!r}", param, ctx)

    expected = "a name"

    def parse(self, text: str) -> Any:
        return text


class _Scale(_Named):
    expected = "a number or a fraction such as 1/255"

    def parse(self, text: str) -> float:
        numerator, _, denominator = text.partition("/")
        return _read_number(numerator) / _read_number(denominator or "1")


class _Channels(_Named):
    expected = "a number, or one for each channel with commas"

    def parse(self, text: str) -> tuple[float, ...]:
        return tuple(_read_number(part) for part in text.split(","))


class _Divisors(_Channels):
    expected = "a number other than 0, or one for each channel with commas"

    def parse(self, text: str) -> tuple[float, ...]:
        values = super().parse(text)
        if 0 in values:
            raise ValueError
        return values


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


class _Size(_Named):
    expected = "HEIGHTxWIDTH in pixels, or model"

    def parse(self, text: str) -> Any:
        if text == "model":
            return text
        height, _, width = text.partition("x")
        size = int(height), int(width)
        if min(size) < 1:
            raise ValueError
        return size


class _OneOf(_Named):
    def __init__(self, name: str, known: Sequence[Any]) -> None:
        super().__init__(name)
        self._known = {str(value): value for value in known}
        self.expected = ", ".join(self._known)

    def parse(self, text: str) -> Any:
        if text not in self._known:
            raise ValueError
        return self._known[text]


def preprocessing_options(command: Any) -> Any:
    """Add --scale, --mean, --std and --preprocess."""
    for option in (
        click.option(
            "--preprocess",
            multiple=True,
            metavar="NAME",
            type=_Named("name"),
            help="Preprocess as this family of keras.applications does, e.g. resnet50.",
        ),
        click.option(
            "--std",
            multiple=True,
            metavar="X[,Y,Z]",
            type=_Divisors("std"),
            help="Divide the input by this, after --mean.",
        ),
        click.option(
            "--mean",
            multiple=True,
            metavar="X[,Y,Z]",
            type=_Channels("mean"),
            help="Subtract this from the input, after --scale.",
        ),
        click.option(
            "--scale",
            multiple=True,
            metavar="X",
            type=_Scale("scale"),
            help="Multiply the input by this; 1/255 may be written so.",
        ),
    ):
        command = option(command)
    return command


def image_options(command: Any) -> Any:
    """Add --resize, --fit, --interpolation, --channels and --labels-from-folders."""
    for option in (
        click.option(
            "--labels-from-folders",
            is_flag=True,
            help="Store a label for each image: the folder at the top that it lies in.",
        ),
        click.option(
            "--channels",
            multiple=True,
            metavar="1|3|4",
            type=_OneOf("channels", CHANNELS),
            help="Read images as grey, RGB or RGBA. [default: the model's]",
        ),
        click.option(
            "--interpolation",
            multiple=True,
            metavar="KERNEL",
            type=_OneOf("interpolation", get_args(Interpolation)),
            help=f"How images are resized: {', '.join(get_args(Interpolation))}; all but nearest "
            "are antialiased. [default: bilinear]",
        ),
        click.option(
            "--fit",
            multiple=True,
            metavar="|".join(get_args(Fit)),
            type=_OneOf("fit", get_args(Fit)),
            help="Where the sides of images have another ratio: stretch them, crop the centre, or "
            "pad with black. [default: stretch]",
        ),
        click.option(
            "--resize",
            multiple=True,
            metavar="HxW|model",
            type=_Size("size"),
            help="Resize images, to the model's size or another. [default: the model's, if any]",
        ),
    ):
        command = option(command)
    return command


def collect_images(**options: tuple[tuple[str, Any], ...]) -> dict[str, ImageOptions]:
    """Gather what is said for the images of each input, under "" for all of them."""
    chosen = _gather(options)
    everywhere = chosen.get("", {})
    return {owner: ImageOptions(**{**everywhere, **values}) for owner, values in chosen.items()}


def collect_preprocessing(**options: tuple[tuple[str, Any], ...]) -> dict[str, Preprocessing]:
    """Gather the options of each input, under "" where none is named."""
    return {owner: Preprocessing(**values) for owner, values in _gather(options).items()}


def _gather(options: Mapping[str, tuple[tuple[str, Any], ...]]) -> dict[str, dict[str, Any]]:
    chosen: dict[str, dict[str, Any]] = {}
    for option, values in options.items():
        for owner, value in values:
            if option in chosen.setdefault(owner, {}):
                raise click.UsageError(f"--{option} is given twice for one input.")
            chosen[owner][option] = value
    return chosen
