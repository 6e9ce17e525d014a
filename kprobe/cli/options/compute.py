"""How a model is computed: `kprobe.engines.compute.Compute`."""

from __future__ import annotations

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.values import Size

compute_options = OptionGroup(
    "Computing",
    {
        "batch_size": declare(
            "--batch-size",
            type=click.IntRange(1),
            metavar="N",
            help="Samples run at a time. [default: as many as fit the processor's caches]",
        ),
        "streams": declare(
            "--streams",
            type=click.IntRange(1),
            metavar="N",
            help="Batches computed at a time. [default: 2 on two processors, up to 8 on more]",
        ),
        "threads": declare(
            "--threads",
            type=click.IntRange(1),
            metavar="N",
            help="Threads that work on one operation.",
        ),
        "device": declare("--device", metavar="NAME", help="cpu, gpu or gpu:N."),
        "max_activation_bytes": declare(
            "--max-activation-bytes",
            type=Size(),
            metavar="SIZE",
            help="Refuse a model of which a tensor takes more than, say, 8G for a batch. [default: "
            "the machine's memory]",
        ),
        "seed": declare(
            "--seed", type=click.IntRange(0), default=0, help="Where randomness starts."
        ),
        "training": declare(
            "--training", is_flag=True, help="Run as in training: dropout active, batch statistics."
        ),
        "stateful": declare(
            "--stateful",
            is_flag=True,
            help="Carry the model's state (of stateful RNNs, say) on from batch to batch, in "
            "memory.",
        ),
        "eager": declare(
            "--eager",
            is_flag=True,
            help="Run the model eagerly, where its Python can't be traced: slowly, and layers "
            "only.",
        ),
        "precision": declare(
            "--precision",
            type=click.Choice(["float32", "bfloat16"]),
            default="float32",
            show_default=True,
            help="What the model may compute in. bfloat16 is faster on processors that have it; "
            "the error on the first batch is printed and stored.",
        ),
        "exact": declare(
            "--exact",
            is_flag=True,
            help="The model's results bit for bit, as without any optimisation of graphs; slower.",
        ),
        "audit": declare(
            "--audit",
            is_flag=True,
            help="Compare the model's outputs on a batch with the fetches and without.",
        ),
        "fail_on": declare(
            "--fail-on",
            type=click.Choice(["nan"]),
            help="Stop with exit code 1 at the first tensor with NaN or infinity in it, and name "
            "the sample.",
        ),
    },
)
