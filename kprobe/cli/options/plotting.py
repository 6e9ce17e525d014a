"""What is drawn, and how: `kprobe.pipeline.plotting.spec.PlotSpec`."""

from __future__ import annotations

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.values import File
from kprobe.pictures.boxes import BOX_FORMATS
from kprobe.pictures.files import PICTURE_FORMATS
from kprobe.pictures.kinds import KINDS

plot_options = OptionGroup(
    "Pictures",
    {
        "samples": declare(
            "--sample",
            "-s",
            multiple=True,
            metavar="N|NAME",
            help="The number of a sample, or its name, in which * and ? may stand. Repeatable. "
            "[default: the first; of rows of numbers the first 64]",
        ),
        "kind": declare(
            "--kind",
            type=click.Choice(KINDS),
            help="What tensors are drawn as. [default: what fits the axes of each]",
        ),
        "channels": declare(
            "--channels",
            metavar="0:16,40",
            help="Which channels are shown. [default: the most active]",
        ),
        "overlay": declare(
            "--images",
            metavar="SRC",
            type=File(),
            help="Lay maps, and boxes, over the images that the samples were made from: a folder, "
            "an image, .npy, or FILE.npz:KEY.",
        ),
        "boxes": declare(
            "--boxes",
            type=click.Choice(BOX_FORMATS),
            metavar="FORMAT",
            help="Draw tensors with four numbers in their last axis as boxes, which are meant as "
            f"Keras calls it: {', '.join(BOX_FORMATS)}.",
        ),
        "pca": declare(
            "--pca",
            is_flag=True,
            help="Draw all samples as points, by their first two principal components, coloured "
            "by their labels.",
        ),
        "output": declare(
            "--output",
            "-o",
            metavar="FILE|FOLDER/",
            type=File(),
            help="A .png, .svg or .pdf: one tensor as large as fits, several on a contact sheet. "
            "Or a folder, with a file for each tensor. [default: NAME.ADDRESS.png of one tensor, "
            "NAME.png of several]",
        ),
        "picture_format": declare(
            "--format",
            type=click.Choice(PICTURE_FORMATS),
            help="The format where --output doesn't say it. [default: png]",
        ),
        "overwrite": declare("--overwrite", is_flag=True, help="Replace files of these names."),
    },
)
