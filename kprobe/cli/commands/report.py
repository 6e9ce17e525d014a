"""`kprobe report`: what is known of a dump, of statistics or of a comparison, as a page."""

from __future__ import annotations

import click

from kprobe.cli.command_class import Command
from kprobe.cli.options.progress import progress_option, quiet_option
from kprobe.cli.options.values import File
from kprobe.cli.options.verbosity import verbose_option
from kprobe.cli.rendering.formatting import format_bytes
from kprobe.cli.rendering.printing import say
from kprobe.cli.rendering.progress import showing_progress


@click.command(cls=Command, epilog="For example: kprobe report acts.h5 --sample 3 -o acts.html")
@click.argument("source", type=File(), metavar="DUMP|STATS|DIFF")
@click.option(
    "--output",
    "-o",
    type=File(),
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The page. An earlier report is replaced, and nothing else.",
)
@click.option(
    "--sample",
    "samples",
    multiple=True,
    metavar="ROW|NAME",
    help="A sample to show feature maps of. Repeatable, up to four. [default: the first four]",
)
@click.option(
    "--dumps",
    nargs=2,
    type=File(),
    metavar="A B",
    help="Of a DIFF, the dumps of both sides, such as `kprobe diff --keep` leaves: to show their "
    "feature maps beside each other.",
)
@click.option(
    "--images",
    type=File(),
    metavar="SRC",
    help="Show the images that the samples were made from, too: a folder, an image, .npy, or "
    "FILE.npz:KEY.",
)
@progress_option
@quiet_option("Say nothing but errors.")
@verbose_option
def report(
    source: str,
    output: str,
    samples: tuple[str, ...],
    dumps: tuple[str, str] | None,
    images: str | None,
    progress: str,
    quiet: bool,
    **_verbose: bool,
) -> None:
    """Make one page for a browser: what stands out, the network, all layers, feature maps.

    Of a DUMP; of STATS, as `kprobe stats -o` keeps them; or of a DIFF, as `kprobe diff --json`
    prints it. The page is one file that works offline, and can be sent to others.

    `kprobe help report` tells what is on it.
    """
    from kprobe.reports.make import make_report

    with showing_progress("none" if quiet else progress) as show:
        made = make_report(
            source, output, samples=samples, dumps=dumps, images=images, progress=show
        )
    if not quiet:
        say(f"{output}: {made.verdict} ({format_bytes(made.bytes)})")
