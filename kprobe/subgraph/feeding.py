"""Which tensors of a trace can be fed, and whether what is fed is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import AddressError, Hint, KprobeError, Setting, merge_errors
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
    if fetch.own:
        hint = f"feed {fetch.address.removesuffix(':own')}"
        raise AddressError(f"{fetch.address} is what is computed, and can't be fed", hint=hint)
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


def choose_fetches(
    trace: Trace, fetches: Sequence[Fetch], feeds: Sequence[Fetch]
) -> Sequence[Fetch]:
    """Leave out what a pattern named as computed where it is fed, and isn't fed.

    Args:
        trace: The trace.
        fetches: The tensors that are asked for.
        feeds: Those that are fed or replaced.

    Raises:
        AddressError: Such a tensor was asked for by its name, or none that a pattern named is fed;
            or it is an input of the model, which nothing computes.
    """
    fed = {id(feed.tensor) for feed in feeds}
    inputs = {id(tensor) for tensor in trace.inputs.values()}
    missing = [fetch for fetch in fetches if fetch.own and id(fetch.tensor) not in fed - inputs]
    named = [fetch for fetch in missing if not fetch.by_pattern]
    if taken := [fetch.address for fetch in named if id(fetch.tensor) in inputs]:
        raise AddressError(f"{list_names(taken, 8)}: an input is what it is given, not computed")
    kept = [fetch for fetch in fetches if fetch not in missing]
    if named or (missing and not kept):
        computed = [fetch for fetch in named or missing if id(fetch.tensor) not in inputs]
        addresses = [fetch.address.removesuffix(":own") for fetch in computed or missing]
        raise AddressError(
            f"{list_names([f'{address}:own' for address in addresses], 8)}: `:own` names what is "
            "computed in the place of what is fed, and nothing is fed there",
            hint=Hint(f"write {list_names(addresses, 8)}, or feed it with ", Setting("feeds")),
        )
    return kept


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
