"""Writes the gates of a run as one static HTML page with a table that can be searched and sorted.

The page needs no other file, asks no server for anything, and is complete without its script.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import files

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.domain.wording import capitalized, plural, truncate_middle
from model_gate.reporting.markup import Html, joined, tag
from model_gate.reporting.run_details import ComparisonDetails, DifferenceDetails, compared_versions, comparison_details
from model_gate.reporting.run_wording import counts_of_run, finding_of, mark_of_run, verdict_of_run
from model_gate.reporting.system import SystemFacts

_COLUMNS = (("rank", "Result"), ("name", "Gate"), ("found", "Found"), ("seconds", "Time"))
_MAX_DETAILS_BYTES = 4_000_000
_MAX_GATE_BYTES = 24_000
_MIN_GATE_BYTES = 500
_MAX_DIFFERENCES = 100
_MAX_NAME = 200
_MAX_TEXT = 600
_MAX_LEFT_OUT = 2_000


def run_page(
    rows: Iterable[GateRow], totals: RunTotals, report_file: str, redactor: Redactor, system: SystemFacts
) -> Iterator[str]:
    """Yield the page of a run in pieces.

    Args:
        rows: The rows in the order of the gates files.
        totals: The totals of these rows.
        report_file: The path of the report, "" if it could not be written.
        redactor: Removes secrets from the texts that are not from a row.
        system: The versions and the time.
    """
    style, script = _file("page.css"), _file("page.js")
    title = capitalized(verdict_of_run(totals))
    room = max(_MIN_GATE_BYTES, min(_MAX_GATE_BYTES, _MAX_DETAILS_BYTES // max(totals.gates, 1)))
    lines = sorted(((row.rank, _line(row, room)) for row in rows), key=lambda line: line[0])
    yield '<!doctype html>\n<html lang="en">\n'
    yield tag("head", *_head(f"{mark_of_run(totals)} {title}", style, script)) + "\n<body>\n"
    yield joined(_top(title, totals, redactor, system)) + "\n"
    if lines:
        yield _tools(totals) + "\n<table>\n" + _header() + "\n<tbody>\n"
        yield from (f"{line}\n" for _, line in lines)
        yield "</tbody>\n</table>\n"
    yield joined(_bottom(totals, report_file, redactor)) + "\n"
    # The hash in the head allows this script and no other one.
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def _file(name: str) -> Html:
    return Html((files("model_gate") / "reporting" / name).read_text("utf-8"))


def _head(title: str, style: Html, script: Html) -> Iterator[Html]:
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    yield tag("meta", charset="utf-8")
    yield tag("meta", http_equiv="Content-Security-Policy", content=policy)
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="referrer", content="no-referrer")
    yield tag("title", title)
    yield tag("style", style)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _top(title: str, totals: RunTotals, redactor: Redactor, system: SystemFacts) -> Iterator[Html]:
    yield tag("h1", title)
    yield tag("p", f"Model Gate {system.model_gate_version}, {system.utc_time}", class_="facts")
    if totals.error is not None:
        texts = (redactor.text(totals.error.message), redactor.text(totals.error.remedy))
        yield tag("div", *(tag("p", _cut(text)) for text in texts if text), class_="failure")
    if counts_of_run(totals):
        yield tag("ul", *_counts(totals), class_="counts")


def _counts(totals: RunTotals) -> Iterator[Html]:
    for result, count in totals.by_result:
        yield tag("li", f"{count:,} {result}", class_=result)


def _tools(totals: RunTotals) -> Html:
    """Return the search, which the script shows."""
    boxes = [
        tag("label", tag("input", type="checkbox", value=result, checked=""), result) for result, _ in totals.by_result
    ]
    search = tag("label", "Search ", tag("input", type="search", id="search", autocomplete="off"))
    shown = tag("p", id="shown", role="status")
    return tag("div", search, *boxes, shown, class_="tools", role="search", hidden="")


def _header() -> Html:
    cells = (tag("th", title, scope="col", data_key=key) for key, title in _COLUMNS)
    return tag("thead", tag("tr", *cells))


def _line(row: GateRow, room: int) -> Html:
    """Return the line of a gate, with details of at most about `room` bytes."""
    result = row.result
    found = tag("td", tag("p", _cut(finding_of(row))), *_details(row, room))
    return tag(
        "tr",
        tag("td", tag("span", result, class_=f"result {result}"), class_="result-cell"),
        tag("td", truncate_middle(row.name, _MAX_NAME), class_="gate"),
        found,
        tag("td", f"{row.seconds:,.1f} s", class_="time"),
        data_result=result,
        data_rank=str(row.rank),
        data_seconds=f"{row.seconds:.3f}",
    )


def _details(row: GateRow, room: int) -> Iterator[Html]:
    if row.remedy:
        yield tag("p", _cut(row.remedy))
    parts = [tag("li", version) for version in compared_versions(row.report)]
    sections = [tag("ul", *parts)] if parts else []
    for comparison in comparison_details(row.report, _MAX_DIFFERENCES):
        section = _comparison(comparison, room)
        room -= len(section)
        sections.append(section)
    place = tag("p", f"{_cut(row.file)}, line {row.line}", class_="place")
    yield tag("details", tag("summary", "Details"), *sections, place)


def _comparison(comparison: ComparisonDetails, room: int) -> Html:
    """Return a comparison with as many of its differences as fit into about `room` bytes."""
    items: list[Html] = []
    for difference in comparison.differences:
        item = _difference(difference)
        room -= len(item)
        if room < 0:
            break
        items.append(item)
    if hidden := comparison.hidden + len(comparison.differences) - len(items):
        items.append(tag("li", f"… and {plural(hidden, 'more difference')}, in the report"))
    listed = [tag("ul", *items)] if items else []
    return joined([tag("p", f"{capitalized(comparison.title)}: {comparison.result}"), *listed])


def _difference(difference: DifferenceDetails) -> Html:
    lines = [tag("pre", "\n".join(difference.lines))] if difference.lines else []
    return tag("li", tag("code", difference.path), f": {difference.phrase}", *lines)


def _bottom(totals: RunTotals, report_file: str, redactor: Redactor) -> Iterator[Html]:
    if totals.left_out:
        shown = totals.left_out[:_MAX_LEFT_OUT]
        entries = [
            tag("li", f"{_name(redactor.text(entry.name))}: {_cut(redactor.text(entry.reason))}") for entry in shown
        ]
        if len(shown) < len(totals.left_out):
            entries.append(tag("li", f"… and {len(totals.left_out) - len(shown):,} more, in the report"))
        title = f"{len(totals.left_out):,} left out"
        yield tag("details", tag("summary", title), tag("ul", *entries), class_="left-out")
    if report_file:
        yield tag("p", "Full report: ", tag("code", _cut(redactor.text(report_file))), class_="facts")


def _name(text: str) -> str:
    return truncate_middle(text, _MAX_NAME)


def _cut(text: str) -> str:
    return truncate_middle(text, _MAX_TEXT)
