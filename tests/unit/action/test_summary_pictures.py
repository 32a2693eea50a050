"""In a real browser, summaries of all kinds fit on the page at two widths, in the light and the dark colour scheme.

MODEL_GATE_PICTURES can name a directory for pictures of them; `make pictures` sets it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.browser import started_browser
from tests.support.gate_summaries import summaries
from tests.support.logged_models import LoggedModels
from tests.support.summary_page import SummaryPage, diagram_labels, summary_page

pytestmark = pytest.mark.xdist_group("browser")

# The width of a summary beside GitHub's list of jobs on a laptop, and that of a telephone.
WIDE, NARROW = 900, 420
SCHEMES = ("light", "dark")
GATES = (
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
)
# The contrast that WCAG 2 requires of text.
MIN_CONTRAST = 4.5
MIN_LABEL_PIXELS = {WIDE: 9.0, NARROW: 4.0}


@pytest.fixture(scope="module")
def markdowns(logged: LoggedModels, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return summaries(logged, tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SummaryPage]]:
    """A page in each colour scheme, in one browser."""
    scratch = tmp_path_factory.mktemp("pages")
    with ExitStack() as stack:
        browser = stack.enter_context(started_browser())
        yield {
            scheme: stack.enter_context(summary_page(browser, scratch, is_dark=scheme == "dark")) for scheme in SCHEMES
        }


@pytest.fixture
def page(pages: dict[str, SummaryPage], markdowns: dict[str, str], gate: str, scheme: str, width: int) -> SummaryPage:
    page = pages[scheme]
    page.show(markdowns[gate])
    if directory := os.environ.get("MODEL_GATE_PICTURES"):
        page.set_width(width)
        page.save(Path(directory, f"{gate}-{scheme}-{width}.png"))
    page.open_all(width)
    return page


@pytest.mark.parametrize("width", (WIDE, NARROW))
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("gate", GATES)
def test_summary_fits_on_the_page(page: SummaryPage, markdowns: dict[str, str], gate: str, width: int) -> None:
    assert page.faults() == []
    if width == WIDE:
        assert page.scrolling_tables() == []
    diagrams = page.diagrams()
    assert [diagram.error for diagram in diagrams if diagram.error] == []
    labels = [label for diagram in diagrams for label in diagram.labels]
    assert sorted(label.text for label in labels) == sorted(diagram_labels(markdowns[gate]))
    assert [label for label in labels if not label.is_complete] == []
    assert [label for label in labels if label.contrast < MIN_CONTRAST] == []
    assert [label for label in labels if label.size < MIN_LABEL_PIXELS[width]] == []
