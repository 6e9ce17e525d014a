"""The page as Python's own parser reads it; `test_in_browser.py` has a real browser do so."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser

import pytest

from kprobe.reports.of_comparison import describe_comparison
from kprobe.reports.page import write_json, write_page

HOSTILE = [
    "<script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    '" onmouseover="document.title=\'run\'" x="',
    "'; document.title='run'; '",
    "<!--<script>",
    "]]>",
    "&lt;script&gt;&amp;",
    "{{data}}{{script}}",
    "__proto__",
    "constructor",
    "line\u2028separator\u2029and\nmore\0",
    "\u202eright to left\u202c",
    "אבג דהו",
    "half \ud800 a character",
    "javascript:alert(1)",
    "x" * 10_000,
]


class Parser(HTMLParser):
    """Notes elements, and the text of scripts and styles."""

    def __init__(self):
        super().__init__()
        self.elements = []

        self._open = False

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        self._open = True

    def handle_endtag(self, _tag):
        self._open = False

    def handle_data(self, data):
        if self._open:
            self.elements[-1][2].append(data)


def parse(page):
    parser = Parser()
    parser.feed(page)
    return parser.elements


@pytest.fixture(scope="module")
def page(make_layers):
    tensor, comparison = make_layers
    told = comparison(
        *(tensor(name, layer_class=name, sample=name, place=name) for name in HOSTILE),
        a=HOSTILE[0],
        b=HOSTILE[1],
        verdict=HOSTILE[1],
        notes=HOSTILE,
        unmatched_a=HOSTILE,
    )
    return write_page(describe_comparison(told))


def test_nothing_may_be_fetched_and_only_our_own_scripts_may_run(page):
    elements = parse(page)
    (policy,) = [a["content"] for tag, a, _ in elements if a.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    scripts = ["".join(text) for tag, a, text in elements if tag == "script" and not a]
    styles = ["".join(text) for tag, _, text in elements if tag == "style"]

    def sha(text):
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{sha(text)}'" for text in scripts),
        "style-src": f"'sha256-{sha(styles[0])}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert (len(scripts), len(styles)) == (2, 1)
    links = [a[n] for _, a, _ in elements for n in ("src", "href", "action", "data") if n in a]
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    assert "sourceMappingURL" not in page
    assert not [a for _, a, _ in elements if {n for n in a if n.startswith("on")} or "style" in a]


def test_hostile_names_are_data_and_nothing_else(page, make_layers):
    elements = parse(page)
    (data,) = [text for tag, a, text in elements if a.get("id") == "data"]
    told = json.loads("".join(data))
    assert [layer["name"] for layer in told["layers"]] == HOSTILE
    assert [layer["class_name"] for layer in told["layers"]] == HOSTILE
    assert len([tag for tag, _, _ in elements if tag == "script"]) == 3
    assert not [tag for tag, _, _ in elements if tag == "img"]
    (title,) = ["".join(text) for tag, _, text in elements if tag == "title"]
    assert title.startswith("script> and script>")  # the last part of a path


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_ends_no_script(text):
    written = write_json({text: [text]})
    assert not set(written) & set("<>&")
    assert written.isascii()
    assert json.loads(written) == {text: [text]}


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")})
