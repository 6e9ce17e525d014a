"""Which tensors of a trace can be fed, and whether what is fed is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.naming import list_names
from kprobe.trace.fetch import Fetch, find_fetches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kprobe.trace.trace import Trace


def find_feeds(trace: Trace, addresses: Iterable[str], *, several: bool = False) -> list[Fetch]:
    """Look up the tensors that are fed, or replaced.

    Args:
        trace: The trace.
        addresses: The addresses.
        several: Whether one may stand for several tensors.

    Returns:
        The tensors, in the order of the addresses.

    Raises:
        AddressError: An address names no tensor, several, or one that can't be fed; or two of
            them name the same. All faults are reported.
    """
    found: list[Fetch] = []
    errors: list[KprobeError] = []
    for address in addresses:
        try:
            fetches = find_fetches(trace, [address])
            if len(fetches) != 1 and not several:
                names = list_names([fetch.address for fetch in fetches], 8)
                raise AddressError(f"the feed {address} stands for {len(fetches)} tensors: {names}")
            for fetch in fetches:
                _check_feedable(trace, fetch)
            found += fetches
        except AddressError as error:
            errors.append(error)
    seen: dict[int, str] = {}
    for fetch in found:
        other = seen.setdefault(id(fetch.tensor), fetch.address)
        if other != fetch.address:
            errors.append(AddressError(f"{other} and {fetch.address} are one tensor, fed twice"))
    if errors:
        raise merge_errors(errors)
    return found


def _check_feedable(trace: Trace, fetch: Fetch) -> None:
    if fetch.is_weight:
        raise AddressError(f"weights can't be fed: {fetch.address}")
    if fetch.tensor.graph is not trace.graph:
        raise AddressError(
            f"{fetch.address} lies in a loop, a branch or a function, where nothing can be fed"
        )
    first = fetch.tensor.shape[0] if fetch.tensor.shape.rank else 0
    sizes = {tensor.shape[0] for tensor in trace.inputs.values()}
    # A model of a session may be made for one batch size without saying so.
    fixed = trace.origin is not None and first and sizes == {None}
    if first is not None and first not in sizes and not fixed:
        raise AddressError(f"{fetch.address} has no row for each sample to be fed")


def check_used(used: Collection[str], feeds: Sequence[Fetch]) -> None:
    """Check that all that is fed is needed.

    Args:
        used: The names of the feeds and replaced tensors that what is asked for depends on.
        feeds: The tensors that are fed or replaced.

    Raises:
        AddressError: Nothing that is asked for depends on one of the feeds.
    """
    idle = [feed.address for feed in feeds if feed.name not in used]
    if idle:
        raise AddressError(
            f"nothing that is asked for depends on {', '.join(idle)}",
            hint="feed or replace what lies upstream of the layers, or leave it out",
        )
