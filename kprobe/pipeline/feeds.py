"""What is fed: the values of inner tensors, from sources or made from the tensors' own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.graph.replacement import Replacement, parse_replacement

if TYPE_CHECKING:
    from collections.abc import Iterable

    import tensorflow as tf

    from kprobe.graph.subgraph import Subgraph
    from kprobe.graph.trace import Trace


@dataclass(frozen=True)
class Feeds:
    """The feeds of a job.

    Attributes:
        sources: `ADDRESS=SRC` for those whose values are read, as the inputs' are.
        replaced: By address, those whose values are replaced as the model runs.
    """

    sources: list[str] = field(default_factory=list)
    replaced: dict[str, Replacement] = field(default_factory=dict)


def read_feeds(texts: Iterable[str]) -> Feeds:
    """Read `ADDRESS=SRC`, where SRC is a source, `zero`, `mean` or `noise:STD`.

    Raises:
        AddressError: A text isn't of that form, or an address is fed twice; all are reported.
    """
    feeds = Feeds()
    errors: list[KprobeError] = []
    seen: set[str] = set()
    for text in texts:
        address, _, source = text.partition("=")
        try:
            if not address or not source:
                raise AddressError(f"--feed expects ADDRESS=SRC, received {text}")
            if address in seen:
                raise AddressError(f"--feed {address} is given twice")
            seen.add(address)
            replacement = parse_replacement(source)
            if replacement is None:
                feeds.sources.append(text)
            else:
                feeds.replaced[address] = replacement
        except AddressError as error:
            errors.append(error)
    if errors:
        raise merge_errors(errors)
    return feeds


def find_fed(traced: Trace, addresses: Iterable[str]) -> dict[str, tf.Tensor]:
    """Look up the tensors that are fed.

    Raises:
        AddressError: An address names no tensor, several, or one that can't be fed; all are
            reported.
    """
    fed: dict[str, tf.Tensor] = {}
    errors: list[KprobeError] = []
    for address in addresses:
        try:
            fed[address] = _find_one(traced, address)
        except AddressError as error:
            errors.append(error)
    if errors:
        raise merge_errors(errors)
    return fed


def _find_one(traced: Trace, address: str) -> tf.Tensor:
    from kprobe.graph.fetch import check_feedable, find_fetches

    found = find_fetches(traced, [address])
    if len(found) != 1:
        names = ", ".join(fetch.address for fetch in found[:8])
        raise AddressError(f"--feed {address} stands for {len(found)} tensors: {names}")
    check_feedable(found)
    tensor = found[0].tensor
    if tensor.graph is not traced.graph:
        raise AddressError(
            f"--feed {address} lies in a loop, a branch or a function, where nothing can be fed"
        )
    first = tensor.shape[0] if tensor.shape.rank else 0
    if first is not None and first not in {t.shape[0] for t in traced.inputs.values()}:
        raise AddressError(f"--feed {address} has no row for each sample to be fed")
    return tensor


def check_used(subgraph: Subgraph, fed: Iterable[str]) -> None:
    """Check that all that is fed is needed.

    Raises:
        AddressError: Nothing that is asked for depends on one of the feeds.
    """
    idle = [name for name in fed if name not in (*subgraph.feeds, *subgraph.replaced)]
    if idle:
        raise AddressError(
            f"nothing that is asked for depends on the feeds {', '.join(idle)}",
            hint="feed what lies upstream of the layers, or leave the feed out",
        )
