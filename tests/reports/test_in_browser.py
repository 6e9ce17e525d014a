"""The page works in a real browser: by mouse, by keyboard, for screen readers, on paper, offline.

These tests need Chromium, its driver and axe-core, which pip doesn't install: `.ci/try_page` does,
and runs `pytest -m browser`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import kprobe
from kprobe.reports.of_comparison import describe_comparison
from kprobe.reports.page import write_page

pytestmark = pytest.mark.browser

HOSTILE = [
    "<script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    '" onmouseover="document.title=\'run\'" autofocus onfocus="document.title=\'run\'" x="',
    "<!--<script>",
    "]]>",
    "&lt;b&gt;",
    "{{data}}",
    "__proto__",
    "toString",
    "line\u2028separator\u2029and\nmore\0",
    "\u202eright to left\u202c",
    "אבג דהו",
    "half \ud800 a character",
    "javascript:document.title='run'",
    "url(https://example.org/x)",
    "x" * 10_000,
]
# What a screen reader would call an element, and whether it is there for one.
CHECK = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.map((each) =>
    [each.id, each.help, each.nodes.slice(0, 3).map((node) => node.html + node.failureSummary)])),
  (error) => done(String(error)));
"""


class Page:
    """A page that is open in the browser."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, **features):
        """Open a page anew, with media features such as `prefers_color_scheme="dark"`."""
        told = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": told})
        self.size(1400, 1000)
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.as_uri())
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(ready))
        return self

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        (found,) = self.all(selector)
        return found

    def texts(self, selector):
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)",
            selector,
        )

    def focused(self):
        """The text of what has the focus."""
        return self.run("return document.activeElement.textContent || document.activeElement.id")

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def click(self, selector, text=None):
        """Click on the element, or on the one of these that has a text."""
        found = [each for each in self.all(selector) if text in (None, each.text)]
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found[0])
        found[0].click()

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def events(self, method):
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [event["params"] for event in events if event["method"] == method]

    def requests(self):
        return [told["request"]["url"] for told in self.events("Network.requestWillBeSent")]

    def check(self):
        """What axe-core finds wrong for those who can't see, or can't use a mouse."""
        self.run(AXE.read_text())
        found: list[list[str]] = self.driver.execute_async_script(CHECK)
        return found


AXE = Path(os.environ.get("KPROBE_NODE_MODULES", "node_modules")) / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests; what is missing fails."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    # Tests run as root, for whom Chromium has no sandbox.
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(120)
    yield Page(driver)
    driver.quit()


@pytest.fixture(scope="module")
def dump_page(write_dump, tmp_path_factory):
    """A nested model with NaN, dead channels and maps, over five samples."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(5, 8, 8, 12)), 0).astype("f4")
    maps[..., 3] = 0
    odd = rng.normal(size=(5, 6)).astype("f4")
    odd[2, 1] = np.nan
    arrays = {
        "stem": rng.random((5, 20, 20, 3), "f4"),
        "encoder@0/conv": maps,
        "encoder@0/dense": rng.normal(size=(5, 4)).astype("f4"),
        "encoder@1/conv": maps * 2,
        "encoder@1/dense": odd,
        "head": odd * 100,
        "head:kernel": rng.normal(size=(6, 2)).astype("f4"),
    }
    path = write_dump(
        folder / "net.h5",
        arrays,
        weights=["head:kernel"],
        upstream={"encoder@1/conv": [0], "head": [2, 4]},
        names=["a.png", "b.png", "ü c.png", "d.png", "e.png"],
    )
    np.save(folder / "photos.npy", rng.integers(0, 256, (5, 20, 40, 3), np.uint8))
    return kprobe.report(path, output=folder / "net.html", images=folder / "photos.npy")


@pytest.fixture(scope="module")
def diff_page(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "diff.html"
    path.write_text(write_page(describe_comparison(comparison)))
    return path


ROWS = "#table tbody tr > th button"
NUMBERS = "#table tbody tr > td:first-child"


def test_the_verdict_and_what_stands_out_are_read_first(browser, dump_page):
    page = browser.open(dump_page)
    assert page.one("h1").text == "net.h5"
    assert page.one("#verdict").text == "NaN begins at encoder@1/dense"
    assert page.texts("#findings li > span:nth-child(2)") == [
        "NaN begins at encoder@1/dense, with the sample ü c.png (row 2). 2 tensors have it.",
        "2 tensors have channels that are zero for every sample: encoder@0/conv (1 of 12), "
        "encoder@1/conv (1 of 12).",
    ]
    assert page.run("return document.title") == "net.h5 · kprobe report"


def test_nothing_leaves_the_page_and_nothing_is_complained_of(browser, dump_page):
    page = browser.open(dump_page)
    page.click(ROWS, "encoder@0/conv")
    page.click("#samples label:nth-of-type(2)")
    page.click("#unfold-all")
    requests = page.requests()
    assert requests[0] == dump_page.as_uri()
    assert [url[:22] for url in requests[1:] if not url.startswith("data:image/webp;base64")] == []
    assert page.complaints() == []


def test_the_table_sorts_by_every_column(browser, dump_page):
    page = browser.open(dump_page)
    assert page.texts(ROWS)[0] == "stem"
    titles = page.texts("thead button")
    assert titles[:3] == ["#", "layer", "class"]
    told = json.loads(page.run("return document.getElementById('data').textContent"))
    keys = {each["title"]: each["key"] for each in told["figures"]}
    for title in titles[3:]:
        values = {each["name"]: each["values"][keys[title]] for each in told["layers"]}
        for sign, said in ((-1, "descending"), (1, "ascending")):
            page.click("thead button", title)
            rows = page.texts(ROWS)
            shown = [values[name] for name in rows]
            there = [value for value in shown if value is not None]
            assert there == sorted(there, key=lambda value: sign * value), title
            assert shown[len(there) :] == [None] * (len(shown) - len(there))
            assert [each.get_attribute("aria-sort") for each in page.all("[aria-sort]")] == [said]
    page.click("thead button", "layer")
    assert page.texts(ROWS) == sorted(page.texts(ROWS))
    page.click("thead button", "#")
    assert page.texts(NUMBERS) == [str(n) for n in range(1, 8)]


def test_the_table_and_the_graph_are_filtered_together(browser, dump_page):
    page = browser.open(dump_page)
    page.one("#filter").send_keys("ENCODER conv")
    assert page.texts(ROWS) == ["encoder@0/conv", "encoder@1/conv"]
    assert page.one("#found").text == "2 of 7 layers"
    assert page.texts("#gallery figcaption .link") == ["encoder@0/conv", "encoder@1/conv"]
    assert page.texts(".box.dim .name") == ["stem", "dense", "dense", "head"]
    page.one("#filter").clear()
    page.one("#filter").send_keys("x")
    assert page.texts(ROWS) == []
    page.click("#findings button")
    assert page.texts(ROWS) == ["encoder@1/dense", "head"]
    assert Select(page.one("#flag")).first_selected_option.text == "with NaN"
    assert page.focused() == "Layers"
    Select(page.one("#flag")).select_by_visible_text("all layers")
    assert len(page.texts(ROWS)) == 7


def list_boxes(page):
    return [text.lstrip("▸▾") for text in page.texts(".box .name")]


def test_groups_fold_and_unfold(browser, dump_page):
    page = browser.open(dump_page)
    whole = ["stem", "encoder@0", "conv", "dense", "encoder@1", "conv", "dense", "head"]
    assert list_boxes(page) == whole
    page.click(".box.group")
    assert list_boxes(page) == ["stem", "encoder@0", *whole[4:]]
    assert page.all(".box.group")[0].get_attribute("aria-expanded") == "false"
    page.click("#fold-all")
    assert list_boxes(page) == ["stem", "encoder@0", "encoder@1", "head"]
    # A line from the stem to each of both, and from both to the head.
    assert len(page.all("#graph svg .line")) == 4
    page.click("#unfold-all")
    assert list_boxes(page) == whole
    boxes = page.run(
        "return [...document.querySelectorAll('.box')].map((e) => {"
        " const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"
    )
    for n, (left, top, right, bottom) in enumerate(boxes):
        for a, b, c, d in boxes[n + 1 :]:
            assert right <= a or c <= left or bottom <= b or d <= top


def test_the_graph_is_coloured_by_the_figure_that_is_chosen(browser, dump_page):
    page = browser.open(dump_page)
    Select(page.one("#figure")).select_by_visible_text("NaN")
    assert page.texts(".box.layer .value") == ["0", "0", "0", "0", "1", "1"]
    chips = page.run(
        "return [...document.querySelectorAll('.box.layer .chip')].map((e) => e.style.background)"
    )
    assert chips == ["rgb(68, 1, 84)"] * 4 + ["rgb(253, 231, 37)"] * 2
    assert page.one("#legend").text.split() == ["0", "1"]


def test_the_graph_goes_by_keyboard(browser, dump_page):
    page = browser.open(dump_page)
    assert len(page.all(".box[tabindex='0']")) == 1
    page.run("document.querySelector('.box').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert "encoder@0" in page.focused()
    assert page.all(".box.group")[0].get_attribute("aria-expanded") == "false"
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert page.focused().startswith("dense")
    page.press(Keys.ENTER)
    assert page.one("#layer-title").text == "encoder@0/dense"
    assert page.one(".box[aria-selected='true']").get_attribute("title") == "encoder@0/dense"
    page.press(Keys.ARROW_LEFT)
    assert "encoder@0" in page.focused()
    page.press(Keys.END)
    assert page.focused().startswith("head")
    page.press(Keys.HOME, Keys.SPACE)
    assert page.one("#layer-title").text == "stem"
    page.press(Keys.ESCAPE)
    assert not page.one("#layer").is_displayed()


def test_everything_is_reached_by_the_tab_key(browser, dump_page):
    page = browser.open(dump_page)
    page.press(Keys.TAB)
    assert page.focused() == "Skip to the table of layers"
    assert page.run("return document.activeElement.getBoundingClientRect().left") >= 0
    seen = set()
    for _ in range(80):
        page.press(Keys.TAB)
        seen.add(page.run("return document.activeElement.id || document.activeElement.className"))
    assert {"figure", "fold-all", "filter", "flag", "link"} <= seen
    assert (
        page.run(
            'return document.querySelectorAll(\'[tabindex]:not([tabindex="0"],'
            '[tabindex="-1"])\').length'
        )
        == 0
    )


def test_a_layer_is_looked_at_and_its_neighbours_are_a_click_away(browser, dump_page):
    page = browser.open(dump_page)
    page.click(ROWS, "encoder@1/conv")
    assert page.one("#layer-title").text == "encoder@1/conv"
    assert page.texts("#layer .flag") == ["with dead channels"]
    told = dict(zip(page.texts("#layer dt"), page.texts("#layer dd"), strict=True))
    assert (told["dead channels"], told["values"]) == ("1", "3,840")
    assert page.texts("#layer .neighbours .link") == ["stem", "encoder@1/dense"]
    page.click("#layer .neighbours .link")
    assert page.one("#layer-title").text == "stem"
    page.click("#fold-all")
    page.click(ROWS, "encoder@0/dense")
    assert page.texts(".box.chosen .name") == ["encoder@0"]
    page.click("#layer button", "Show in the graph")
    assert page.texts(".box.chosen .name") == ["dense"]
    page.click("#close")
    assert not page.one("#layer").is_displayed()


def list_pictures(page, selector):
    return page.run(
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.style.backgroundImage)",
        selector,
    )


def test_a_sample_is_picked_and_all_pictures_are_its(browser, dump_page):
    page = browser.open(dump_page)
    told = json.loads(page.run("return document.getElementById('data').textContent"))
    layers = [each["maps"] for each in told["layers"] if each["maps"]]
    assert page.texts("#samples .sample") == ["a.png", "b.png", "ü c.png", "d.png"]
    page.click(ROWS, "stem")
    for sample in (0, 2):
        page.click(f"#samples label:nth-of-type({sample + 1})")
        expected = [
            f'url("{maps["pictures"][sample]}")' for maps in layers for _ in maps["channels"]
        ]
        assert list_pictures(page, "#gallery .map") == expected
        assert list_pictures(page, "#layer .map") == expected[:3]
        assert page.one("#image img").get_attribute("src") == told["images"][sample]
        assert (
            page.one("#image img").get_attribute("alt") == f"the sample {told['samples'][sample]}"
        )
        assert page.one("#image img").size == {"width": 42, "height": 22}  # with its border
    page.press(Keys.ARROW_UP)
    assert page.one("#samples :checked").get_attribute("value") == "1"
    label = page.all("#gallery .maps")[0].get_attribute("aria-label")
    assert label.startswith("stem, channels ")
    assert label.endswith("with the sample b.png")
    # Each map is one channel's part of the picture, as it was drawn.
    sizes = page.run(
        "return [...document.querySelectorAll('#gallery figure:nth-child(2) .map')].map("
        "(e) => [e.style.backgroundSize, e.style.backgroundPosition])"
    )
    assert sizes[0] == ["800% 100%", "0% 0px"]
    assert sizes[-1] == ["800% 100%", "100% 0px"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(scheme, browser, dump_page, diff_page):
    page = browser.open(dump_page, prefers_color_scheme=scheme)
    assert page.check() == []
    page.click(ROWS, "encoder@1/conv")
    page.one("#filter").send_keys("e")
    assert page.check() == []
    assert browser.open(diff_page, prefers_color_scheme=scheme).check() == []


def test_axe_finds_nothing_wrong_on_a_narrow_page(browser, dump_page):
    page = browser.open(dump_page)
    page.size(380, 800)
    page.click(ROWS, "stem")
    assert page.check() == []
    width = "return document.documentElement.scrollWidth"
    assert page.run(width) <= 380


def test_axe_would_find_what_is_wrong(browser, dump_page):
    page = browser.open(dump_page)
    page.run("document.documentElement.removeAttribute('lang')")
    assert [each[0] for each in page.check()] == ["html-has-lang"]


def test_a_comparison_tells_both_sides_and_where_the_error_is_born(browser, diff_page):
    page = browser.open(diff_page)
    assert page.one("#verdict").text == "The error is born at second"
    assert page.texts(ROWS)[0] == "second"
    assert page.texts("#table .other") == ["A: zweite"]
    assert page.texts("tbody tr:first-child .flag")[:2] == [
        "where the error is born",
        "the first that parts ways",
    ]
    page.one("#filter").send_keys("zwei")
    assert page.texts(ROWS) == ["second"]
    page.click(ROWS)
    told = dict(zip(page.texts("#layer dt"), page.texts("#layer dd"), strict=True))
    assert (told["in A"], told["in B"], told["local error"]) == ("zweite", "second", "0.5")
    assert page.complaints() == []


def test_both_sides_stand_beside_each_other(browser, write_dump, tmp_path):
    rng = np.random.default_rng(1)
    maps = rng.random((2, 4, 4, 3), "f4")
    dumps = [
        write_dump(tmp_path / f"{side}.h5", {"a": maps * factor, "b": maps})
        for side, factor in (("one", 1), ("other", 2))
    ]
    path = kprobe.report(kprobe.diff(*dumps), output=tmp_path / "d.html", dumps=tuple(dumps))
    page = browser.open(path)
    told = json.loads(page.run("return document.getElementById('data').textContent"))
    drawn = told["layers"][0]["maps"]
    page.click("#samples label:nth-of-type(2)")
    for row, pictures in ((1, drawn["others"]), (2, drawn["pictures"])):
        place = f"#gallery figure:first-child .beside:nth-child({row}) .map"
        assert list_pictures(page, place) == [f'url("{pictures[1]}")'] * 3
    assert drawn["others"][1] != drawn["pictures"][1]
    labels = [each.get_attribute("aria-label") for each in page.all("#gallery .maps")[:2]]
    assert [label[:4] for label in labels] == ["a in", "a in"]
    assert labels[0].startswith("a in A, channels ")
    assert page.check() == []


@pytest.fixture(scope="module")
def hostile_page(make_layers, tmp_path_factory):
    tensor, comparison = make_layers
    layers = [
        tensor(
            f"{name}/{end}",
            a=name,
            layer_class=name,
            sample=name,
            place=name,
            dtype=name,
            local_reason=name,
            matched_by=name,
        )
        for name in HOSTILE
        for end in ("a", name)
    ]
    told = comparison(
        *layers, a=HOSTILE[1], b=HOSTILE[2], verdict=HOSTILE[1], notes=HOSTILE, unmatched_a=HOSTILE
    )
    path = tmp_path_factory.mktemp("pages") / "hostile.html"
    path.write_text(write_page(describe_comparison(told)))
    return path


def test_hostile_names_are_shown_and_do_nothing(browser, hostile_page):
    page = browser.open(hostile_page)
    elements = "return [document.scripts.length, document.images.length, document.title]"
    before = page.run(elements)
    assert before[:2] == [3, 0]
    assert "run" not in before[2].split("=")[-1][:3]
    rows = page.texts(ROWS)
    assert len(rows) == 2 * len(HOSTILE)
    assert rows[0] == f"{HOSTILE[0]}/a"
    assert rows[20] == "line\\u2028separator\\u2029and\\u000amore\\u0000/a"
    assert rows[22] == "\\u202eright to left\\u202c/a"
    assert rows[26] == "half \\ud800 a character/a"
    assert rows[32] == f"{'x' * 240}… (10,002 characters)"
    for number in range(len(rows)):
        page.run("document.querySelectorAll(arguments[0])[arguments[1]].click()", ROWS, number)
    page.click("#unfold-all")
    page.press(Keys.TAB, Keys.TAB, Keys.ENTER)
    assert page.run(elements) == before
    assert page.complaints() == []
    assert page.requests() == [hostile_page.as_uri()]
    assert page.run("return document.documentElement.scrollWidth") <= 1400
    assert page.check() == []


def test_the_policy_would_stop_what_got_onto_the_page(browser, dump_page):
    page = browser.open(dump_page)
    page.run(
        "const script = document.createElement('script');"
        "script.textContent = 'document.title = \"run\"'; document.body.append(script);"
        "const image = document.createElement('img'); image.src = 'http://127.0.0.1:9/x.png';"
        "document.body.append(image);"
        "const place = document.createElement('div');"
        'place.innerHTML = \'<b onclick="document.title = 1" style="color: red">x</b>\';'
        "document.body.append(place); place.firstChild.click();"
    )
    assert page.run("return document.title") == "net.h5 · kprobe report"
    complaints = " ".join(page.complaints())
    for rule in ("script-src", "img-src", "style-src"):
        assert rule in complaints
    stopped = [told.get("blockedReason") for told in page.events("Network.loadingFailed")]
    assert stopped == ["csp"]


@pytest.fixture(scope="module")
def large_page(make_layers, tmp_path_factory):
    tensor, comparison = make_layers
    names = [f"stage{n // 400}/block{n // 20 % 20}/layer_{n}" for n in range(2000)]
    tensors = [
        tensor(name, after=names[max(0, n - 1) : n], relative=n / 1e8)
        for n, name in enumerate(names)
    ]
    path = tmp_path_factory.mktemp("pages") / "large.html"
    path.write_text(write_page(describe_comparison(comparison(*tensors))))
    return path


def test_two_thousand_layers_stay_usable(browser, large_page):
    page = browser.open(large_page)
    assert page.one("#found").text == "2,000 layers"
    assert len(page.all(ROWS)) == 100
    assert len(page.all(".box")) < 60
    page.one("#filter").send_keys("layer_1999")
    assert page.texts(ROWS) == ["stage4/block19/layer_1999"]
    page.click(ROWS)
    page.click("#layer button", "Show in the graph")
    assert page.texts(".box.layer.chosen .name") == ["layer_1999"]
    page.one("#filter").clear()
    page.one("#filter").send_keys(" ")
    page.click("#more button", "Show all 2,000")
    assert len(page.texts(ROWS)) == 2000
    page.click("#unfold-all")
    assert len(page.all(".box.layer")) == 2000
    page.click("#fold-all")
    assert list_boxes(page) == [f"stage{n}" for n in range(5)]


def test_paper_has_all_layers_and_no_buttons(browser, large_page):
    page = browser.open(large_page)
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert len(page.texts(ROWS)) == 2000
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = [
        each for each in page.all("nav, .buttons, #filter, #layer, #more") if each.is_displayed()
    ]
    assert shown == []
    assert page.one("#verdict").is_displayed()
    background = "return getComputedStyle(document.body).backgroundColor"
    assert page.run(background) == "rgb(255, 255, 255)"
