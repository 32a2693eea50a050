"""What differs, for the step's summary: a line for each file, and behind it all that its explanation says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model_gate.action.escape import cut, fenced
from model_gate.action.markdown import Markdown, folded, row, size_of, table
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.model import MLMODEL
from model_gate.domain.wording import printable
from model_gate.reporting.phrases import describe, rank

# A difference and what it was found in, as in `Run models and Registry models`.
Found = tuple[str, Difference]

FIRST = 8
_MOST = 500
_MAX_FIELDS = 15
_MAX_MEANINGS = 3
# What all files together may take that are told in full.
_DETAILS_BYTES = 128 * 1024

# What a kind calls its parts.
_PARTS = {
    MLMODEL: "Field",
    "packages": "Package",
    "archive": "Member",
    "safetensors": "Tensor",
    "npy": "Array",
    "pickle": "Part",
}
_OTHER_CONTENT = "other content: trained, saved or edited anew"


def in_order(found: Sequence[Found]) -> list[Found]:
    """What decides first, as in annotations; what is rewritten anyway last."""
    return sorted(found, key=lambda each: rank(each[1]))


def first_differences(found: Sequence[Found], page: Markdown) -> list[str]:
    """The first of them in a table, and each in full behind its name. `found` is in order."""
    if not found:
        return []
    rows = [_line(where, each, page) for where, each in found[:FIRST]]
    more = f"… and {len(found) - FIRST:,} more, below and in the report." if len(found) > FIRST else ""
    return ["### What differs", _lines(rows), more, *_details(found[:FIRST], page)]


def all_differences(found: Sequence[Found], page: Markdown, room: int) -> list[str]:
    """A line for every difference, as far as there is room for these bytes; nothing if all have been told."""
    if len(found) <= FIRST:
        return []
    opening = f"<details><summary>All {len(found):,} differences</summary>"
    rows: list[tuple[str, ...]] = []
    # The frame of the table, and the sentence that there is more.
    room -= 1_000
    for where, each in found[:_MOST]:
        line = _line(where, each, page)
        room -= len(row(line).encode()) + 1
        if room < 0:
            break
        rows.append(line)
    more = f"{len(found) - len(rows):,} more are in the report." if len(rows) < len(found) else ""
    return [opening, _lines(rows), more, "</details>"]


def _lines(rows: list[tuple[str, ...]]) -> str:
    return table(("Path", "In", "Difference", "What it means"), rows, "llll")


def _line(where: str, difference: Difference, page: Markdown) -> tuple[str, ...]:
    return (
        page.code(printable(difference.path)),
        where.lower(),
        page.text(describe(difference)),
        page.text(meaning(difference)),
    )


def meaning(difference: Difference) -> str:
    """What a reader should make of a difference."""
    explanation = difference.explanation
    if difference.rewrite_reason:
        return f"nothing about the model: {difference.rewrite_reason}"
    if difference.kind is DifferenceKind.TYPE:
        return "the models are built differently"
    if difference.left_size is None or difference.right_size is None:
        return "one of the models lacks it"
    if explanation is None:
        return _OTHER_CONTENT if difference.offset is not None else "the sizes tell it; the bytes were not needed"
    if explanation.note:
        return "it is not what its name says, or too large or damaged to be explained"
    return _meaning_of(explanation)


def _meaning_of(explanation: Explanation) -> str:
    fields = [each for each in explanation.fields if not each.rewrite_reason]
    if explanation.kind == MLMODEL:
        meanings = list(dict.fromkeys(each.meaning for each in fields if each.meaning))
        more = ["…"] if len(meanings) > _MAX_MEANINGS else []
        return "; ".join([*meanings[:_MAX_MEANINGS], *more]) or "its description changed"
    if explanation.kind == "packages":
        return "it is run with other packages" if fields else "the same packages, asked for in other words"
    if explanation.kind == "pickle" and any(each.field == "global" for each in fields):
        return "it refers to other classes or functions"
    if explanation.kind in {"safetensors", "npy"}:
        return "other weights: trained or edited anew" if fields else "the same values, saved in another way"
    if explanation.kind in {"JSON", "YAML"}:
        return "other settings or data" if fields else "the same values, written in another way"
    if explanation.kind == "text":
        return "other text or code"
    return _OTHER_CONTENT


def _details(found: Sequence[Found], page: Markdown) -> Iterator[str]:
    """Each file in full, behind its name, as far as there is room."""
    room = _DETAILS_BYTES
    for where, each in found:
        told = _detail(where, each, page)
        room -= size_of([told])
        if room < 0:
            yield "What else is known of these files is in the report."
            return
        if told:
            yield told


def _detail(where: str, difference: Difference, page: Markdown) -> str:
    explanation = difference.explanation
    if explanation is None:
        # The table has said it all.
        return ""
    decisive = [each for each in explanation.fields if not each.rewrite_reason]
    rewritten = [each for each in explanation.fields if each.rewrite_reason]
    part = _PARTS.get(explanation.kind, "Path")
    title = f"{page.code(printable(difference.path))}: {page.text(describe(difference))}"
    return folded(
        title,
        [
            _facts(where, difference, explanation, page),
            page.text(f"Note: {explanation.note}.") if explanation.note else "",
            _fields(part, decisive, page),
            _lines_of(explanation, page),
            _rewritten(part, rewritten, is_all=not decisive, page=page),
            "There is more than is shown here." if explanation.is_cut else "",
        ],
    )


def _facts(where: str, difference: Difference, explanation: Explanation, page: Markdown) -> str:
    sizes = f"{difference.left_size:,} bytes"
    if difference.left_size != difference.right_size:
        sizes = f"{difference.left_size:,} → {difference.right_size:,} bytes"
    offset = "" if difference.offset is None else f", the first that differs is byte {difference.offset:,}"
    says = f" It says nothing about the model: {difference.rewrite_reason}." if difference.rewrite_reason else ""
    return page.text(f"In the {where.lower()}, read as {explanation.kind}: {sizes}{offset}.{says}")


def _fields(part: str, fields: Sequence[FieldChange], page: Markdown) -> str:
    """The parts that differ, in a table with a column for meanings if there are any."""
    if not fields:
        return ""
    has_meanings = any(each.meaning for each in fields)
    head = (part, "First model", "Second model", *(["What it means"] if has_meanings else []))
    rows = [
        (
            page.code(each.field),
            _value(each.left, page),
            _value(each.right, page),
            *([page.cell(each.meaning)] if has_meanings else []),
        )
        for each in fields[:_MAX_FIELDS]
    ]
    told = table(head, rows, "l" * len(head))
    if len(fields) > _MAX_FIELDS:
        told += f"\n\n… and {len(fields) - _MAX_FIELDS:,} more, in the report."
    return told


def _rewritten(part: str, fields: Sequence[FieldChange], *, is_all: bool, page: Markdown) -> str:
    """The fields that say nothing about the model: behind a title of their own where others say more."""
    if not fields:
        return ""
    head = (part, "First model", "Second model", "Rewritten anyway")
    rows = [
        (page.code(each.field), _value(each.left, page), _value(each.right, page), page.cell(each.rewrite_reason))
        for each in fields[:_MAX_FIELDS]
    ]
    told = table(head, rows, "llll")
    names = ", ".join(page.code(each.field) for each in fields[:_MAX_FIELDS])
    return told if is_all else folded(f"What is rewritten anyway: {names}", [told])


def _value(value: str | None, page: Markdown) -> str:
    return "not there" if value is None else page.code(value) or "empty"


def _lines_of(explanation: Explanation, page: Markdown) -> str:
    return (
        fenced([cut(page.redactor.text(each), 200) for each in explanation.lines], "diff") if explanation.lines else ""
    )
