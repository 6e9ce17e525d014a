"""What is said for each input of a model: `VALUE` for all, `INPUT=VALUE` for one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from kprobe.cli.options.values import read_size

if TYPE_CHECKING:
    from collections.abc import Sequence


class Name(click.ParamType[tuple[str, Any]]):
    """A name, behind that of an input for a model with several: the input's name and the value."""

    expected = "a name"

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Read the text; without an input the name is empty."""
        owner, _, text = value.rpartition("=")
        try:
            return owner, self.parse(text)
        except (ValueError, ZeroDivisionError):
            self.fail(f"expected {self.expected}, received {text!r}", param, ctx)

    def parse(self, text: str) -> Any:
        """Read the value alone; a ValueError refuses it."""
        return text


class Factor(Name):
    """A number or a fraction."""

    expected = "a number or a fraction such as 1/255"

    def parse(self, text: str) -> float:
        """Read the number."""
        numerator, _, denominator = text.partition("/")
        return _read_number(numerator) / _read_number(denominator or "1")


class Numbers(Name):
    """A number, or one for each channel."""

    expected = "a number, or one for each channel with commas"

    def parse(self, text: str) -> tuple[float, ...]:
        """Read the numbers."""
        return tuple(_read_number(part) for part in text.split(","))


class Divisors(Numbers):
    """Numbers to divide by."""

    expected = "a number other than 0, or one for each channel with commas"

    def parse(self, text: str) -> tuple[float, ...]:
        """Read the numbers."""
        values = super().parse(text)
        if 0 in values:
            raise ValueError
        return values


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


class ImageSize(Name):
    """A height and a width in pixels, or "model" for the model's own."""

    expected = "HEIGHTxWIDTH in pixels, or model"

    def parse(self, text: str) -> Any:
        """Read the size."""
        if text == "model":
            return text
        height, _, width = text.partition("x")
        size = int(height), int(width)
        if min(size) < 1:
            raise ValueError
        return size


class Pixels(Name):
    """A number of pixels."""

    expected = "a number of 1 or more, such as 1000000 or 100M"

    def parse(self, text: str) -> int:
        """Read the number."""
        if (number := read_size(text) or 0) < 1:
            raise ValueError
        return number


class Sizes(Name):
    """The sizes of an array."""

    expected = "sizes of 1 or more with commas, the number of samples first"

    def parse(self, text: str) -> tuple[int, ...]:
        """Read the sizes."""
        sizes = tuple(int(part) for part in text.split(","))
        if min(sizes) < 1:
            raise ValueError
        return sizes


class OneOf(Name):
    """One of several values that are known."""

    def __init__(self, name: str, known: Sequence[Any]) -> None:
        super().__init__(name)
        self._known = {str(value): value for value in known}
        self.expected = ", ".join(self._known)

    def parse(self, text: str) -> Any:
        """Find the value."""
        if text not in self._known:
            raise ValueError
        return self._known[text]
