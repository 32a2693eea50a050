"""Reads what a gate found from its report, for outputs of a run, which keeps only the reports of its gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_gate.domain.difference import DifferenceKind
from model_gate.domain.importance import importance_of
from model_gate.domain.roles import CommandName, ComparisonName, VersionRole
from model_gate.domain.wording import byte_count, plural, printable, truncate, truncate_middle, truncate_path

_MAX_NAME = 60
_MAX_PATH = 160
_MAX_PHRASE = 300
_MAX_LINES = 12
_TITLES = {
    ComparisonName.COMPARISON: ("run model", "registry model"),
    ComparisonName.RUN_MODELS: ("run models", "run models"),
    ComparisonName.REG_MODELS: ("registry models", "registry models"),
    ComparisonName.SEAL: ("seal", "model"),
}


@dataclass(frozen=True)
class DifferenceDetails:
    """A difference, in printable texts.

    Attributes:
        path: The path of the file.
        phrase: What differs.
        lines: More about it: changed fields or lines.
    """

    path: str
    phrase: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonDetails:
    """A comparison of a gate, in printable texts.

    Attributes:
        title: What was compared, as in `run model and registry model`.
        result: The result, as in `different: 2 of 5 files differ`.
        differences: The most important differences.
        hidden: Number of the other differences.
    """

    title: str
    result: str
    differences: tuple[DifferenceDetails, ...]
    hidden: int


def compared_versions(report: Mapping[str, Any]) -> list[str]:
    """Return the versions of a gate, as in `Wine version 12 on staging, run 0a1b2c3d`."""
    return [_version(version) for version in _versions(report).values()]


def comparison_details(report: Mapping[str, Any], max_differences: int) -> list[ComparisonDetails]:
    """Return the comparisons of a gate, each with at most this number of differences.

    Comparisons of the same files, as those of run models and registry models can be, are one.
    """
    found = [(name, report[name]) for name in ComparisonName if name in report]
    distinct = [pair for index, pair in enumerate(found) if pair[1] not in [data for _, data in found[:index]]]
    return [
        _comparison([other for other, same in found if same == data], data, _sides(name, report), max_differences)
        for name, data in distinct
    ]


def _versions(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if VersionRole.MODEL_VERSION in report:
        return {VersionRole.MODEL_VERSION: report[VersionRole.MODEL_VERSION]}
    return dict(report.get("model_versions", {}))


def _version(version: Mapping[str, Any]) -> str:
    requested, resolved = version["requested"], version["resolved"]
    model = _short(requested["model"])
    server = _short(version.get("server") or version["host"])
    if resolved is None:
        return f"{model} {_short(requested['version_or_stage'])} on {server}"
    run = resolved["run"].get("run_id") or ""
    return f"{model} version {_short(resolved['version'])} on {server}{f', run {_short(run[:8])}' if run else ''}"


def _sides(name: str, report: Mapping[str, Any]) -> tuple[str, str]:
    """Return names of the two models of a comparison."""
    versions = list(_versions(report).values())
    if name in {ComparisonName.RUN_MODELS, ComparisonName.REG_MODELS} and len(versions) > 1:
        left, right = map(_short_version, versions)
        return (left, right) if left != right else ("the first model", "the second model")
    if report["command"] == CommandName.DIFF:
        return "the left model", "the right model"
    left, right = _TITLES[ComparisonName(name)]
    return f"the {left}", f"the {right}"


def _short_version(version: Mapping[str, Any]) -> str:
    resolved = version["resolved"]
    number = version["requested"]["version_or_stage"] if resolved is None else f"v{resolved['version']}"
    return f"{_short(version.get('server') or version['host'])} {_short(number)}"


def _short(text: object) -> str:
    return truncate_middle(printable(str(text)), _MAX_NAME)


def _comparison(
    names: Sequence[ComparisonName], data: Mapping[str, Any], sides: tuple[str, str], limit: int
) -> ComparisonDetails:
    titles = [title for name in names for title in _TITLES[name]]
    ordered = sorted(data["differences"], key=_rank)
    shown = tuple(_difference(difference, sides) for difference in ordered[:limit])
    return ComparisonDetails(
        " and ".join(dict.fromkeys(titles)), _result(data), shown, data["differences_count"] - len(shown)
    )


def _rank(difference: Mapping[str, Any]) -> tuple[bool, int]:
    return "identity" in difference, importance_of(difference["path"])


def _result(data: Mapping[str, Any]) -> str:
    if data["same_location"]:
        return "the same files: one location, nothing to compare"
    ignored = data.get("ignored", {}).get("count", 0)
    native = f", only of {_short(data['native_model'])}" if data["native_model"] else ""
    limits = native + (f", {plural(ignored, 'ignored file')} apart" if ignored else "")
    if data["equals"]:
        return f"equal: {plural(data['compared'], 'file')}{limits}"
    word = "different, but equivalent" if data["equivalent"] else "different"
    open_paths = f", {plural(data['not_compared'], 'file')} not compared" if data["not_compared"] else ""
    count = data["differences_count"]
    verb = "rewritten" if data["equivalent"] else "differs" if count == 1 else "differ"
    return f"{word}: {count:,} of {plural(data['compared'], 'file')} {verb}{open_paths}{limits}"


def _difference(difference: Mapping[str, Any], sides: tuple[str, str]) -> DifferenceDetails:
    explanation = difference.get("explanation", {})
    lines = [*filter(None, (explanation.get("note"), explanation.get("unmet_condition"))), *_changes(explanation)]
    if len(lines) > _MAX_LINES:
        lines = [*lines[: _MAX_LINES - 1], "…"]
    return DifferenceDetails(
        truncate_path(printable(difference["path"]), _MAX_PATH),
        truncate(printable(_phrase(difference, explanation, sides)), _MAX_PHRASE),
        # An escape is longer than its character, so a line is cut before and after.
        tuple(truncate(printable(truncate(line, _MAX_PHRASE)), _MAX_PHRASE) for line in lines),
    )


def _phrase(difference: Mapping[str, Any], explanation: Mapping[str, Any], sides: tuple[str, str]) -> str:
    kind, rewrite = difference["kind"], difference.get("identity", "")
    sizes = [size for size in (difference["left_size"], difference["right_size"]) if size is not None]
    if kind in {DifferenceKind.ONLY_LEFT, DifferenceKind.ONLY_RIGHT}:
        size = f" ({byte_count(sizes[0])})" if sizes else ""
        return f"only in {sides[kind == DifferenceKind.ONLY_RIGHT]}{size}"
    if kind == DifferenceKind.TYPE:
        return f"a {difference.get('left_type')} in {sides[0]}, a {difference.get('right_type')} in {sides[1]}"
    summary = explanation.get("summary") or _content(sizes)
    return f"{summary} [{rewrite}]" if rewrite and rewrite != summary else summary


def _content(sizes: list[int]) -> str:
    if not sizes:
        return "content differs"
    size = byte_count(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]:,} → {byte_count(sizes[-1])}"
    return f"content differs ({size})"


def _changes(explanation: Mapping[str, Any]) -> Iterator[str]:
    """Yield the changed fields that decide, or the changed lines."""
    fields = [field for field in explanation.get("fields", ()) if not field["identity"]]
    for field in fields:
        meaning = f" ({field['meaning']})" if field["meaning"] else ""
        yield f"{field['field']}: {_value(field['left'])} → {_value(field['right'])}{meaning}"
    if not fields:
        yield from explanation.get("lines", ())


def _value(value: str | None) -> str:
    return "(none)" if value is None else value
