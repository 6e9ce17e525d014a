"""Which samples are run, and how they are made ready: `kprobe.inputs.spec.SampleSpec`."""

from __future__ import annotations

from typing import get_args

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.per_input import (
    Divisors,
    Factor,
    ImageSize,
    Name,
    Numbers,
    OneOf,
    Pixels,
    Sizes,
)
from kprobe.cli.options.values import File
from kprobe.image_options import CHANNELS, Fit, Interpolation

sample_options = OptionGroup(
    "Samples",
    {
        "inputs": declare(
            "--input",
            "-i",
            multiple=True,
            metavar="[NAME=]SRC",
            type=File(),
            help="Samples: .npy, .npz, FILE.h5:/DATASET, - for a .npy on stdin; an image, a folder "
            "of images, or a .txt file with a path a line; FILE.tfrecord:FEATURE, "
            "FILE.parquet:COLUMN, FILE.csv:COLUMN, FILE.txt:text for its lines; a saved tf.data "
            "dataset; FILE.py:FUNCTION or MODULE:FUNCTION that gives batches. Several, or a "
            "pattern such as 'part*.npy', are read one after another. NAME=SRC for each of several "
            "inputs. Without it, random samples.",
        ),
        "random": declare(
            "--random", type=click.IntRange(1), metavar="N", help="Make N random samples."
        ),
        "random_shape": declare(
            "--random-shape",
            multiple=True,
            metavar="N,SIZE,…",
            type=Sizes("sizes"),
            help="Make N random samples of these sizes. [default: the model's; where it takes any, "
            "64 or another length that it takes]",
        ),
        "limit": declare(
            "--limit", type=click.IntRange(1), metavar="N", help="Take the first N samples."
        ),
        "resize": declare(
            "--resize",
            multiple=True,
            metavar="HxW|model",
            type=ImageSize("size"),
            help="Resize images, to the model's size or another. [default: the model's, if any]",
        ),
        "fit": declare(
            "--fit",
            multiple=True,
            metavar="|".join(get_args(Fit)),
            type=OneOf("fit", get_args(Fit)),
            help="Where the sides of images have another ratio: stretch them, crop the centre, or "
            "pad with black. [default: stretch]",
        ),
        "interpolation": declare(
            "--interpolation",
            multiple=True,
            metavar="KERNEL",
            type=OneOf("interpolation", get_args(Interpolation)),
            help=f"How images are resized: {', '.join(get_args(Interpolation))}; all but nearest "
            "are antialiased. [default: bilinear]",
        ),
        "channels": declare(
            "--channels",
            multiple=True,
            metavar="1|3|4",
            type=OneOf("channels", CHANNELS),
            help="Read images as grey, RGB or RGBA. [default: the model's]",
        ),
        "max_pixels": declare(
            "--max-pixels",
            multiple=True,
            metavar="N",
            type=Pixels("number"),
            help="Refuse an image of more pixels than, say, 200M. [default: 89478485]",
        ),
        "labels_from_folders": declare(
            "--labels-from-folders",
            is_flag=True,
            help="Store a label for each image: the folder at the top that it lies in.",
        ),
        "scale": declare(
            "--scale",
            multiple=True,
            metavar="X",
            type=Factor("scale"),
            help="Multiply the input by this; 1/255 may be written so.",
        ),
        "mean": declare(
            "--mean",
            multiple=True,
            metavar="X[,Y,Z]",
            type=Numbers("mean"),
            help="Subtract this from the input, after --scale.",
        ),
        "std": declare(
            "--std",
            multiple=True,
            metavar="X[,Y,Z]",
            type=Divisors("std"),
            help="Divide the input by this, after --mean.",
        ),
        "preprocess": declare(
            "--preprocess",
            multiple=True,
            metavar="NAME",
            type=Name("name"),
            help="Preprocess as this family of keras.applications does, e.g. resnet50.",
        ),
        "on_error": declare(
            "--on-error",
            type=click.Choice(["stop", "skip"]),
            default="stop",
            show_default=True,
            help="What to do at a sample that can't be read. With skip its row stays, without "
            "values: the datasets valid and reason tell, and the exit code is 3.",
        ),
        "follow_links": declare(
            "--follow-links",
            is_flag=True,
            help="Follow links in a folder of samples also where they lead out of it.",
        ),
    },
)

# For commands that compute nothing, but may have to build the model.
building_options = sample_options.only("inputs").saying(
    inputs="A sample for a model that has to be called before it is built, as `kprobe dump` takes "
    "it."
)
