"""The JUnit XML of a run: what readers of GitHub, GitLab and Jenkins find in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace

import pytest

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, LeftOut
from model_gate.errors import InputError, ModelGateError, NotFoundError
from model_gate.reporting.junit import junit_xml
from model_gate.reporting.rows import totals_of
from tests.support.action_outcomes import check, compare, comparison, difference, explained
from tests.support.outcomes import IDENTITY
from tests.support.rows import HOSTILE_TEXTS, again, error_row, gate, row

REWRITTEN = comparison(*IDENTITY, equivalent=True)
ROWS = (
    row(check(comparison()), gate("wine", 3)),
    row(check(comparison(difference("model.pkl"), difference("b"))), gate("churn", 9)),
    replace(row(compare(REWRITTEN, REWRITTEN), gate("spam", 11)), passed=True),
    error_row(gate("fraud", 12, "more.yml"), NotFoundError("There is no model 'Fraud'.", "Check its name.")),
)
LEFT_OUT = (LeftOut("old", "not changed since origin/main"),)
# The schema `junit-10` of Jenkins: the required and the other attributes of each element, and its children.
_TIME = re.compile(r"\d+\.\d{3}")
_COUNTS = {"tests", "failures", "errors"}
STRUCTURE: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", *_COUNTS}, {"testsuite"}),
    "testsuite": (
        {"name", *_COUNTS},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def text_of(
    rows: Sequence[GateRow],
    left_out: Sequence[LeftOut] = (),
    error: ModelGateError | None = None,
    redactor: Redactor | None = None,
) -> str:
    return "".join(junit_xml(again(rows), totals_of(rows, left_out, error), redactor or Redactor()))


def read(text: str) -> ET.Element:
    """Return the suite of a text, and assert its structure and its counts."""
    root = ET.fromstring(text)  # noqa: S314 - the text is our own
    for element in root.iter():
        required, optional, children = STRUCTURE[element.tag]
        assert required <= set(element.keys()) <= required | optional
        assert {child.tag for child in element} <= children
        assert _TIME.fullmatch(element.get("time", "0.000"))
    (suite,) = root
    cases = list(suite.iter("testcase"))
    found = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
    }
    assert {name: int(suite.attrib[name]) for name in found} == found
    assert {name: int(root.attrib[name]) for name in found} == found
    assert int(suite.attrib["skipped"]) == len(list(suite.iter("skipped")))
    return suite


def test_each_gate_is_a_test_case_of_its_file() -> None:
    suite = read(text_of(ROWS, LEFT_OUT))
    assert [
        (case.get("classname"), case.get("name"), [child.tag for child in case]) for case in suite.iter("testcase")
    ] == [
        ("gates.yml", "wine", ["system-out"]),
        ("gates.yml", "churn", ["failure"]),
        ("gates.yml", "spam", ["system-out"]),
        ("more.yml", "fraud", ["error"]),
        ("model-gate", "old", ["skipped"]),
    ]
    assert suite.get("time") == "5.000"


def test_failure_says_what_differs_and_where_the_gate_stands() -> None:
    failure = read(text_of(ROWS)).find(".//failure")
    assert failure is not None
    assert failure.get("message", "").startswith("Wine: mlflow.example.com v1, run model ≠ registry model: the weights")
    assert (failure.text or "").split("\n")[2:] == [
        "gates.yml, line 9",
        "run model and registry model: different: 2 of 5 files differ",
        "  model.pkl: content differs (3 bytes)",
        "  b: content differs (3 bytes)",
    ]


def test_error_has_its_kind_its_message_and_its_remedy() -> None:
    error = read(text_of(ROWS)).find(".//error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("NotFoundError", "There is no model 'Fraud'.")
    assert "Check its name." in (error.text or "").split("\n")


def test_error_that_ended_the_run_is_an_error_of_the_suite() -> None:
    suite = read(text_of(ROWS[:1], error=InputError("Shard 2 has no s3cret-word.", "Run it."), redactor=SECRET))
    (case,) = [case for case in suite if case.get("name") == "run"]
    assert [child.get("message") for child in case] == ["Shard 2 has no ***."]


SECRET = Redactor(["s3cret-word"])


def test_run_without_gates_is_an_empty_suite() -> None:
    assert list(read(text_of([]))) == []
    assert [case.get("name") for case in read(text_of([], LEFT_OUT))] == ["old"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_texts_leave_the_xml_well_formed(text: str) -> None:
    rows = [
        row(check(comparison(explained(text, text)), text), gate(text, file=text)),
        error_row(gate(text), InputError(text, text)),
    ]
    xml = text_of(rows, [LeftOut(text, text)], InputError(text, text))
    assert all(line.isprintable() for line in xml.split("\n"))
    assert len(read(xml)) == 4
