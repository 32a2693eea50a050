"""In a real browser, summaries of all kinds fit on the page at two widths, in the light and the dark color scheme.

MODEL_GATE_PICTURES can name a directory for pictures of them; `make pictures` sets it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.browser import find_browser, started_browser
from tests.support.gate_summaries import summaries
from tests.support.logged_models import LoggedModels
from tests.support.summary_page import Label, SummaryPage, diagram_labels, summary_page, to_html

pytestmark = pytest.mark.xdist_group("browser")

# The width of a summary beside GitHub's list of jobs on a laptop, and that of a telephone.
WIDE, NARROW = 900, 420
SCHEMES = ["light", "dark"]
GATES = [
    "equal-check",
    "equal-compare",
    "different-weights",
    "only-packages-differ",
    "equivalent-passed",
    "equivalent-failed",
    "same-location",
    "no-such-version",
    "many-differences",
    "ignored-paths",
    "native-model",
    "missing-file",
    "stopped-early",
    "one-of-two-comparisons",
    "seal-verify-failed",
    "check-with-failed-seal",
    "windowed-large-file",
    "unmet-condition",
    "many-jobs",
]
# WCAG 2 requires 4.5. Mermaid's dark theme has 4.43 for the labels of lines.
MIN_CONTRAST = 4.4
# GitHub makes a diagram smaller if it does not fit.
MIN_LABEL_PIXELS = 12


@pytest.fixture(scope="module")
def markdowns(logged: LoggedModels, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return summaries(logged, tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SummaryPage]]:
    """A page in each color scheme, in one browser."""
    scratch = tmp_path_factory.mktemp("pages")
    with ExitStack() as stack:
        browser = stack.enter_context(started_browser())
        yield {
            scheme: stack.enter_context(summary_page(browser, scratch, is_dark=scheme == "dark")) for scheme in SCHEMES
        }


def unreadable(labels: list[Label]) -> list[Label]:
    return [
        label
        for label in labels
        if not label.is_complete or label.contrast < MIN_CONTRAST or label.size < MIN_LABEL_PIXELS
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("gate", GATES)
def test_summary_and_its_diagram_fit_on_a_wide_and_a_narrow_page(
    pages: dict[str, SummaryPage], markdowns: dict[str, str], gate: str, scheme: str
) -> None:
    page = pages[scheme]
    page.show(markdowns[gate])
    for width in (WIDE, NARROW):
        page.set_width(width)
        if directory := os.environ.get("MODEL_GATE_PICTURES"):
            page.save(Path(directory, f"{gate}-{scheme}-{width}.png"))
        assert page.scrolling_tables() == []
        with page.all_sections_open():
            assert page.faults() == []
            assert page.scrolling_tables() == []
            diagrams = page.diagrams()
        assert [diagram.error for diagram in diagrams if diagram.error] == []
        labels = [label for diagram in diagrams for label in diagram.labels]
        assert sorted(label.text for label in labels) == sorted(diagram_labels(markdowns[gate]))
        assert unreadable(labels) == []


def test_summary_of_each_gate_with_a_verdict_has_a_diagram(markdowns: dict[str, str]) -> None:
    assert list(markdowns) == GATES
    assert [gate for gate in GATES if not diagram_labels(markdowns[gate])] == ["no-such-version"]


def test_hostile_names_make_no_element_in_the_html_of_github(markdowns: dict[str, str]) -> None:
    def elements(gate: str) -> set[str]:
        return set(re.findall(r"<([a-z0-9]+)[ >/]", to_html(markdowns[gate])))

    assert elements("many-differences") == elements("different-weights")


LONG = "x" * 300


@pytest.mark.parametrize(
    "markdown, fault",
    [
        (f"| Path |\n| --- |\n| <code>{LONG}</code> |", f"wider than the page: {LONG}"),
        (f'<p style="white-space: nowrap">{LONG}</p>', f"wider than its p: {LONG}"),
        ("<p hidden>text</p>", "hidden: text"),
        ('<p style="opacity: 0">text</p>', "hidden: text"),
    ],
)
def test_text_that_does_not_fit_or_is_hidden_is_found(pages: dict[str, SummaryPage], markdown: str, fault: str) -> None:
    page = pages["light"]
    page.show(markdown)
    page.set_width(WIDE)
    assert fault in page.faults()


@pytest.mark.parametrize("style", ["color:#ddd", "color:transparent", "font-size:5px"])
def test_unreadable_label_of_a_diagram_is_found(pages: dict[str, SummaryPage], style: str) -> None:
    page = pages["light"]
    page.show(f'```mermaid\nflowchart LR\n  a["A label"]\n  style a {style}\n```')
    ((label,),) = [diagram.labels for diagram in page.diagrams()]
    assert label.text == "A label"
    assert unreadable([label]) == [label]


def test_diagram_with_a_syntax_error_is_found(pages: dict[str, SummaryPage]) -> None:
    page = pages["light"]
    page.show("```mermaid\nflowchart LR\n  a[\n```")
    assert [bool(diagram.error) for diagram in page.diagrams()] == [True]


def test_missing_browser_is_an_error_that_says_how_to_install_it(tmp_path: Path) -> None:
    missing = tmp_path / "chromium"
    for named, machine, remedy in (
        (str(missing), "Linux x86_64", "correct MODEL_GATE_BROWSER"),
        ("", "Linux x86_64", "install it with `make setup`"),
        ("", "Darwin arm64", "set MODEL_GATE_BROWSER to the path of an installed Chromium"),
    ):
        with pytest.raises(AssertionError, match=remedy):
            find_browser(named, machine, missing)
