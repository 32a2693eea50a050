"""The step's summary of a run of many gates, as Markdown of limited size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_gate.access.redaction import Redactor
from model_gate.action.markdown import Markdown, collapsible, join_sections, size_in_bytes, table
from model_gate.action.summary import MAX_BYTES, STEP_PASSES
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.domain.verdict import Status
from model_gate.domain.wording import capitalized, plural
from model_gate.reporting.run_wording import (
    Rows,
    counts_of_run,
    left_out_text,
    mark_of,
    mark_of_run,
    verdict_of_run,
    worst_first,
)

_COLUMNS = ("Gate", "Result")
# The part of the summary that the table may take.
_TABLE_SHARE = 0.5
_MAX_NAME = 80
_MAX_REASON = 300
_RESERVED_BYTES = 1_000
_HEADING = re.compile(r"^(#{1,5}) ")
_FENCE = re.compile(r"^(`{3,})[a-z]*$")


@dataclass(frozen=True)
class _Block:
    """The summary of a gate: its place in the rows, its title and its size in the summary of the run."""

    index: int
    title: str
    size: int


def run_summary(
    rows: Rows,
    totals: RunTotals,
    report_file: str,
    redactor: Redactor,
    max_bytes: int = MAX_BYTES,
    *,
    fails_on_difference: bool = True,
) -> str:
    """Return the summary of a run, at most `max_bytes` in UTF-8.

    It has a table with a line per gate, the worst first, and the summaries of gates that are hidden until a person
    opens them. If not all fit, those of gates that passed are left to the report.

    Args:
        rows: Reads the rows in the order of the gates files. They are read twice, and never all kept.
        totals: The totals of these rows.
        report_file: The path of the report, "" if it could not be written.
        redactor: Removes secrets.
        max_bytes: At least 20,000.
        fails_on_difference: Whether a difference fails the step.
    """
    markdown = Markdown(redactor)
    head = [f"## {mark_of_run(totals)} {markdown.text(capitalized(verdict_of_run(totals)))}", *_error(totals, markdown)]
    if totals.status is Status.DIFFERENT and not totals.passed and not fails_on_difference:
        head.append(STEP_PASSES)
    tail = [
        markdown.text(left_out_text(totals.left_out)),
        f"Full report: {markdown.code(report_file)}" if report_file else "",
    ]
    room = max_bytes - size_in_bytes([*head, *tail]) - _RESERVED_BYTES
    table_lines = _table(rows, totals, markdown, int(room * _TABLE_SHARE))
    room -= size_in_bytes(table_lines)
    return join_sections([*head, *table_lines, tail[0], *_blocks(rows, markdown, room), tail[1]])


def _error(totals: RunTotals, markdown: Markdown) -> list[str]:
    if totals.error is None:
        return []
    sections = [f"> {markdown.text(totals.error.message)}"]
    return [*sections, markdown.text(totals.error.remedy)] if totals.error.remedy else sections


def _table(rows: Rows, totals: RunTotals, markdown: Markdown, room: int) -> list[str]:
    """Return the counts, and the table of the gates that fit into this many bytes."""
    ordered = worst_first(rows())
    if not ordered:
        return []
    shown: list[tuple[str, ...]] = []
    for row in ordered:
        cells = _cells(row, markdown)
        room -= len(" | ".join(cells).encode()) + 6
        if room < 0:
            break
        shown.append(cells)
    hidden = ordered[len(shown) :]
    failed = sum(not row.passed for row in hidden)
    parts = [f"{failed:,} that failed"] if failed else []
    parts += [f"{len(hidden) - failed:,} that passed"] if len(hidden) > failed else []
    more = [f"… and {' and '.join(parts)}, in the report."] if parts else []
    return [f"{capitalized(counts_of_run(totals))}.", table(_COLUMNS, shown, "ll"), *more]


def _cells(row: GateRow, markdown: Markdown) -> tuple[str, ...]:
    reason = markdown.breakable(row.reason, _MAX_REASON)
    remedy = f" {markdown.breakable(row.remedy, _MAX_REASON)}" if row.remedy else ""
    compared = "" if row.heading == row.name else f", {markdown.cell(row.heading)}"
    # With a third column, the table would not fit on a telephone.
    result = f"**{row.result}**{compared}{'<br>' if reason else ''}{reason}{remedy}"
    return f"{mark_of(row)} {markdown.code(row.name, _MAX_NAME)}", result


def _blocks(rows: Rows, markdown: Markdown, room: int) -> Iterator[str]:
    """Yield the summaries of gates, the worst first, and how many gates have none."""
    known = list(_known_blocks(rows, markdown))
    chosen: dict[int, str] = {}
    for block in known:
        if block.size <= room:
            room -= block.size
            chosen[block.index] = block.title
    texts = {index: row.block for index, row in enumerate(rows()) if index in chosen}
    for index, title in chosen.items():
        yield collapsible(title, [demoted(texts[index])])
    if missing := len(known) - len(chosen):
        yield f"The details of {plural(missing, 'more gate')} are in the report."


def _known_blocks(rows: Rows, markdown: Markdown) -> Sequence[_Block]:
    """Return the blocks of all gates, those of the worst gates first, without their texts."""
    found = []
    for index, row in enumerate(rows()):
        title = f"{mark_of(row)} {markdown.breakable(row.name, _MAX_NAME)}"
        # What follows is the size of the elements around the block.
        size = len(collapsible(title, [demoted(row.block)]).encode()) + 2
        found.append((row.rank, _Block(index, title, size)))
    return [block for _, block in sorted(found, key=lambda pair: pair[0])]


def demoted(block: str) -> str:
    """Return a summary with its headings one level lower, since it is a part of another summary.

    >>> demoted("## The models differ")
    '### The models differ'
    """
    lines, fence = [], ""
    for line in block.split("\n"):
        if fence:
            # Only a line of as many backticks ends a code block, whose other lines are no headings.
            fence = "" if line == fence else fence
        elif match := _FENCE.match(line):
            fence = match[1]
        lines.append(line if fence else _HEADING.sub(r"#\1 ", line))
    return "\n".join(lines).strip("\n")
