"""The patterns of layers' paths in a config, which Keras takes for regular expressions.

`DTypePolicyMap` of Keras 3 is the one place where a text of the file becomes a regular expression:
each name of its map is matched against the path of each layer inside. Neither other classes of
Keras nor tf_keras have any: `TextVectorization` knows its ways to split and standardize by name.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

# A path that is written out, or one with a few wildcards. Python takes the path's length to the
# power of the number of wildcards: no group is repeated, and few characters are.
_SET = r"(?:\.|\\[dws]|\[\^?[\w\-/ .]+\])"
_PLAIN = re.compile(rf"(?:[\w\-/ :@#~,;=%&<>!'\"]|\\[^\w]|{_SET}|[|()?])*")
_WILD = re.compile(rf"{_SET}[*+]")
MAX_WILD = 2
MAX_PATTERN = 300
# Of all maps of a model together. Those that quantize a large model have a few hundred.
MAX_PATTERNS = 4_096
# Steps of matching for one look at all of them. Layers look a few times.
_MAX_STEPS = 20_000_000
# What layers that others make themselves have for their names.
_OWN_NAMES = 100


@dataclass
class Patterns:
    """The patterns of a config, counted.

    Attributes:
        counts: How many there were, by the number of their wildcards.
    """

    counts: Counter[int] = field(default_factory=Counter)

    def find_faults(self, value: dict[str, Any], owner: str) -> Iterator[Fault]:
        """Find what is wrong with the patterns that an object of the config has.

        Args:
            value: Any dict of the config.
            owner: The layer that it belongs to.
        """
        policies = value.get("policy_map")
        if not isinstance(policies, dict):
            return
        for pattern in policies:
            wild = count_wild(pattern)
            if wild is None:
                text = "expected paths of layers and a few `.*` in a map of dtype policies"
                yield Fault("config-pattern", f"{text}, received {show(pattern)}", owner)
                return
            self.counts[wild] += 1

    def judge_all(self, longest: int) -> Iterator[Fault]:
        """Find whether all of them together take too long.

        Args:
            longest: The length of the longest path of a layer.
        """
        count = self.counts.total()
        if count > MAX_PATTERNS:
            text = f"expected at most {MAX_PATTERNS:,} names in maps of dtype policies"
            yield Fault("config-pattern", f"{text}, received {count:,}")
        length = longest + _OWN_NAMES
        if sum(number * length**wild for wild, number in self.counts.items()) > _MAX_STEPS:
            text = f"has paths of layers of {longest:,} characters to be matched with"
            yield Fault("config-pattern", f"{text} {count:,} patterns, which would take long")


def count_wild(pattern: str) -> int | None:
    """Count what repeats in a regular expression; None for one that may take long to match."""
    if len(pattern) > MAX_PATTERN:
        return None
    rest, wild = _WILD.subn("", pattern)
    # What is left repeats nothing; characters may be missing.
    options = rest.count("?") - rest.count("(?:")
    plain = _PLAIN.fullmatch(rest) and "(?" not in rest.replace("(?:", "")
    return wild if plain and wild <= MAX_WILD and options <= MAX_WILD else None
