"""Formats a verdict or an error for the terminal, on one screen of text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_gate.domain.difference import Difference, FieldChange
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ComparisonName
from model_gate.domain.seal import Seal
from model_gate.domain.verdict import Require, Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import byte_count, plural, printable
from model_gate.errors import ModelGateError
from model_gate.reporting.findings import details_of_shared_files, phrases_of_shared_files, result_of, seal_remarks
from model_gate.reporting.judgement import judgement
from model_gate.reporting.naming import SideNames, heading_parts, side_names
from model_gate.reporting.phrases import (
    NOTHING_COMPARED,
    REWRITTEN,
    describe,
    difference_line,
    in_order,
    more_in_report,
    named_paths,
    not_compared_text,
    unmet_condition,
    why_not_compared,
)
from model_gate.reporting.predictions import predictions
from model_gate.reporting.scope import limits_of_all, limits_of_equality
from model_gate.reporting.seal_names import seal_title
from model_gate.reporting.shortening import short_identifier, short_path, short_text

# Maximum number of lines for the differences of one comparison, by the number of comparisons that differ. These limits
# keep the whole text within 24 lines.
_LINES_PER_COMPARISON = {1: 13, 2: 5}
_MAX_DIFFERENCES = 6
_MAX_DETAILS = 4
_MAX_IGNORED = 3
_MAX_WIDTH = 120
_MAX_PATH = 100


def verdict_text(outcome: Outcome, report_file: Path | None) -> str:
    """Return a text with the models, at most 6 differences of each comparison, the verdict and the report's path."""
    if outcome.status is Status.SEALED and outcome.seal is not None:
        return "\n".join(map(printable, _seal_lines(outcome, outcome.seal, report_file)))
    lines = [*_request_lines(outcome), ""]
    room, why = _room(outcome), why_not_compared(outcome)
    for names, comparison in outcome.distinct_comparisons:
        title = outcome.model_names(names[0]).title
        lines += _comparison_lines(title, comparison, room, side_names(outcome, names[0]), why)
        word, _ = result_of(comparison)
        for name in names[1:]:
            models, known = phrases_of_shared_files(outcome, names[0], name)
            lines.append(f"{models}: {word}{details_of_shared_files(comparison, known)}")
    lines += ["", *filter(None, (summary_line(outcome), predictions_line(outcome)))]
    lines += [*(f"{remark}." for remark in seal_remarks(outcome)), _verdict(outcome)]
    if report_file is not None:
        lines.append(f"Report: {report_file}")
    # A name with a line break must not look like a line of the verdict.
    return "\n".join(map(printable, lines))


def _seal_lines(outcome: Outcome, seal: Seal, report_file: Path | None) -> Iterator[str]:
    yield from (f"{'seal':<9}{subject}" for subject in _subjects(outcome))
    size = "" if seal.size is None else f", {byte_count(seal.size)}"
    yield f"  {plural(len(seal.files), 'file')}{size}, root sha256 {seal.statement.root}"
    yield from ("", f"SEALED: {seal.file}")
    if report_file is not None:
        yield f"Report: {report_file}"


def summary_line(outcome: Outcome) -> str:
    """Return the result of a gate in one line, such as `Wine: staging v12 ≠ production v7 (the weights differ)`.

    The line names what was compared, and is "" if that is not known. What differs follows the only comparison that
    differs. The line is not redacted.
    """
    (names, others), words = heading_parts(outcome), judgement(outcome)
    judged = f"{names} ({words})" if names and words else names
    return f"{judged}; {others}" if others else judged


def predictions_line(outcome: Outcome) -> str:
    """Return whether the predictions can differ, as in `Predictions: can differ: the weights differ`; "" if unknown.

    It is not redacted.
    """
    words = predictions(outcome)
    return f"Predictions: {words}" if words else ""


def unlisted_differences(outcome: Outcome) -> list[tuple[Difference, SideNames]]:
    """Return the differences that `verdict_text` counts but does not list, with the names of their models."""
    unlisted: list[tuple[Difference, SideNames]] = []
    room = _room(outcome)
    for names, comparison in outcome.distinct_comparisons:
        sides = side_names(outcome, names[0])
        listed = _listed_count(room - sum(1 for _ in _ignored_lines(comparison)))
        unlisted += [(difference, sides) for difference in in_order(comparison.differences)[listed:]]
    return unlisted


def error_text(error: ModelGateError) -> str:
    """Return the message of an error, and its remedy on a second line."""
    remedy = f"\n  {printable(error.remedy)}" if error.remedy else ""
    return f"error: {printable(error.message)}{remedy}"


def _room(outcome: Outcome) -> int:
    """Return the number of lines for the differences of each comparison."""
    room = _LINES_PER_COMPARISON.get(sum(not comparison.equals for _, comparison in outcome.distinct_comparisons), 0)
    # One line is for the predictions, and one for each remark.
    return room - bool(predictions(outcome)) - len(seal_remarks(outcome))


def _listed_count(room: int) -> int:
    return max(0, min(_MAX_DIFFERENCES, room - 1))


def _request_lines(outcome: Outcome) -> Iterator[str]:
    if outcome.request is None:
        return
    # A check has one line, since it is about one version. The other commands have two lines.
    for word, subject in zip((outcome.request.command, "with"), _subjects(outcome), strict=False):
        yield f"{word:<9}{subject}"
        if outcome.seal is not None and subject == seal_title(outcome.seal):
            yield f"{'':<9}root sha256 {outcome.seal.statement.root}"


def _subjects(outcome: Outcome) -> list[str]:
    """Return what is compared: the title of each requested version or, for a diff, the locations of both models."""
    if outcome.seal is not None:
        return _sealed_subjects(outcome, outcome.seal)
    versions = outcome.requested_versions
    if versions:
        return [_version(request, outcome.versions.get(role)) for role, request in versions.items()]
    return [
        printable(model.location.uri)
        for comparison in outcome.comparisons.values()
        for model in (comparison.left, comparison.right)
    ]


def _sealed_subjects(outcome: Outcome, seal: Seal) -> list[str]:
    """Return the version or the location of the model, and the seal if the model was compared with it."""
    models = [_version(request, outcome.versions.get(role)) for role, request in outcome.requested_versions.items()]
    if outcome.is_sealed:
        return models or ["" if seal.facts is None else seal.facts.uri]
    models = models or [printable(comparison.right.location.uri) for comparison in outcome.comparisons.values()]
    # The seal of a check has a comparison besides that of the two models.
    is_seal_first = ComparisonName.COMPARISON not in outcome.comparisons and any(
        comparison.left.seal for comparison in outcome.comparisons.values()
    )
    return [seal_title(seal), *models] if is_seal_first else [*models, seal_title(seal)]


def _version(request: VersionRequest, version: ModelVersion | None) -> str:
    if version is None:
        return f"{request.model} {request.version_or_stage} on {request.host.address}"
    names = [version.stage, *(f"@{alias}" for alias in version.aliases)]
    also = f" ({', '.join(filter(None, names))})" if any(names) else ""
    commit = f", commit {short_identifier(version.lineage.git_commit)}" if version.lineage.git_commit else ""
    run = f", run {short_identifier(version.lineage.run_id)}{commit}" if version.lineage.run_id else ""
    return f"{request.model} version {version.version}{also} on {request.host.address}{run}"


def _comparison_lines(title: str, comparison: Comparison, room: int, names: SideNames, why: str) -> Iterator[str]:
    word, details = result_of(comparison)
    if comparison.same_location:
        yield f"{title}: {word}{details}"
        yield f"  {printable(comparison.left.location.uri)}"
    elif comparison.equals:
        limits, extent = limits_of_equality(comparison), _extent(comparison)
        yield f"{title}: {word}{limits}; {extent}" if limits else f"{title}: {word} ({extent})"
    else:
        yield f"{title}: {word}{details}"
        room -= sum(1 for _ in _ignored_lines(comparison))
        yield from _difference_lines(comparison.differences, room, names)
        if comparison.not_compared:
            yield f"  {not_compared_text(comparison.not_compared, why)}"
    yield from _ignored_lines(comparison)
    if comparison.rest is not None:
        yield f"  the rest of the MLflow model: {_rest(comparison)}"


def _extent(comparison: Comparison) -> str:
    """Return the number and size of the compared files of equal models.

    The digest of the files follows, unless files are ignored.
    """
    left = comparison.left
    if comparison.ignored:
        # Digests cover all files, so equal models with ignored files can have different digests.
        return f"{plural(comparison.compared, 'file')}, {byte_count(comparison.compared_bytes)}"
    digest = f", sha256 {left.digest[:12]}…" if left.digest else ""
    # Equal models have the same size, also if a seal does not say it.
    size = comparison.right.size if left.size is None else left.size
    return f"{plural(left.files, 'file')}, {byte_count(size or 0)}{digest}"


def _rest(comparison: Comparison) -> str:
    rest = comparison.rest
    if rest is None or rest.equals is None:
        return "not all files were compared"
    if rest.equals:
        return "equal"
    paths = [short_path(difference.path, _MAX_PATH) for difference in rest.differences]
    return f"different in {named_paths(paths, _MAX_DETAILS)}"


def _difference_lines(differences: Sequence[Difference], room: int, names: SideNames) -> Iterator[str]:
    ordered = in_order(differences)
    shown = ordered[: _listed_count(room)]
    hidden = len(ordered) - len(shown)
    room -= len(shown) + bool(hidden)
    for difference in shown:
        yield f"  {difference_line(difference, names, _MAX_PATH)}"
        details = list(_detail_lines(difference, room, describe(difference, names)))
        room -= len(details)
        yield from details
    if hidden:
        yield f"  … and {more_in_report(hidden, len(ordered))}"


def _detail_lines(difference: Difference, room: int, phrase: str) -> Iterator[str]:
    """Yield at most 4 lines of the explanation that the difference's phrase does not contain.

    Fields that MLflow or a file format changes when it saves the same model again are left out. The advice follows, if
    there is room.
    """
    explanation = difference.explanation
    if explanation is None or (difference.rewrite_reason and explanation.rewrite_reason):
        return
    details = [_field(change) for change in explanation.fields if not change.rewrite_reason] or list(explanation.lines)
    if len(explanation.fields) == 1 and explanation.fields[0].field in explanation.summary:
        details = []
    details = [detail for detail in details if not re.search(rf"(?:^|, ){re.escape(detail)}(?:$|, )", phrase)]
    details = [*filter(None, [explanation.note, unmet_condition(explanation)]), *details]
    limit = min(_MAX_DETAILS, room)
    if len(details) > limit:
        # The last line shows that some details are missing.
        details = [*details[: limit - 1], "…"] if limit > 1 else []
    for detail in details:
        yield f"      {short_text(detail, _MAX_WIDTH)}"
    advice = textwrap.wrap(explanation.advice, _MAX_WIDTH)
    if len(details) + len(advice) <= room:
        yield from (f"      {line}" for line in advice)


def _field(change: FieldChange) -> str:
    if change.left == change.right:
        return f"{change.field}: {change.meaning}"
    meaning = f" ({change.meaning})" if change.meaning else ""
    return f"{change.field}: {_value(change.left)} → {_value(change.right)}{meaning}"


def _value(value: str | None) -> str:
    return "(none)" if value is None else value


def _ignored_lines(comparison: Comparison) -> Iterator[str]:
    words = {True: "the same", False: "differs", None: "not compared"}
    # Paths that differ come first.
    ordered = sorted(comparison.ignored, key=lambda ignored: ignored.equals is not False)
    for ignored in ordered[:_MAX_IGNORED]:
        yield f"  ignored: {short_path(ignored.path, _MAX_PATH)} ({words[ignored.equals]})"
    if len(ordered) > _MAX_IGNORED:
        yield f"  ignored: … and {more_in_report(len(ordered) - _MAX_IGNORED, len(ordered))}"
    if comparison.unmatched_ignore and not comparison.same_location:
        verb = "matches" if len(comparison.unmatched_ignore) == 1 else "match"
        yield f"  ignored: {short_text(', '.join(comparison.unmatched_ignore), _MAX_WIDTH)} {verb} no file"


def _verdict(outcome: Outcome) -> str:
    word = str(outcome.status).upper()
    if outcome.is_nothing_compared:
        return NOTHING_COMPARED
    limits = limits_of_all(comparison for _, comparison in outcome.distinct_comparisons)
    if outcome.status is Status.EQUAL:
        return f"{word}{limits}"
    if outcome.equivalent:
        passed = "passed" if outcome.passed else "not passed: identical is required, see --require equivalent"
        return f"{word}, but equivalent{limits}: only {REWRITTEN} differs ({passed})"
    if outcome.has_only_known_rewrites:
        return f"{word}: only {REWRITTEN} is known to differ, but not all files were compared"
    required = " (equivalent is required)" if outcome.require is Require.EQUIVALENT else ""
    return f"{word}{required}"
