"""The page of a run: its policy, its size, and that every text is escaped. Its look is tested in a browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.errors import InputError
from model_gate.reporting.page import run_page
from model_gate.reporting.rows import totals_of
from tests.support.action_outcomes import check, comparison, difference, explained
from tests.support.rows import HOSTILE_TEXTS, SYSTEM, error_row, gate, row

EQUAL = row(check(comparison()), gate("wine"))
DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn", 7))
ERROR = error_row(gate("fraud"))


class Structure(HTMLParser):
    """Collects the elements of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(rows: Sequence[GateRow], totals: RunTotals | None = None, redactor: Redactor | None = None) -> str:
    return "".join(run_page(rows, totals or totals_of(rows), "report.json", redactor or Redactor(), SYSTEM))


def names(page: str) -> list[str]:
    return re.findall('<td class="gate">(.*?)</td>', page)


def test_gates_are_sorted_from_the_worst_to_the_best() -> None:
    assert names(page_of([EQUAL, DIFFERENT, ERROR])) == ["fraud", "churn", "wine"]


def test_gate_has_its_finding_its_differences_and_its_place() -> None:
    text = " ".join(Structure(page_of([DIFFERENT])).texts)
    for part in (
        "1 of 1 gate differs",
        "run model ≠ registry model: the weights differ (model.pkl); predictions: can differ",
        "Run model and registry model: different: 1 of 4 files differ",
        "model.pkl : content differs (3 bytes)",
        "gates.yml, line 7",
        "report.json",
    ):
        assert part in text


def test_policy_allows_the_own_style_and_script_and_nothing_else() -> None:
    page = page_of([EQUAL])
    (policy,) = [
        attributes["content"]
        for name, attributes in Structure(page).elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]

    def digest(element: str) -> str:
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"

    assert policy == (
        f"default-src 'none'; style-src {digest('style')}; script-src {digest('script')}; base-uri 'none';"
        " form-action 'none'"
    )


def test_page_has_no_address_and_no_inline_style_or_handler() -> None:
    for _, attributes in Structure(page_of([EQUAL, DIFFERENT, ERROR])).elements:
        assert not attributes.keys() & {"src", "href", "style", "action", "srcset"}
        assert not any(name.startswith("on") for name in attributes)


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_texts_make_no_element(text: str) -> None:
    def structure(text: str) -> list[tuple[str, list[str]]]:
        rows = [
            row(check(comparison(explained(text, text)), text), gate(text, file=text)),
            error_row(gate(text), InputError(text, text)),
        ]
        totals = totals_of(rows, [LeftOut(text, text)], InputError(text, text))
        page = page_of(rows, totals)
        assert all(line.isprintable() for line in page.split("\n"))
        return [(name, list(attributes)) for name, attributes in Structure(page).elements]

    assert structure(text) == structure("plain")


def test_secret_in_the_error_of_the_run_is_masked() -> None:
    totals = totals_of([EQUAL], [LeftOut("s3cret-word", "s3cret-word")], InputError("s3cret-word", "s3cret-word"))
    page = page_of([EQUAL], totals, Redactor(["s3cret-word"]))
    assert "s3cret-word" not in page
    assert page.count("***") == 4


def test_page_of_500_large_gates_is_small_enough_to_open() -> None:
    large = row(check(comparison(*(explained(f"{number}.json", "x" * 2_000) for number in range(30)))))
    page = page_of([replace(large, name=f"gate-{number}") for number in range(500)])
    assert len(names(page)) == 500
    assert len(page.encode()) < 5_000_000
    assert page.count("more differences, in the report") == 500


def test_page_without_gates_says_so() -> None:
    page = page_of([], totals_of([], [LeftOut("wine", "not changed since origin/main")]))
    assert "<h1>0 gates concern this change: nothing to decide</h1>" in page
    assert "<li>wine: not changed since origin/main</li>" in page
    assert "<table>" not in page
