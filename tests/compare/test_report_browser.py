"""The report in a real browser: keyboard, width, print, accessibility.

Run by ``-m slow`` where playwright and a chromium are installed; without network.
"""

import shutil

import numpy as np
import pytest

from metriclearn.cli._search_page import render_search
from metriclearn.compare._sources._unlabeled import NewRows

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def report(compared, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    compared.to_html(path)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, report):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    faults = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.extend([request.url] * (request.url != report)))
    page.goto(report)
    yield page
    page.close()
    assert faults == []


def test_columns_sort_by_keyboard(page):
    header = page.locator(".scores thead tr:last-child th", has_text="Fit, CPU s")
    header.locator("button").focus()
    for order in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == order
    first = page.locator(".scores tbody tr").nth(0)
    assert first.locator("td[data-value]").count() > 0  # what failed stays last


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browser, report, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_nothing_is_cut_in_print(browser, report):
    """On paper the table is as wide as the page, and nothing scrolls."""
    page = browser.new_page(viewport={"width": 700, "height": 1000}, color_scheme="dark")
    page.goto(report)
    page.emulate_media(media="print")
    table, main = (page.locator(name).bounding_box() for name in (".scores", "main"))
    assert table["width"] <= main["width"] + 1
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 33, 38)"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_violation(browser, report, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # Only the measuring needs another script than the page's own.
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page.goto(report)
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_violation_in_the_page_of_a_search(browser, tmp_path, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    gallery = NewRows(np.arange(60.0).reshape(3, 20), np.arange(3), np.array(["a", "a", "b"]))
    found = np.array([[1.0, 2.0]]), np.array([[1, 2]])
    (tmp_path / "s.html").write_text(render_search(gallery, None, 0, *found))
    page = browser.new_page(viewport={"width": width, "height": 900}, bypass_csp=True)
    page.goto((tmp_path / "s.html").as_uri())
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def _drawn(page, number=0):
    return page.locator("svg.map").nth(number)


def test_a_row_is_pointed_at_on_every_map_and_opened_by_keyboard(page):
    first = _drawn(page)
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    n_maps = page.locator(".grid-maps").nth(0).locator("svg.map").count()
    assert page.locator(".grid-maps").nth(0).locator(".ring").count() == n_maps
    name = page.locator(".tip strong").text_content()
    assert name.startswith("Row ")
    assert page.locator(".tip dd").count() == 5  # the values of its features
    assert page.locator(".unseen").text_content() == name
    page.keyboard.press("Enter")
    near = page.locator(".near")
    assert near.is_visible()
    assert name in near.locator("h2").text_content()
    assert near.locator("table").count() == 2
    assert near.locator("tbody tr").count() == 2 * 6
    chosen = near.locator("select").nth(0).evaluate("select => select.value")
    other = near.locator("select").nth(0).locator("option:not(:checked)").first
    near.locator("select").nth(0).select_option(other.get_attribute("value"))
    assert page.locator(".near select").nth(0).evaluate("select => select.value") != chosen
    page.keyboard.press("Escape")
    assert near.is_hidden()
    assert first.evaluate("map => map === document.activeElement")


def test_a_click_opens_the_row_under_the_pointer(page):
    first = _drawn(page)
    first.scroll_into_view_if_needed()
    box = first.bounding_box()
    place = first.evaluate(
        "map => map.querySelector('path.dots').getAttribute('d').match(/M([\\d.-]+) ([\\d.-]+)/)"
        ".slice(1).map(Number)"
    )
    scale = box["width"] / 200
    at = box["x"] + place[0] * scale, box["y"] + place[1] * scale
    page.mouse.move(*at)
    assert page.locator(".tip").is_visible()
    page.mouse.click(*at)
    assert page.locator(".near").is_visible()
    page.locator(".near .close").click()
    assert page.locator(".near").is_hidden()


def test_axe_finds_no_violation_in_what_a_row_finds(browser, report):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page.goto(report)
    _drawn(page).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    page.close()


def test_without_scripts_everything_is_there_to_read(browser, report):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(report)
    assert page.locator("svg.map").count() > 0
    assert page.get_by_text("Where the two disagree").is_visible()
    assert page.locator(".scripted").first.is_hidden()
    page.close()
