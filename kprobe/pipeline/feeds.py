"""What is fed: the values of inner tensors, from sources or made from the tensors' own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.graph.replacement import Replacement, parse_replacement

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Feeds:
    """The feeds of a job.

    Attributes:
        sources: `ADDRESS=SRC` for those whose values are read, as the inputs' are.
        replaced: By address, those whose values are replaced as the model runs.
    """

    sources: list[str] = field(default_factory=list)
    replaced: dict[str, Replacement] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """All that is fed: those that have sources, then those that are replaced."""
        return [*(text.partition("=")[0] for text in self.sources), *self.replaced]


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
