"""Writes the gates of a run as test cases in the JUnit XML that GitHub actions, GitLab and Jenkins read.

The elements and attributes are those that the readers have in common: the schema `junit-10` of Jenkins, without
extensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.domain.verdict import Status
from model_gate.domain.wording import printable, truncate_middle
from model_gate.errors import ModelGateError
from model_gate.reporting.run_details import comparison_details
from model_gate.reporting.run_wording import Rows, finding_of

_SUITE = "model-gate"
_MAX_NAME = 1_000
_MAX_TEXT = 4_000
_MAX_DIFFERENCES = 20


def junit_xml(rows: Rows, totals: RunTotals, redactor: Redactor) -> Iterator[str]:
    """Yield the XML of a run in pieces: a test case for each gate, and a skipped one for each gate left out.

    Args:
        rows: Reads the rows in the order of the gates files. They are read twice.
        totals: The totals of these rows.
        redactor: Removes secrets from the texts that are not from a row.
    """
    counts = {
        "tests": totals.gates + len(totals.left_out) + (totals.error is not None),
        "failures": totals.different,
        "errors": totals.errors + (totals.error is not None),
    }
    time = _time(sum(row.seconds for row in rows()))
    attributes = {name: str(count) for name, count in counts.items()} | {"time": time}
    skipped = {"skipped": str(len(totals.left_out))}
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield _start("testsuites", {"name": _SUITE, **attributes})
    yield _start("testsuite", {"name": _SUITE, **attributes, **skipped})
    for row in rows():
        yield _text_of(_case_of(row))
    for entry in totals.left_out:
        yield _text_of(_skipped(entry, redactor))
    if totals.error is not None:
        yield _text_of(_failed_run(totals.error, redactor))
    yield "</testsuite>\n</testsuites>\n"


def _start(tag: str, attributes: dict[str, str]) -> str:
    # Without content, the element ends with " />".
    return ET.tostring(ET.Element(tag, attributes), "unicode").removesuffix(" />") + ">\n"


def _text_of(element: ET.Element) -> str:
    return ET.tostring(element, "unicode") + "\n"


def _case(name: str, classname: str, seconds: float = 0) -> ET.Element:
    return ET.Element("testcase", {"classname": _line(classname), "name": _line(name), "time": _time(seconds)})


def _case_of(row: GateRow) -> ET.Element:
    case = _case(row.name, row.file, row.seconds)
    place = f"{row.file}, line {row.line}"
    if row.status is Status.ERROR:
        kind = row.report.get("error", {}).get("type", "error")
        _add(case, "error", row.reason, f"{row.heading}\n{row.reason}\n{row.remedy}\n{place}", kind)
    elif not row.passed:
        text = "\n".join([row.heading, row.reason, place, *_differences(row)])
        _add(case, "failure", finding_of(row), text, str(row.status))
    else:
        ET.SubElement(case, "system-out").text = _lines(finding_of(row))
    return case


def _differences(row: GateRow) -> Iterator[str]:
    for comparison in comparison_details(row.report, _MAX_DIFFERENCES):
        yield f"{comparison.title}: {comparison.result}"
        yield from (f"  {difference.path}: {difference.phrase}" for difference in comparison.differences)
        if comparison.hidden:
            yield f"  … and {comparison.hidden:,} more, in the report"


def _skipped(entry: LeftOut, redactor: Redactor) -> ET.Element:
    case = _case(redactor.text(entry.name), _SUITE)
    ET.SubElement(case, "skipped", {"message": _line(redactor.text(entry.reason))})
    return case


def _failed_run(error: ModelGateError, redactor: Redactor) -> ET.Element:
    """Return the test case of the whole run, which stands for the gates that have no row."""
    message, remedy = redactor.text(error.message), redactor.text(error.remedy)
    case = _case("run", _SUITE)
    _add(case, "error", message, f"{message}\n{remedy}", error.type)
    return case


def _add(case: ET.Element, tag: str, message: str, text: str, kind: str) -> None:
    ET.SubElement(case, tag, {"type": _line(kind), "message": _line(message)}).text = _lines(text)


def _line(text: str) -> str:
    """Return a text without characters that XML forbids, on one line."""
    return printable(truncate_middle(text, _MAX_NAME))


def _lines(text: str) -> str:
    return "\n".join(printable(truncate_middle(line, _MAX_TEXT)) for line in text.split("\n") if line)


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"
