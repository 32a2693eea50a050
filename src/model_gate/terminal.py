"""A verdict as text that fits one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_gate.difference import Difference, DifferenceKind, Explanation
from model_gate.errors import ModelGateError
from model_gate.lineage import ModelVersion
from model_gate.model import shown_path
from model_gate.request import CheckRequest, CompareRequest, DiffRequest, VersionRequest
from model_gate.result import Comparison, Outcome
from model_gate.verdict import Require, Status

# Lines for differences and their details, by how many comparisons differ: all of it must fit 24 lines.
_ROOM = {1: 14, 2: 6}
_MAX_DIFFERENCES = 6
_MAX_DETAILS = 4
_MAX_PATH = 100
_NAMES = {
    "comparison": "models",
    "run_model_comparison": "run models",
    "reg_model_comparison": "registry models",
}


def verdict_text(outcome: Outcome, report_file: Path | None) -> str:
    """What was compared, the verdict, the first differences and where the report is."""
    lines = [*_asked(outcome), ""]
    told: dict[int, str] = {}
    room = _ROOM.get(len({id(each) for each in outcome.comparisons.values() if not each.equals}), 0)
    for name, comparison in outcome.comparisons.items():
        if id(comparison) in told:
            word = "equal" if comparison.equals else "different"
            lines.append(
                f"{_name(name, outcome)}: {word} too, being at the same locations as the {told[id(comparison)]}"
            )
            continue
        told[id(comparison)] = _name(name, outcome)
        lines += _comparison(_name(name, outcome), comparison, room)
    lines += ["", _verdict(outcome)]
    if report_file is not None:
        lines.append(f"Report: {report_file}")
    return "\n".join(lines)


def error_text(error: ModelGateError) -> str:
    """The error as a sentence, and what to do."""
    remedy = f"\n  {error.remedy}" if error.remedy else ""
    return f"error: {error.message}{remedy}"


def _name(name: str, outcome: Outcome) -> str:
    return "run model and registry model" if isinstance(outcome.request, CheckRequest) else _NAMES[name]


def _asked(outcome: Outcome) -> Iterator[str]:
    request = outcome.request
    if isinstance(request, CheckRequest):
        yield f"check    {_version(request.version, outcome.versions.get('model_version'))}"
    elif isinstance(request, CompareRequest):
        yield f"compare  {_version(request.tracking_server_1, outcome.versions.get('tracking_server_1'))}"
        yield f"with     {_version(request.tracking_server_2, outcome.versions.get('tracking_server_2'))}"
    elif isinstance(request, DiffRequest):
        comparison = outcome.comparisons["comparison"]
        yield f"diff     {shown_path(comparison.left.location.uri)}"
        yield f"with     {shown_path(comparison.right.location.uri)}"


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
        yield f"  {shown_path(left.location.uri)}"
    elif comparison.equals:
        digest = f", sha256 {left.digest[:12]}…" if left.digest else ""
        yield f"{name}{native}: equal ({_count(left.files, 'file')}, {left.size:,} bytes{digest})"
    else:
        equivalent = ", but equivalent" if comparison.equivalent else ""
        count = _count(len(comparison.differences), "difference")
        yield f"{name}{native}: different{equivalent}, {count} in {_count(comparison.compared, 'path')}"
        yield from _differences(comparison.differences, room)
        if comparison.not_compared:
            yield f"  {_count(comparison.not_compared, 'file')} of equal size not fetched, since that already decides"
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
    # What matters first: a difference that MLflow makes by itself is the last thing to look at.
    ordered = sorted(differences, key=lambda difference: bool(difference.identity))
    shown = ordered[: min(_MAX_DIFFERENCES, room - 1)]
    more = len(ordered) - len(shown)
    room -= len(shown) + bool(more)
    for difference in shown:
        identity = f"  [{difference.identity}]" if difference.identity else ""
        yield f"  {_shown_path(difference.path)}: {describe(difference)}{identity}"
        details = list(_details(difference.explanation, room)) if difference.explanation is not None else []
        room -= len(details)
        yield from details
    if more:
        yield f"  … and {more:,} more, in the report"


def _shown_path(path: str) -> str:
    text = shown_path(path)
    half = _MAX_PATH // 2
    return text if len(text) <= _MAX_PATH else f"{text[:half]}…{text[-half:]}"


def describe(difference: Difference) -> str:
    """One difference in one phrase."""
    if difference.kind is DifferenceKind.ONLY_LEFT:
        return f"only in the first model ({_count(difference.left_size or 0, 'byte')})"
    if difference.kind is DifferenceKind.ONLY_RIGHT:
        return f"only in the second model ({_count(difference.right_size or 0, 'byte')})"
    if difference.kind is DifferenceKind.TYPE:
        return f"a {difference.left_type} in the first model, a {difference.right_type} in the second"
    sizes = f"{difference.left_size:,} bytes"
    if difference.left_size != difference.right_size:
        sizes = f"{difference.left_size:,} → {difference.right_size:,} bytes"
    where = "" if difference.offset is None else f", first at byte {difference.offset:,}"
    return f"content differs ({sizes}{where})"


def _details(explanation: Explanation, room: int) -> Iterator[str]:
    changes = [f"{each.field}: {_shown(each.left)} → {_shown(each.right)}" for each in explanation.fields]
    details = changes or list(explanation.lines)
    most = min(_MAX_DETAILS, room)
    if len(details) > most:
        # The last line says that there is more.
        details = [*details[: most - 1], "…"] if most > 1 else []
    for detail in details:
        yield f"      {shown_path(detail)[:120]}"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _verdict(outcome: Outcome) -> str:
    status = outcome.status
    word = str(status).upper()
    if status is Status.EQUAL:
        return word
    if outcome.equivalent:
        passed = "passed" if outcome.passed else "not passed: identical is required, see --require equivalent"
        return f"{word}, but equivalent: only what MLflow itself rewrites differs ({passed})"
    required = " (equivalent is required)" if outcome.require is Require.EQUIVALENT else ""
    return f"{word}{required}"
