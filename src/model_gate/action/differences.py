"""The differences in the step's summary: one table row for each file, and its explanation in a collapsible section."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_gate.action.escape import fenced
from model_gate.action.markdown import Markdown, collapsible, size_in_bytes, table, table_row
from model_gate.domain.difference import (
    DIGEST,
    ENVIRONMENT_SETTING,
    Difference,
    DifferenceKind,
    Explanation,
    FieldChange,
)
from model_gate.domain.model import MLMODEL
from model_gate.domain.wording import capitalized, plural, truncate_middle
from model_gate.reporting.kind_words import KindWords, words_for
from model_gate.reporting.naming import SideNames
from model_gate.reporting.phrases import describe, more_in_report, rank, sizes, unmet_condition

MAX_SHOWN = 8
_MAX_LISTED = 500
_MAX_FIELDS = 15
_MAX_MEANINGS = 3
_MAX_LINE = 200
_MAX_WHOLE_PATH = 1_000
# Bytes that the list of all differences needs besides its rows: the title, the table's head and the closing sentence.
_LIST_OVERHEAD_BYTES = 1_000

# More explanations have one section around them.
_MAX_SECTIONS = 3
# Hexadecimal digits of a SHA-256, and how many of them are shown.
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN_DIGITS = 12
# How a note begins before it says the reason.
_NOT_EXPLAINED = re.compile(r"^could not be explained(?: as [^:]+)?: ")
# A summary that counts the bytes that differ, for which all bytes are read.
_COUNTED_BYTES = re.compile(r"[\d,]+ of [\d,]+ bytes? differ")


@dataclass(frozen=True)
class LabeledDifference:
    """A difference, and the names of the compared models that differ in this way.

    Attributes:
        models: Names of the compared models, such as `Run models and Registry models`.
        difference: The difference.
        sides: Names of the two models.
    """

    models: str
    difference: Difference
    sides: SideNames


def in_order(differences: Sequence[LabeledDifference]) -> list[LabeledDifference]:
    """Return the differences sorted by importance, in the same order as the annotations. Rewritten files come last.

    A rewritten file differs only in parts that MLflow or the file format changes when the same model is saved again.
    """
    return sorted(differences, key=lambda labeled: rank(labeled.difference))


def first_differences(
    differences: Sequence[LabeledDifference], markdown: Markdown, max_explanation_bytes: int
) -> list[str]:
    """Return Markdown sections about the first 8 of the sorted differences: a table, then each explanation.

    The table says which models differ only if not all differences are of the same models.

    Args:
        differences: All known differences, sorted.
        markdown: Formats the text.
        max_explanation_bytes: Maximum size of all explanations in UTF-8.
    """
    if not differences:
        return []
    shown = differences[:MAX_SHOWN]
    has_several_models = _has_several_models(differences)
    rows = [_row(labeled, markdown, is_labeled=has_several_models) for labeled in shown]
    omitted = len(differences) - len(shown)
    more = f"… and {omitted:,} more, in the list of differences at the end." if omitted else ""
    sections = list(_explanations(shown, markdown, max_explanation_bytes))
    if len(sections) > _MAX_SECTIONS:
        sections = [collapsible(f"Details of {'the first ' if omitted else ''}{plural(len(shown), 'file')}", sections)]
    return ["### What differs", table(_head(shown, markdown), rows, "ll"), more, *sections]


def all_differences(
    differences: Sequence[LabeledDifference], markdown: Markdown, max_bytes: int, *, is_complete: bool
) -> list[str]:
    """Return Markdown sections with a table of the sorted differences: the first 500, or as many as fit in `max_bytes`.

    The result is empty if `first_differences` already shows every difference.

    Args:
        differences: All known differences, sorted.
        markdown: Formats the text.
        max_bytes: Maximum size of the sections in UTF-8.
        is_complete: Whether every file was compared, so that there are no other differences.
    """
    if len(differences) <= MAX_SHOWN:
        return []
    has_several_models = _has_several_models(differences)
    rows: list[tuple[str, ...]] = []
    remaining = max_bytes - _LIST_OVERHEAD_BYTES
    for labeled in differences[:_MAX_LISTED]:
        row = _row(labeled, markdown, is_labeled=has_several_models)
        remaining -= len(table_row(row).encode()) + 1
        if remaining < 0:
            break
        rows.append(row)
    omitted = len(differences) - len(rows)
    more = f"… and {more_in_report(omitted, _most_of_a_comparison(differences))}." if omitted else ""
    known = f"{len(differences):,} {'differences' if is_complete else 'known differences'}"
    title = f"The first {len(rows):,} of {known}" if omitted else f"All {known}" if is_complete else known
    opening = f"<details><summary>{title}</summary>"
    return [opening, table(_head(differences, markdown), rows, "ll"), more, "</details>"]


def _head(differences: Sequence[LabeledDifference], markdown: Markdown) -> tuple[str, str]:
    """Return the titles of both columns. The second one names the models, if all differences are of the same two."""
    sides = {labeled.sides for labeled in differences}
    names = markdown.cell(arrow(sides.pop())) if len(sides) == 1 else "Difference"
    return "File", f"{names}, and what it means"


def arrow(sides: SideNames) -> str:
    """Return the direction in which differences are described, as in `staging v12 → production v7`."""
    return f"{sides.left} → {sides.right}"


def _most_of_a_comparison(differences: Sequence[LabeledDifference]) -> int:
    """Return the number of differences of the comparison that has the most."""
    return max(Counter(labeled.models for labeled in differences).values(), default=0)


def _has_several_models(differences: Sequence[LabeledDifference]) -> bool:
    return len({labeled.models for labeled in differences}) > 1


def _row(labeled: LabeledDifference, markdown: Markdown, *, is_labeled: bool) -> tuple[str, str]:
    """Return the two cells of a difference. More cells would not fit on a telephone."""
    difference = labeled.difference
    models = [f"in the {labeled.models}"] if is_labeled else []
    phrases = map(markdown.text, (describe(difference, labeled.sides), meaning(difference)))
    return "<br>".join([markdown.path(difference.path), *models]), "<br>".join(filter(None, phrases))


def meaning(difference: Difference) -> str:
    """Return what a difference means for the model, such as `it is run with other packages`.

    The meaning is "" for a missing file, and for a file of which only hashes were compared.
    """
    explanation = difference.explanation
    if difference.rewrite_reason:
        is_known = explanation is not None and explanation.summary == difference.rewrite_reason
        return f"no change of the model{'' if is_known else f': {difference.rewrite_reason}'}"
    if difference.kind is DifferenceKind.TYPE:
        return "the models are built differently"
    if difference.kind is not DifferenceKind.CONTENT:
        # The difference itself says that the other model lacks it.
        return ""
    if explanation is None:
        is_read = difference.offset is not None
        return KindWords().changed if is_read else "the sizes differ; the bytes were not compared"
    if explanation.unmet_condition:
        return unmet_condition(explanation)
    if explanation.kind == DIGEST:
        # A remark on the seal says it once for all files.
        return ""
    return _meaning_of_bytes(difference, explanation) if explanation.note else _explained_meaning(explanation)


def _meaning_of_bytes(difference: Difference, explanation: Explanation) -> str:
    """Return what is known of a difference if the files could not be read in the format of their name."""
    if not _COUNTED_BYTES.match(explanation.summary):
        return f"other content; {explanation.note}"
    reason = _NOT_EXPLAINED.sub("", explanation.note)
    first = "" if difference.offset is None else f"; the first that differs is byte {difference.offset:,}"
    return f"All bytes were compared{first}. Which content changed is not shown: {reason}."


def _explained_meaning(explanation: Explanation) -> str:
    fields = [field for field in explanation.fields if not field.rewrite_reason]
    if explanation.only_random:
        return f"saved again: only {explanation.only_random} differ"
    if explanation.kind == MLMODEL:
        meanings = list(dict.fromkeys(field.meaning for field in fields if field.meaning))
        more = ["…"] if len(meanings) > _MAX_MEANINGS else []
        return "; ".join([*meanings[:_MAX_MEANINGS], *more]) or "its description changed"
    is_environment = bool(fields) and all(field.meaning == ENVIRONMENT_SETTING for field in fields)
    if is_environment and not explanation.is_cut:
        return "the same packages, other settings of the environment"
    if explanation.kind == "pickle" and any(field.field == "global" for field in fields):
        return "it refers to other classes or functions"
    words = words_for(explanation)
    return words.same_values if explanation.has_same_values else words.changed


def _explanations(differences: Sequence[LabeledDifference], markdown: Markdown, remaining: int) -> Iterator[str]:
    """Yield a collapsible section for each difference that has an explanation, up to `remaining` bytes in total."""
    for labeled in differences:
        section = _explanation(labeled, markdown)
        remaining -= size_in_bytes([section])
        if remaining < 0:
            yield "What else is known of these files is in the report."
            return
        if section:
            yield section


def _explanation(labeled: LabeledDifference, markdown: Markdown) -> str:
    difference = labeled.difference
    explanation = difference.explanation
    if explanation is None:
        return ""
    decisive = [field for field in explanation.fields if not field.rewrite_reason]
    rewritten = [field for field in explanation.fields if field.rewrite_reason]
    columns = (words_for(explanation).part, markdown.cell(arrow(labeled.sides)))
    title = f"{markdown.path(difference.path)}: {markdown.text(describe(difference, labeled.sides))}"
    return collapsible(
        title,
        [
            _whole_path(difference.path, markdown),
            _facts(labeled, explanation, markdown),
            markdown.text(f"Note: {explanation.note}.") if explanation.note else "",
            markdown.text(f"{capitalized(unmet_condition(explanation))}.") if explanation.unmet_condition else "",
            markdown.text(explanation.advice),
            _decisive_fields(columns, decisive, markdown),
            _text_diff(explanation, markdown),
            _rewritten_fields(columns, rewritten, is_all=not decisive, markdown=markdown),
            "There is more than is shown here." if explanation.is_cut else "",
        ],
    )


def _whole_path(path: str, markdown: Markdown) -> str:
    """Return a path that the title and the table shorten, otherwise ""."""
    whole = markdown.path(path, _MAX_WHOLE_PATH)
    return f"The whole path: {whole}" if whole != markdown.path(path) else ""


def _facts(labeled: LabeledDifference, explanation: Explanation, markdown: Markdown) -> str:
    difference = labeled.difference
    size = sizes(difference)
    offset = "" if difference.offset is None else f"the first byte that differs is byte {difference.offset:,}"
    facts = ", ".join(filter(None, (size, offset)))
    rewrite = f" It says nothing about the model: {difference.rewrite_reason}." if difference.rewrite_reason else ""
    return markdown.text(
        f"In the {labeled.models}, read as {explanation.kind}{f': {facts}' if facts else ''}.{rewrite}"
    )


def _decisive_fields(columns: tuple[str, str], fields: Sequence[FieldChange], markdown: Markdown) -> str:
    """Return a table of at most 15 changed fields that are not rewritten. A second line has the meaning, if it has one.

    A rewritten field is one that MLflow or a file format changes whenever the same model is saved again.
    """
    if not fields:
        return ""
    rows = [_field_row(field, field.meaning, markdown) for field in fields[:_MAX_FIELDS]]
    section = table(columns, rows, "ll")
    if len(fields) > _MAX_FIELDS:
        section += f"\n\n… and {len(fields) - _MAX_FIELDS:,} more, in the report."
    return section


def _rewritten_fields(
    columns: tuple[str, str], fields: Sequence[FieldChange], *, is_all: bool, markdown: Markdown
) -> str:
    """Return a table of at most 15 rewritten fields. The table is collapsible unless only rewritten fields differ.

    A rewritten field is one that MLflow or a file format changes whenever the same model is saved again.
    """
    if not fields:
        return ""
    rows = [_field_row(field, f"rewritten: {field.rewrite_reason}", markdown) for field in fields[:_MAX_FIELDS]]
    section = table(columns, rows, "ll")
    names = ", ".join(markdown.code(field.field) for field in fields[:_MAX_FIELDS])
    return section if is_all else collapsible(f"What is rewritten anyway: {names}", [section])


def _field_row(field: FieldChange, remark: str, markdown: Markdown) -> tuple[str, str]:
    values = f"{_value(field.left, markdown)} → {_value(field.right, markdown)}"
    return markdown.code(field.field), "<br>".join(filter(None, (values, markdown.cell(remark))))


def _value(value: str | None, markdown: Markdown) -> str:
    if value is not None and _DIGEST.fullmatch(value):
        # The report has the whole digest.
        value = f"{value[:_SHOWN_DIGITS]}…"
    return "not there" if value is None else markdown.code(value) or "empty"


def _text_diff(explanation: Explanation, markdown: Markdown) -> str:
    if not explanation.lines:
        return ""
    return fenced([truncate_middle(markdown.redactor.text(line), _MAX_LINE) for line in explanation.lines], "diff")
