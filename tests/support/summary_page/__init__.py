"""Shows the summary of a step in a browser as GitHub does, and finds faults of its layout.

GitHub's own Markdown library makes the HTML, `style.css` has GitHub's rules, and Mermaid's own library draws diagrams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cmarkgfm
from cmarkgfm.cmark import Options
from playwright.sync_api import Browser, Page

from tests.support.browser import PACKAGES

_HERE = Path(__file__).parent
_STYLES = (
    *(PACKAGES / "@fontsource" / "noto-sans" / f"{style}.css" for style in ("400", "400-italic", "600", "500")),
    *(PACKAGES / "@fontsource" / "cousine" / f"{weight}.css" for weight in ("400", "700")),
    # The file with all characters: of the files with some characters each, the browser draws only one.
    PACKAGES / "@fontsource" / "noto-color-emoji" / "emoji-400.css",
    _HERE / "style.css",
)
_SCRIPTS = (PACKAGES / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js", _HERE / "page.js")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True)
class Label:
    """A label of a diagram on the page.

    Attributes:
        text: Its text.
        size: The font size on the page in pixels.
        contrast: The contrast ratio of WCAG 2 between the text and what lies behind it, between 1 and 21.
        is_complete: Whether the text lies in its own box and in the diagram.
    """

    text: str
    size: float
    contrast: float
    is_complete: bool


@dataclass(frozen=True)
class Diagram:
    """A diagram on the page.

    Attributes:
        error: The error of Mermaid, "" if it drew the diagram.
        labels: The labels.
    """

    error: str
    labels: tuple[Label, ...]


class SummaryPage:
    """A page of the browser that shows one summary after the other, in one color scheme."""

    def __init__(self, page: Page, *, is_dark: bool) -> None:
        self._page = page
        self._is_dark = is_dark

    def show(self, markdown: str) -> None:
        """Show a summary, with all of its sections closed as on GitHub."""
        self._page.evaluate("([html, isDark]) => show(html, isDark)", [to_html(markdown), self._is_dark])

    def set_width(self, width: int) -> None:
        """Set the width of the page in pixels."""
        self._page.set_viewport_size({"width": width, "height": 600})

    @contextmanager
    def all_sections_open(self) -> Iterator[None]:
        """Open all sections, and close them with the context."""
        self._page.evaluate("setOpen(true)")
        yield
        self._page.evaluate("setOpen(false)")

    def faults(self) -> list[str]:
        """Return a sentence for each text that is hidden or does not fit in its place. All sections must be open.

        Code blocks may be wider than the page, and so may tables, but not a cell: they scroll in themselves.
        """
        return list(self._page.evaluate("faults()"))

    def scrolling_tables(self) -> list[str]:
        """Return the headings of the tables that are wider than the page, so that they scroll in themselves."""
        return list(self._page.evaluate("scrollingTables()"))

    def diagrams(self) -> list[Diagram]:
        """Return the diagrams of the page."""
        return [
            Diagram(
                found["error"],
                tuple(
                    Label(label["text"], label["size"], label["contrast"], label["isComplete"])
                    for label in found["labels"]
                ),
            )
            for found in self._page.evaluate("diagrams()")
        ]

    def save(self, path: Path) -> None:
        """Save the whole page as a PNG file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=path, full_page=True)


@contextmanager
def summary_page(browser: Browser, scratch: Path, *, is_dark: bool) -> Iterator[SummaryPage]:
    """Open an empty page, and close it with the context.

    Args:
        browser: The browser.
        scratch: A directory for the page's file.
        is_dark: Whether the page has the dark color scheme.

    Raises:
        AssertionError: The page tried to load something from another place than the files of the tests.
    """
    file = scratch / "summary.html"
    file.write_text(_empty_page(), "utf-8")
    page = browser.new_page(color_scheme="dark" if is_dark else "light")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(file.as_uri())
    yield SummaryPage(page, is_dark=is_dark)
    page.close()
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []


def to_html(markdown: str) -> str:
    """Return the HTML that GitHub makes of Markdown."""
    # Without this option, the library removes all HTML. GitHub removes harmful elements only.
    return str(cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))


def diagram_labels(markdown: str) -> list[str]:
    """Return the labels in the source of the diagrams of a summary."""
    sources = re.findall(r"^```mermaid\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    labels = [label for source in sources for label in _QUOTED.findall(source)]
    return [re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label.replace("<br/>", " ")) for label in labels]


def _empty_page() -> str:
    for file in (*_STYLES, *_SCRIPTS):
        assert file.is_file(), f"{file} is missing: install it with `make setup`."
    styles = "".join(f'<link rel="stylesheet" href="{file.as_uri()}">' for file in _STYLES)
    scripts = "".join(f'<script src="{file.as_uri()}"></script>' for file in _SCRIPTS)
    return f'<!doctype html><meta charset="utf-8">{styles}{scripts}<article class="markdown-body"></article>'
