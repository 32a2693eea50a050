"""The badge of a run: its words, its drawing and the data for shields.io."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from model_gate.domain.gates import RunTotals
from model_gate.errors import InputError
from model_gate.reporting.badge import badge_endpoint, badge_svg
from tests.support.rows import HOSTILE_TEXTS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    "totals, message, color",
    [
        (RunTotals(equal=12), "12 equal", "success"),
        (RunTotals(equal=10, equivalent=2), "10 equal, 2 equivalent", "success"),
        (RunTotals(equal=10, nothing_compared=3), "10 equal, 3 compared nothing", "success"),
        (RunTotals(equal=10, different=2), "2 differ", "critical"),
        (RunTotals(different=1), "1 differs", "critical"),
        (RunTotals(different=2, errors=1), "1 error", "critical"),
        (RunTotals(errors=1_200), "1,200 errors", "critical"),
        (RunTotals(equal=3, error=InputError("no")), "error", "critical"),
        (RunTotals(), "nothing to decide", "inactive"),
    ],
)
def test_badge_has_the_worst_result(totals: RunTotals, message: str, color: str) -> None:
    endpoint = badge_endpoint(totals)
    assert endpoint.pop("isError", False) is (not totals.passed and not message.startswith(("1 differs", "2 differ")))
    assert endpoint == {"schemaVersion": 1, "label": "models", "message": message, "color": color}
    root = ET.fromstring(badge_svg(totals))  # noqa: S314 - the text is our own
    assert [text.text for text in root.iter(f"{SVG}text")] == ["models", message]
    assert root.get("aria-label") == f"models: {message}"


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_label_makes_no_element(text: str) -> None:
    svg = badge_svg(RunTotals(equal=1), text)
    assert all(line.isprintable() for line in svg.split("\n"))
    root = ET.fromstring(svg)  # noqa: S314 - the text is our own
    assert [element.tag.removeprefix(SVG) for element in root.iter()] == [
        *("svg", "title", "clipPath", "rect", "g", "rect", "rect", "g", "text", "text")
    ]
    assert len(badge_endpoint(RunTotals(), text)["label"]) <= 60


def test_parts_of_the_badge_fill_it() -> None:
    root = ET.fromstring(badge_svg(RunTotals(equal=12)))  # noqa: S314 - the text is our own
    whole, left, right = root.iter(f"{SVG}rect")
    assert root.get("width") == whole.get("width")
    assert int(left.attrib["width"]) + int(right.attrib["width"]) == int(whole.attrib["width"])
    assert right.get("x") == left.get("width")
