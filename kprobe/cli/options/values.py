"""What the values of options are: files, times and sizes."""

from __future__ import annotations

import re
from typing import Any

import click
from click.shell_completion import CompletionItem

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class File(click.ParamType[str]):
    """The name of a file; the shell completes it as one."""

    name = "file"

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which knows files better."""
        return [CompletionItem(incomplete, type="file")]


class Duration(click.ParamType[float]):
    """A time such as 90s, 30m, 1.5h or 2d, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text; a number without a unit is one of seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value.strip())
        seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
        if not seconds:
            self.fail(f"expected a time such as 90s, 30m, 3h or 2d, received {value!r}", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """A number of bytes such as 500M, 200G, 1.5T or, in powers of two, 200GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; a number without a unit is one of bytes."""
        if isinstance(value, int):
            return value
        text = value.strip()
        size = read_size(text[:-1] if text.endswith(("B", "b")) else text)
        if size is None:
            self.fail(f"expected a size such as 500M, 200G or 1.5T, received {value!r}", param, ctx)
        return size


def read_size(text: str) -> int | None:
    """Read a number with k, M, G, T or P behind it, or Mi and so on; None for another text."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)([kMGTP]?)(i?)", text, re.IGNORECASE)
    if not match or (match[3] and not match[2]):
        return None
    power = " kMGTP".lower().index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
