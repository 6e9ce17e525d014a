"""What becomes of a dump's file: `kprobe.dumps.output.OutputSpec`."""

from __future__ import annotations

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.values import Duration, File, Size

output_options = OptionGroup(
    "Output",
    {
        "output": declare(
            "--output",
            "-o",
            metavar="FILE",
            type=File(),
            help="The dump; - for stdout. Default: the model's name with .activations.h5.",
        ),
        "overwrite": declare(
            "--overwrite", is_flag=True, help="Replace a dump of that name, or a part of one."
        ),
        "resume": declare(
            "--resume",
            is_flag=True,
            help="Continue what an earlier run of the same command has written.",
        ),
        "stop_after": declare(
            "--stop-after",
            type=Duration(),
            metavar="TIME",
            help="Stop after 90s, 30m, 3h or 2d of running; --resume continues.",
        ),
        "max_bytes": declare(
            "--max-bytes",
            type=Size(),
            metavar="SIZE",
            help="Refuse a dump larger than, say, 200G. [default: the free space]",
        ),
        "shard": declare(
            "--shard",
            metavar="I/N",
            help="Run part I of N alone, from 1/N to N/N, into the directory of --output, to which "
            "all parts are written: `kprobe help shards`. auto, or auto/N: as the job array of "
            "SLURM, LSF, PBS or Kubernetes says.",
        ),
        "dtype": declare(
            "--dtype",
            type=click.Choice(["float16", "float32", "as-is"]),
            default="as-is",
            show_default=True,
            help="What floating-point tensors are stored as.",
        ),
    },
)
