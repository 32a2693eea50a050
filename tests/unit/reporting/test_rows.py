"""Rows of a run: what they say, and that only complete and consistent ones are read again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import LeftOut
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Require, Status
from model_gate.errors import InputError, NotFoundError, StorageError
from model_gate.reporting.rows import read_row, row_json, row_line, row_names, totals_of
from tests.support.action_outcomes import HOSTILE, check, compare, comparison, difference, explained
from tests.support.outcomes import IDENTITY
from tests.support.rows import DIGEST, error_row, gate, row

EQUAL = check(comparison())
DIFFERENT = check(comparison(difference("model.pkl"), difference("MLmodel")))
REWRITTEN = comparison(*IDENTITY, equivalent=True)
ACCEPTED = compare(REWRITTEN, REWRITTEN, require=Require.EQUIVALENT)
REFUSED = compare(REWRITTEN, REWRITTEN)
ERROR = Outcome(EQUAL.request, error=NotFoundError("There is no version 9\nof 'Wine'.", "Name another version."))
OUTCOMES = {"equal": EQUAL, "different": DIFFERENT, "accepted": ACCEPTED, "refused": REFUSED, "error": ERROR}


def changed(outcome: Outcome, in_report: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Return the line of a row with other values of some fields of the row and of its report."""
    data = row_json(row(outcome)) | fields
    if in_report:
        data["report"] |= in_report
    return json.dumps(data).encode() + b"\n"


def test_heading_and_reason_say_what_differs_and_whether_it_matters() -> None:
    found = row(DIFFERENT)
    assert found.heading == "Wine: mlflow.example.com v1, run model ≠ registry model"
    assert found.reason == "the weights and fields of MLmodel differ (model.pkl and 1 more); predictions: can differ"


def test_reason_names_the_most_important_file() -> None:
    outcome = check(comparison(difference("requirements.txt"), difference("model.safetensors"), difference("b.txt")))
    assert "(model.safetensors and 2 more)" in row(outcome).reason


def test_reason_of_an_error_is_its_message_on_one_line() -> None:
    found = row(ERROR)
    assert (found.reason, found.remedy) == ("There is no version 9 of 'Wine'.", "Name another version.")
    assert found.heading == "Wine: mlflow.example.com v1"


def test_heading_of_a_gate_without_a_request_is_its_name() -> None:
    assert error_row(gate("all/Wine")).heading == "all/Wine"


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_row_are_printable(text: str) -> None:
    hostile = check(comparison(explained(text, text)), text)
    for found in (row(hostile, gate(text, file=text)), error_row(gate(text), InputError(text, text))):
        assert read_row(row_line(found)) == found
        texts = (found.name, found.heading, found.reason, found.remedy, found.file)
        assert all(part.isprintable() for part in texts)


def test_secret_is_in_no_text_of_a_row() -> None:
    secret = "s3cret-word"
    outcome = check(comparison(difference(f"{secret}.pkl")), secret)
    redactor = Redactor([secret])
    rows = (
        row(outcome, gate(secret, file=f"{secret}.yml"), redactor),
        row(Outcome(None, error=InputError(secret, secret)), gate(secret), redactor),
    )
    assert all(secret.encode() not in row_line(found) for found in rows)


def test_long_message_is_shortened() -> None:
    assert len(error_row(gate(), InputError("a" * 1_000_000)).reason) == 2_000


@pytest.mark.parametrize("name", OUTCOMES)
def test_row_is_read_as_it_was_written(name: str) -> None:
    found = row(OUTCOMES[name])
    line = row_line(found)
    assert read_row(line) == found
    assert line.isascii()
    assert line.count(b"\n") == 1


def test_row_that_was_cut_anywhere_is_an_error() -> None:
    line = row_line(row(EQUAL))
    for length in range(len(line)):
        with pytest.raises(StorageError, match=r"line 3 of rows\.jsonl"):
            read_row(line[:length], "line 3 of rows.jsonl")


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", ""),
        ("name", 1),
        ("name", "a\nb"),
        ("name", "\u202e"),
        ("heading", "\x1b[31m"),
        ("reason", "\ud800"),
        ("remedy", None),
        ("file", ["gates.yml"]),
        ("status", "sealed"),
        ("status", "EQUAL"),
        ("status", []),
        ("passed", 1),
        ("passed", None),
        ("equivalent", "true"),
        ("line", -1),
        ("line", True),
        ("line", 1.0),
        ("seconds", -1),
        ("seconds", True),
        ("seconds", 1e300),
        ("seconds", "1"),
        ("digest", "ab"),
        ("digest", DIGEST.upper()),
        ("digest", f"{DIGEST}\n"),
        ("report", {}),
        ("report", None),
        ("block", "a\rb"),
        ("block", 1),
    ],
)
def test_field_of_a_wrong_form_is_an_error(field: str, value: Any) -> None:
    with pytest.raises(StorageError):
        read_row(changed(EQUAL, **{field: value}))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b'{"a": ' + b"9" * 10_000 + b"}\n",
        b"\xff\xfe\n",
        row_line(row(EQUAL)).replace(b'{"name":"wine"', b'{"name":"wine","name":"wine"', 1),
        row_line(row(EQUAL)).replace(b'"seconds":1.25', b'"seconds":NaN', 1),
        row_line(row(EQUAL)).replace(b'"line":2', b'"line":2,"more":1', 1),
        row_line(row(EQUAL)).replace(b'"line":2,', b"", 1),
        row_line(row(EQUAL)) * 2,
    ],
    ids=range(13),
)
def test_line_of_another_form_is_an_error(line: bytes) -> None:
    with pytest.raises(StorageError):
        read_row(line)


@pytest.mark.parametrize(
    "outcome, fields, report",
    [
        (DIFFERENT, {"status": "equal"}, {}),
        (DIFFERENT, {"passed": True}, {}),
        (DIFFERENT, {"equivalent": True}, {}),
        (ERROR, {"status": "equal", "passed": True, "equivalent": True}, {}),
        (DIFFERENT, {"passed": True}, {"passed": True}),
        (DIFFERENT, {"status": "equal", "passed": True}, {"status": "equal", "passed": True}),
        (DIFFERENT, {"status": "equal", "passed": True}, {"status": "equal", "passed": True, "equals": True}),
        (REFUSED, {"passed": True}, {"passed": True}),
        (EQUAL, {"passed": False}, {"passed": False}),
        (EQUAL, {"equivalent": None}, {"equivalent": None}),
        (ERROR, {"passed": True}, {"passed": True}),
        (ERROR, {"equivalent": True}, {"equivalent": True}),
        (EQUAL, {}, {"error": {"type": "InputError", "message": "m", "remedy": "r"}}),
    ],
)
def test_verdict_that_contradicts_itself_is_an_error(
    outcome: Outcome, fields: dict[str, Any], report: dict[str, Any]
) -> None:
    with pytest.raises(StorageError):
        read_row(changed(outcome, report, **fields))


def test_totals_count_each_gate_once() -> None:
    left_out = (LeftOut("churn", "not changed"),)
    totals = totals_of(map(row, (*OUTCOMES.values(), EQUAL)), left_out)
    assert (totals.equal, totals.equivalent, totals.different, totals.errors) == (2, 1, 2, 1)
    assert totals.left_out == left_out
    assert (totals.gates, totals.status, totals.passed, totals.exit_code) == (6, Status.ERROR, False, 2)


def test_run_without_gates_passes_unless_it_ended_with_an_error() -> None:
    assert (totals_of([]).passed, totals_of([]).exit_code) == (True, 0)
    failed = totals_of([], error=InputError("no"))
    assert (failed.status, failed.passed, failed.exit_code) == (Status.ERROR, False, 2)


def test_gates_of_one_name_without_their_secrets_have_rows_of_different_names() -> None:
    gates = [gate("all/Wine?token=alpha"), gate("all/Wine?token=beta"), gate("all/Wine?token=*** (2)"), gate("b")]
    names = row_names(gates, Redactor())
    assert names[0] == "all/Wine?token=***"
    assert len(set(names)) == len(gates)
