"""The page: one file that needs no other, and in which no text is ever code."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.pictures.colour import list_colours
from kprobe.version import __version__

if TYPE_CHECKING:
    from kprobe.pictures.colour import Palette
    from kprobe.reports.contents import Contents

# What the page runs, in this order: the library as it was published, and our own parts as one.
_LIBRARY = "dagre.min.js"
_PARTS = ("page.js", "layout.js", "graph.js", "table.js", "layer.js", "start.js")
_COLOURS = 33
_PALETTES: tuple[Palette, ...] = ("viridis", "red-blue")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$\n?", re.MULTILINE)
# How a page is told from others that mustn't be replaced.
MARK = '<meta name="generator" content="kprobe report'


def write_page(contents: Contents) -> str:
    """Write the page of a report.

    All that is known stands there as JSON, in which `<` is an escape, and is put on the page as
    text. The policy of the page lets run only what has the hash of our own scripts, and nothing be
    fetched.

    Args:
        contents: What it says.
    """
    assets = files("kprobe.reports") / "assets"
    read = {name: (assets / name).read_text("utf-8") for name in (_LIBRARY, *_PARTS)}
    library = _SOURCE_MAP.sub("", read[_LIBRARY])
    own = '"use strict";\n(() => {\n' + "".join(read[name] for name in _PARTS) + "})();\n"
    style = (assets / "page.css").read_text("utf-8")
    policy = {
        "default-src": "'none'",
        "script-src": f"{_hash(library)} {_hash(own)}",
        "style-src": _hash(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    blanks = {
        "policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "mark": f'{MARK} {__version__}">',
        "title": html.escape(_clean(contents.title)),
        "style": style,
        "data": write_json(_list_all(contents)),
        "library": library,
        "script": own,
    }
    page = (assets / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: blanks[found[1]], page)


def write_json(value: Any) -> str:
    """Write JSON that can stand in a script element: no character of it ends that, or begins one.

    Nothing is left in it but ASCII, and `<`, `>` and `&` are escapes.

    Args:
        value: Plain values, and records of them.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=vars)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _list_all(contents: Contents) -> dict[str, Any]:
    """Give all that the page needs, with short names where there are many."""
    places = np.linspace(0, 255, _COLOURS).astype(int)
    colours = {name: list_colours(name)[places] for name in _PALETTES}
    return {
        **vars(contents),
        "version": __version__,
        "palettes": {
            name: [f"#{bytes(colour).hex()}" for colour in each] for name, each in colours.items()
        },
    }


def _hash(text: str) -> str:
    """Give what a policy calls a script or a style with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _clean(text: str) -> str:
    """Give a text without what HTML doesn't have: control characters, and half a character."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text)
