"""How two sides are compared: `kprobe.pipeline.comparing.spec.DiffSpec`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.options.group import OptionGroup, declare
from kprobe.cli.options.per_input import Name
from kprobe.cli.options.values import File

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Tolerance(Name):
    """A tolerance, behind the address or pattern of the tensors that it is for."""

    expected = "a number from 0 on"

    def parse(self, text: str) -> float:
        """Read the number."""
        number = float(text)
        if not 0 <= number < math.inf:
            raise ValueError
        return number


def _by_address(
    _ctx: click.Context, _param: click.Parameter, given: Sequence[tuple[str, float]]
) -> dict[str, Any]:
    """Gather the tolerances, "" for what is said of all."""
    owners = [owner for owner, _ in given]
    for owner in owners:
        if owners.count(owner) > 1:
            raise click.BadParameter(f"{owner or 'a number for all tensors'} is given twice")
    return dict(given)


comparison_options = OptionGroup(
    "Comparison",
    {
        "against": declare(
            "--against",
            metavar="HOW",
            help="Compare A with itself computed otherwise: exact, eager, bfloat16, batch:N, "
            "training or weights:FILE.",
        ),
        "match": declare(
            "--match",
            multiple=True,
            metavar="OLD=NEW",
            help="What A calls OLD is NEW in B; patterns have as many * on both sides. Repeatable.",
        ),
        "local": declare(
            "--local/--no-local",
            default=None,
            help="Also compute each layer of B from what A has before it, which tells where an "
            "error is born. [default: where that can be done]",
        ),
        "rtol": declare(
            "--rtol",
            multiple=True,
            metavar="[ADDRESS=]X",
            type=_Tolerance("number"),
            callback=_by_address,
            help="How large the root mean square of a difference may be, relative to A's standard "
            "deviation. [default: float32 1e-5, float16 5e-3, bfloat16 3e-2]",
        ),
        "atol": declare(
            "--atol",
            multiple=True,
            metavar="[ADDRESS=]X",
            type=_Tolerance("number"),
            callback=_by_address,
            help="How large the largest difference may be, whatever the relative one is.",
        ),
        "cosine": declare(
            "--cosine", is_flag=True, help="Show the cosine, too. It is blind to a factor."
        ),
        "ulps": declare(
            "--ulps",
            is_flag=True,
            help="Show the largest difference in units in the last place, too. It is huge near 0.",
        ),
        "keep": declare(
            "--keep",
            metavar="DIR",
            type=File(),
            help="Keep dumps of the models, a.h5 and b.h5, in this directory.",
        ),
    },
)
