"""What is asked for of a model: `kprobe.subgraph.selection.Selection`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.cli.options.group import OptionGroup, declare

if TYPE_CHECKING:
    import click


def complete_layers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the last address of a list from the model's file."""
    # An option that still lacks its value leaves the arguments before it unassigned.
    model = ctx.params.get("model") or next(iter(ctx.args), None)
    if model is None:
        return []
    from kprobe.pipeline.inspect import list_layer_addresses

    head, comma, last = incomplete.rpartition(",")
    return [
        head + comma + address
        for address in list_layer_addresses(model)
        if address.startswith(last)
    ]


selection_options = OptionGroup(
    "Layers",
    {
        "layers": declare(
            "--layers",
            "-l",
            multiple=True,
            metavar="A,B,…",
            shell_complete=complete_layers,
            help="Addresses of the layers; @FILE or - reads one a line. Repeatable.",
        ),
        "every": declare(
            "--all",
            is_flag=True,
            help="Every layer call. Input layers aren't called: name them to store them, too.",
        ),
        "feeds": declare(
            "--feed",
            multiple=True,
            metavar="ADDRESS=SRC",
            help="The values of an inner tensor, from anything --input takes, such as another "
            "dump: acts.h5:conv5_3. Nothing upstream of it is run, or needs input. Also zero, mean "
            "(over the batch) and noise:STD (added), made from the tensor's own value.",
        ),
        "ragged": declare(
            "--ragged",
            multiple=True,
            metavar="A,B,…",
            help="Addresses among --layers of which each sample has a tensor of its own shape, "
            "where the first samples don't show it. Samples are run one by one.",
        ),
        "gradients_of": declare(
            "--gradients-of",
            metavar="ADDRESS",
            help="Store the gradient of this tensor with regard to each of --layers, too, as "
            "ADDRESS:gradient; where --layers has such addresses, theirs alone.",
        ),
        "unit": declare(
            "--unit",
            metavar="N|I,J,…|max|sum",
            help="The value that gradients are taken of: a number, an index into a sample's "
            "tensor, the largest of each sample (max, the default), or their sum.",
        ),
        "reduce": declare(
            "--reduce",
            multiple=True,
            metavar="[ADDRESS=]R,…",
            help="Store what is left of a tensor in its place, as ADDRESS.R, a dataset each: gap, "
            "gmax, mean(height,width), last, positions(-1), flatten, pool(H,W), channels(0:16), "
            "topk(K), quantiles(0.5), histogram(BINS,LO,HI), project(D,SEED), norm; one after "
            "another as channels(0:16).gap. See `kprobe help reductions`. Repeatable.",
        ),
    },
)
