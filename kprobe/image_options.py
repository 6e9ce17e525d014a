"""How images become rows of one shape. Pure data: knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any, Literal, get_args

from kprobe.checks import check_count
from kprobe.errors import Hint, InputError, Setting

Fit = Literal["stretch", "crop", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "gaussian"]

CHANNELS = (1, 3, 4)
_GIVE_SIZE = Hint("give one: ", Setting("resize", "224x224", python="(224, 224)"))


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How images become rows of one shape.

    Attributes:
        resize: Height and width in pixels; "model" for the model's own, an error where it has
            none; None for the model's own, or as they are where it has none.
        fit: What is done where the ratio of the sides differs: "stretch" the image, "crop" it
            around its centre, or "pad" it with zeros (black) around it.
        interpolation: The kernel. All but "nearest" are antialiased: they widen as the image
            shrinks.
        channels: 1 for grey, 3 for RGB, 4 for RGBA; None for the model's own. Where the model
            doesn't say what it takes, those of the images if all have the same, else 3.
        max_pixels: How many pixels an image may have to be decoded; None for 89,478,485, which
            are 256 MB in RGB.

    Raises:
        InputError: A value that there isn't.
    """

    resize: tuple[int, int] | Literal["model"] | None = None
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    channels: int | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        faults = []
        size: Any = self.resize
        if not (size is None or (isinstance(size, str) and size == "model")):
            try:
                height, width = map(index, size)  # of numpy, too
            except (TypeError, ValueError):
                height = width = 0
            if min(height, width) < 1:
                faults.append(f"resize: expected a height and a width in pixels, received {size!r}")
            object.__setattr__(self, "resize", (height, width))
        for name, value, known in (
            ("fit", self.fit, get_args(Fit)),
            ("interpolation", self.interpolation, get_args(Interpolation)),
            ("channels", self.channels, (None, *CHANNELS)),
        ):
            if value not in known:
                faults.append(f"{name}: expected one of {known}, received {value!r}")
        faults += check_count("max_pixels", self.max_pixels)
        if faults:
            raise InputError(*faults)


@dataclass(frozen=True, kw_only=True)
class ImageForm:
    """The rows that images are made into: `ImageOptions` for one input of a model.

    Attributes:
        size: Height and width in pixels; None to leave each image as large as it is.
        channels: 1, 3 or 4.
        fit: As in `ImageOptions`.
        interpolation: As in `ImageOptions`.
        axes: The order of the axes: "HWC", "CHW", or "HW" for one channel without an axis.
    """

    size: tuple[int, int] | None
    channels: int
    fit: Fit
    interpolation: Interpolation
    axes: Literal["HWC", "CHW", "HW"]

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Give the shape of a row that holds an image of that size."""
        sizes = {"H": height, "W": width, "C": self.channels}
        return tuple(sizes[axis] for axis in self.axes)


def choose_form(
    name: str,
    shape: tuple[int | None, ...],
    options: ImageOptions,
    *,
    usual: tuple[int | None, ...] | None = None,
) -> ImageForm:
    """Choose what images are made into for an input.

    Args:
        name: The input's name.
        shape: Its shape, batch axis first.
        options: What the user chose.
        usual: The shape of a sample that the model was first called with, where it takes other
            sizes, too. Images stay as large as they are then.

    Raises:
        InputError: The input takes no images, or the model's size is asked for and it has none.
    """
    axes: Literal["HWC", "CHW", "HW"]
    channels: int | None
    sample = shape[1:] if usual is None else usual
    if len(sample) == 3 and sample[2] not in CHANNELS and sample[0] in CHANNELS:
        axes, own, channels = "CHW", sample[1:], sample[0]
    elif len(sample) == 3:
        axes, own, channels = "HWC", sample[:2], sample[2]
    elif len(sample) == 2:
        axes, own, channels = "HW", sample, 1
    else:
        raise InputError(f"input '{name}' expects shape {shape}, received images")
    if options.channels is not None and axes != "HW":
        channels = options.channels
    elif channels is None:
        channels = 3
    if channels not in CHANNELS:
        raise InputError(
            f"input '{name}' expects shape {shape}: images have 1, 3 or 4 channels, not {channels}"
        )
    height, width = own
    size = None if height is None or width is None else (height, width)
    if usual is not None and options.resize != "model":
        size = None
    if options.resize == "model" and size is None:
        raise InputError(
            f"resize to the model's size: input '{name}' expects shape {shape}, without a size of "
            "its own",
            hint=_GIVE_SIZE,
        )
    if isinstance(options.resize, tuple):
        size = options.resize
    return ImageForm(
        size=size,
        channels=channels,
        fit=options.fit,
        interpolation=options.interpolation,
        axes=axes,
    )


def choose_own_form(options: ImageOptions, channels: int) -> ImageForm:
    """Choose what images are made into for a model that doesn't say what it takes.

    Args:
        options: What the user chose.
        channels: Those of the images, where the user chose none.

    Raises:
        InputError: The model's size is asked for.
    """
    if options.resize == "model":
        raise InputError(
            "resize to the model's size: the model doesn't say what it takes", hint=_GIVE_SIZE
        )
    return ImageForm(
        size=options.resize,
        channels=options.channels or channels,
        fit=options.fit,
        interpolation=options.interpolation,
        axes="HWC",
    )
