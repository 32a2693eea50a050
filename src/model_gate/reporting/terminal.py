"""A verdict as text that fits one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_gate.domain.difference import Difference, FieldChange
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.verdict import Require, Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import plural, printable
from model_gate.errors import ModelGateError
from model_gate.reporting.phrases import describe, in_order

# Lines for differences and their details, by how many comparisons differ: all of it must fit 24 lines.
_ROOM = {1: 14, 2: 6}
_MAX_DIFFERENCES = 6
_MAX_DETAILS = 4
_MAX_IGNORED = 3
_MAX_WIDTH = 120
_MAX_PATH = 100


def verdict_text(outcome: Outcome, report_file: Path | None) -> str:
    """What was compared, the verdict, the first differences and where the report is."""
    lines = [*_request_lines(outcome), ""]
    shown: dict[int, str] = {}
    room = _ROOM.get(len({id(each) for each in outcome.comparisons.values() if not each.equals}), 0)
    for name, comparison in outcome.comparisons.items():
        title = outcome.model_names(name).title
        if id(comparison) in shown:
            word = "equal" if comparison.equals else "different"
            lines.append(f"{title}: {word} too, being at the same locations as the {shown[id(comparison)]}")
            continue
        shown[id(comparison)] = title
        lines += _comparison(title, comparison, room)
    lines += ["", _verdict(outcome)]
    if report_file is not None:
        lines.append(f"Report: {report_file}")
    return "\n".join(lines)


def error_text(error: ModelGateError) -> str:
    """The error as a sentence, and what to do."""
    remedy = f"\n  {error.remedy}" if error.remedy else ""
    return f"error: {error.message}{remedy}"


def _request_lines(outcome: Outcome) -> Iterator[str]:
    if outcome.request is None:
        return
    # A check has one version.
    for word, subject in zip((outcome.request.command, "with"), _subjects(outcome), strict=False):
        yield f"{word:<9}{subject}"


def _subjects(outcome: Outcome) -> list[str]:
    """Return the versions, or without versions the locations, left before right."""
    versions = outcome.requested_versions
    if versions:
        return [_version(request, outcome.versions.get(role)) for role, request in versions.items()]
    return [
        printable(model.location.uri)
        for comparison in outcome.comparisons.values()
        for model in (comparison.left, comparison.right)
    ]


def _version(asked: VersionRequest, found: ModelVersion | None) -> str:
    if found is None:
        return f"{asked.model} {asked.version_or_stage} on {asked.host.address}"
    names = [found.stage, *(f"@{alias}" for alias in found.aliases)]
    also = f" ({', '.join(filter(None, names))})" if any(names) else ""
    commit = f", commit {found.lineage.git_commit[:8]}" if found.lineage.git_commit else ""
    run = f", run {found.lineage.run_id[:8]}{commit}" if found.lineage.run_id else ""
    return f"{asked.model} version {found.version}{also} on {asked.host.address}{run}"


def _comparison(name: str, comparison: Comparison, room: int) -> Iterator[str]:
    left = comparison.left
    native = f" ({comparison.native_model} only)" if comparison.native_model else ""
    if comparison.same_location:
        yield f"{name}{native}: equal, since both are one and the same location; nothing was downloaded"
        yield f"  {printable(left.location.uri)}"
    elif comparison.equals:
        # The digest is of all files: with ignored ones, the two may have different ones.
        digest = f", sha256 {left.digest[:12]}…" if left.digest and not comparison.ignored else ""
        yield f"{name}{native}: equal ({plural(left.files, 'file')}, {left.size:,} bytes{digest})"
    else:
        equivalent = ", but equivalent" if comparison.equivalent else ""
        count = plural(len(comparison.differences), "difference")
        yield f"{name}{native}: different{equivalent}, {count} in {plural(comparison.compared, 'path')}"
        yield from _differences(comparison.differences, room - sum(1 for _ in _ignored(comparison)))
        if comparison.not_compared:
            yield f"  {plural(comparison.not_compared, 'file')} of equal size not fetched, since that already decides"
    yield from _ignored(comparison)
    if comparison.rest is not None:
        yield f"  the rest of the MLflow model: {_rest(comparison)}"


def _rest(comparison: Comparison) -> str:
    rest = comparison.rest
    if rest is None or rest.equals is None:
        return "not compared to the end"
    if rest.equals:
        return "equal"
    return f"different in {', '.join(_shown_path(each.path) for each in rest.differences[:4])}"


def _differences(differences: Sequence[Difference], room: int) -> Iterator[str]:
    ordered = in_order(differences)
    shown = ordered[: min(_MAX_DIFFERENCES, room - 1)]
    more = len(ordered) - len(shown)
    room -= len(shown) + bool(more)
    for difference in shown:
        phrase = describe(difference)
        identity = (
            f"  [{difference.rewrite_reason}]"
            if difference.rewrite_reason and difference.rewrite_reason != phrase
            else ""
        )
        yield f"  {_shown_path(difference.path)}: {phrase}{_first_byte(difference)}{identity}"
        details = list(_details(difference, room))
        room -= len(details)
        yield from details
    if more:
        yield f"  … and {more:,} more, in the report"


def _first_byte(difference: Difference) -> str:
    """Where what can only be told by its bytes begins to differ."""
    is_bytes = difference.explanation is not None and difference.explanation.kind in {"bytes", "pickle"}
    is_told = difference.explanation is not None and bool(difference.explanation.summary)
    return f", first at byte {difference.offset:,}" if is_bytes and is_told and difference.offset is not None else ""


def _shown_path(path: str) -> str:
    text = printable(path)
    half = _MAX_PATH // 2
    return text if len(text) <= _MAX_PATH else f"{text[:half]}…{text[-half:]}"


def _details(difference: Difference, room: int) -> Iterator[str]:
    """What there is to say beyond the phrase; nothing of what says nothing about the model."""
    explanation = difference.explanation
    if explanation is None or (difference.rewrite_reason and explanation.rewrite_reason):
        return
    details = [_field(each) for each in explanation.fields if not each.rewrite_reason] or list(explanation.lines)
    if len(explanation.fields) == 1 and explanation.fields[0].field in explanation.summary:
        details = []
    details = [*filter(None, [explanation.note]), *details]
    most = min(_MAX_DETAILS, room)
    if len(details) > most:
        # The last line says that there is more.
        details = [*details[: most - 1], "…"] if most > 1 else []
    for detail in details:
        yield f"      {printable(detail)[:_MAX_WIDTH]}"


def _field(change: FieldChange) -> str:
    if change.left == change.right:
        return f"{change.field}: {change.meaning}"
    meaning = f" ({change.meaning})" if change.meaning else ""
    return f"{change.field}: {_shown(change.left)} → {_shown(change.right)}{meaning}"


def _ignored(comparison: Comparison) -> Iterator[str]:
    words = {True: "the same", False: "differs", None: "not compared"}
    # What differs comes first.
    ordered = sorted(comparison.ignored, key=lambda each: each.equals is not False)
    for ignored in ordered[:_MAX_IGNORED]:
        yield f"  ignored: {_shown_path(ignored.path)} ({words[ignored.equals]})"
    if len(ordered) > _MAX_IGNORED:
        yield f"  ignored: … and {len(ordered) - _MAX_IGNORED:,} more, in the report"
    used = {each.pattern for each in comparison.ignored}
    unused = [pattern for pattern in comparison.ignore if pattern not in used]
    if unused and not comparison.same_location:
        yield f"  ignored: nothing by {', '.join(map(printable, unused))[:_MAX_WIDTH]}"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value


def _ignored_count(outcome: Outcome) -> str:
    """A verdict does not go without what it leaves out."""
    paths = {each.path: each for comparison in outcome.comparisons.values() for each in comparison.ignored}
    if not paths:
        return ""
    differing = sum(each.equals is False for each in paths.values())
    return f" ({plural(len(paths), 'path')} ignored, {differing:,} known to differ)"


def _verdict(outcome: Outcome) -> str:
    status = outcome.status
    word = str(status).upper() + _ignored_count(outcome)
    if status is Status.EQUAL:
        return word
    if outcome.equivalent:
        passed = "passed" if outcome.passed else "not passed: identical is required, see --require equivalent"
        return f"{word}, but equivalent: only what MLflow itself rewrites differs ({passed})"
    required = " (equivalent is required)" if outcome.require is Require.EQUIVALENT else ""
    return f"{word}{required}"
