"""The options of which class activation maps are made, and what becomes of them."""

from __future__ import annotations

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.selection import complete_layers
from kprobe.cli.options.values import File

cam_options = OptionGroup(
    "Maps",
    {
        "layer": declare(
            "--layer",
            "-l",
            metavar="ADDRESS",
            shell_complete=complete_layers,
            help="The layer whose maps they are. [default: the last one with height and width that "
            "the score depends on]",
        ),
        "of": declare(
            "--of",
            metavar="ADDRESS",
            shell_complete=complete_layers,
            help="What gives the scores. Where it is a softmax or sigmoid, gradients are of what "
            "goes into it. [default: the model's only output]",
        ),
        "unit": declare(
            "--unit",
            metavar="N|I,J,…|max|sum",
            help="The score: a number, an index where scores have several axes, the largest of "
            "each sample, or their sum. [default: max]",
        ),
        "method": declare(
            "--method",
            type=click.Choice(["grad-cam", "grad-cam++", "cam"]),
            default="grad-cam",
            show_default=True,
            help="How channels are weighted. cam needs global average pooling and one dense layer "
            "behind it.",
        ),
        "overlays": declare(
            "--overlays",
            metavar="DIR",
            type=File(),
            help="Write each map, laid over its sample, as a PNG in this folder.",
        ),
    },
)
