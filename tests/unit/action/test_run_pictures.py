"""In a real browser, the summary and the page of a run of 50 gates fit at two widths, in both colour schemes.

MODEL_GATE_PICTURES can name a directory for pictures of them; `make pictures` sets it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from model_gate.access.redaction import Redactor
from model_gate.action.run_summary import run_summary
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.reporting.page import run_page
from model_gate.reporting.rows import totals_of
from tests.support.browser import started_browser
from tests.support.many_gates import rows_of_many_gates
from tests.support.rows import SYSTEM, again
from tests.support.summary_page import summary_page

pytestmark = pytest.mark.xdist_group("browser")

WIDTHS = (900, 420)
SCHEMES = ["light", "dark"]
MIN_CONTRAST = 4.5
# For each text: its colour and that of the nearest background, as [text, [r, g, b], [r, g, b]].
COLOURS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const back = (element) => {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? (element.parentElement ? back(element.parentElement) : [255, 255, 255]) : colour;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() && element.checkVisibility() && element.tagName !== "SCRIPT") {
      found.push([element.textContent.slice(0, 40), numbers(getComputedStyle(element).color), back(element)]);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[GateRow]:
    return rows_of_many_gates(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def totals(rows: list[GateRow]) -> RunTotals:
    return totals_of(rows, [LeftOut(f"model-{number}", "not changed since origin/main") for number in range(12)])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_file(rows: list[GateRow], totals: RunTotals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "run.html"
    pieces = run_page(rows, totals, "model-gate-report.json", Redactor(), SYSTEM)
    file.write_text("".join(pieces), "utf-8")
    return file


def picture(name: str) -> Path | None:
    directory = os.environ.get("MODEL_GATE_PICTURES")
    return Path(directory, f"{name}.png") if directory else None


def opened(browser: Browser, file: Path, scheme: str = "light", **options: bool) -> Page:
    """Open the page, and assert that it loads nothing else and breaks no rule of its own."""
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light", **options)  # type: ignore[arg-type]
    requested: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(file.as_uri())
    assert requested == [file.as_uri()]
    assert messages == []
    return page


def shown_names(page: Page) -> list[str]:
    names = page.locator("tbody tr:visible .gate")
    return names.all_inner_texts()


def contrast(left: list[float], right: list[float]) -> float:
    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour[:3]]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(left), luminance(right)))
    return (light + 0.05) / (dark + 0.05)


# The colours are those of GitHub, so the second scheme is only for pictures.
@pytest.mark.parametrize("scheme", SCHEMES if "MODEL_GATE_PICTURES" in os.environ else SCHEMES[:1])
def test_summary_of_50_gates_fits_on_a_wide_and_a_narrow_page(
    browser: Browser, rows: list[GateRow], totals: RunTotals, tmp_path: Path, scheme: str
) -> None:
    markdown = run_summary(again(rows), totals, "model-gate-report.json", Redactor())
    with summary_page(browser, tmp_path, is_dark=scheme == "dark") as page:
        page.show(markdown)
        for width in WIDTHS:
            page.set_width(width)
            if file := picture(f"run-summary-{scheme}-{width}"):
                page.save(file)
            assert page.scrolling_tables() == []
            with page.all_sections_open():
                assert page.faults() == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_of_50_gates_fits_and_is_readable(browser: Browser, page_file: Path, scheme: str) -> None:
    page = opened(browser, page_file, scheme)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for is_open in (False, True):
            page.evaluate("isOpen => document.querySelectorAll('details').forEach(e => { e.open = isOpen })", is_open)
            if file := picture(f"run-page-{scheme}-{width}{'-open' if is_open else ''}"):
                page.screenshot(path=file, full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate(COLOURS)
    assert len(colours) > 300
    assert [found for found in colours if contrast(*found[1:]) < MIN_CONTRAST] == []
    page.close()


def test_page_is_complete_without_its_script(browser: Browser, page_file: Path, rows: list[GateRow]) -> None:
    page = opened(browser, page_file, java_script_enabled=False)
    assert len(shown_names(page)) == len(rows) == 50
    assert not page.locator("#search").is_visible()
    page.close()


def test_search_and_boxes_filter_the_gates(browser: Browser, page_file: Path) -> None:
    page = opened(browser, page_file)
    status = page.get_by_role("status")
    assert status.inner_text() == "50 of 50 gates shown"
    page.get_by_label("Search").fill("PACKAGES churn")
    assert shown_names(page) == ["churn"]
    assert status.inner_text() == "1 of 50 gates shown"
    page.get_by_label("Search").fill("no such text")
    assert shown_names(page) == []
    page.get_by_label("Search").fill("")
    for result in ("error", "equal", "equivalent"):
        page.get_by_label(result, exact=True).uncheck()
    assert shown_names(page) == ["wine", "churn", "spam", "rewritten", "large-model-with-many-files"]
    page.close()


def test_columns_sort_the_gates(browser: Browser, page_file: Path) -> None:
    page = opened(browser, page_file)
    names = shown_names(page)
    assert names[0] == "Fraud"
    header = page.get_by_role("columnheader", name="Gate")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    ascending = shown_names(page)
    models = [f"all/prod.ml.model_{number}" for number in range(30)]
    assert [name for name in ascending if name in models] == models
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert shown_names(page) == ascending[::-1]
    page.get_by_role("columnheader", name="Result").get_by_role("button").click()
    assert header.get_attribute("aria-sort") is None
    page.close()


def test_every_control_has_a_name(browser: Browser, page_file: Path) -> None:
    page = opened(browser, page_file)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, button, summary')]"
        ".filter(e => !(e.labels?.length ? e.labels[0] : e).textContent.trim()).length"
    )
    assert unnamed == 0
    assert page.evaluate("[document.documentElement.lang, document.querySelectorAll('h1').length]") == ["en", 1]
    page.close()
