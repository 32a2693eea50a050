"""The files that do not affect the verdict, in the step's summary: ignored files, and those outside native models."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.action.differences import MAX_SHOWN, arrow, meaning
from model_gate.action.markdown import Markdown, table
from model_gate.domain.difference import Difference
from model_gate.domain.result import Comparison, IgnoredPath, Outcome
from model_gate.reporting.naming import SideNames, side_names
from model_gate.reporting.phrases import describe, more_in_report


def uncounted_files(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return Markdown sections with a table of at most 8 files that do not affect the verdict; [] without such files.

    Files that differ come before files that are equal or were not compared.
    """
    sides = {side_names(outcome, names[0]) for names, _ in outcome.distinct_comparisons}
    rows = [
        row
        for names, comparison in outcome.distinct_comparisons
        for row in _rows(comparison, side_names(outcome, names[0]), markdown)
    ]
    if not rows:
        return []
    more = f"… and {more_in_report(len(rows) - MAX_SHOWN, len(rows))}." if len(rows) > MAX_SHOWN else ""
    title = markdown.cell(arrow(sides.pop())) if len(sides) == 1 else "In both models"
    return ["### Not part of the verdict", table(("File", title), rows[:MAX_SHOWN], "ll"), more]


def _rows(comparison: Comparison, sides: SideNames, markdown: Markdown) -> Iterator[tuple[str, str]]:
    if comparison.rest is not None:
        for difference in comparison.rest.differences:
            yield markdown.path(difference.path), _difference(difference, sides, markdown)
        for path in comparison.rest.not_compared:
            yield markdown.path(path), "not compared"
    for ignored in sorted(comparison.ignored, key=lambda ignored: ignored.equals is not False):
        yield _path(ignored, markdown), _result(ignored, sides, markdown)


def _path(ignored: IgnoredPath, markdown: Markdown) -> str:
    """Return an ignored path, and the glob of the compare file that matches it, if this is not the path itself."""
    pattern = "" if ignored.pattern == ignored.path else f"<br>ignored by {markdown.code(ignored.pattern)}"
    return f"{markdown.path(ignored.path)}{pattern or '<br>ignored'}"


def _result(ignored: IgnoredPath, sides: SideNames, markdown: Markdown) -> str:
    if ignored.difference is not None:
        return _difference(ignored.difference, sides, markdown)
    return {True: "equal", False: "different", None: "not compared"}[ignored.equals]


def _difference(difference: Difference, sides: SideNames, markdown: Markdown) -> str:
    phrases = (describe(difference, sides), meaning(difference))
    return "<br>".join(markdown.text(phrase) for phrase in phrases if phrase)
