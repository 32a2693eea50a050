"""The outputs of a run of many gates: those of the whole under the names of a single gate, and the gates as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from model_gate.action.outputs import OUTPUTS, WrittenFiles, harmless, truth
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.verdict import Status
from model_gate.domain.wording import COMMAND_IN_LINE
from model_gate.reporting.run_wording import Rows, worst_first

# An output of GitHub has at most 1 MiB in UTF-16, in which each of these characters takes two bytes.
MAX_CHARACTERS = 500_000
# The fields of a comparison that have the digests of its two models.
_MODELS = (("run_model", "reg_model"), ("tracking_server_1", "tracking_server_2"), ("seal", "model"))


def run_outputs_of(
    rows: Rows, totals: RunTotals, written: WrittenFiles, max_characters: int = MAX_CHARACTERS
) -> dict[str, str]:
    """Return the outputs of a finished run by name. A value that applies only to a single gate is "".

    Args:
        rows: Reads the rows in the order of the gates files. They are read several times, and never all kept.
        totals: The totals of these rows.
        written: The files that the run wrote.
        max_characters: The maximum length of the output `gates`.
    """
    # Of no gates, nobody has compared anything.
    is_decided = totals.status is not Status.ERROR and totals.gates > 0
    gates, is_truncated = _gates(rows, max_characters)
    return dict.fromkeys(OUTPUTS, "") | {
        "status": str(totals.status),
        "equals": truth(totals.status is Status.EQUAL) if is_decided else "",
        "equivalent": truth(all(row.equivalent for row in rows())) if is_decided else "",
        "passed": truth(totals.passed),
        "same-location": truth(any(_has_same_location(row.report) for row in rows())) if is_decided else "",
        "report-file": harmless(written.report),
        "summary-file": harmless(written.summary),
        "gates": gates,
        "gates-truncated": truth(is_truncated),
    }


def _gates(rows: Rows, max_characters: int) -> tuple[str, bool]:
    """Return the gates as JSON, and whether fields or gates are missing since they do not fit."""
    text = _text(_entries(rows(), _details), max_characters)
    if text is not None:
        return text, False
    # Of too many gates, those that passed are missing.
    short = list(_entries(worst_first(rows()), _verdict))
    text = _text(iter(short), max_characters)
    while text is None:
        short = short[: len(short) * 9 // 10]
        text = _text(iter(short), max_characters)
    return text, True


def _text(entries: Iterator[tuple[str, Mapping[str, Any]]], max_characters: int) -> str | None:
    """Return the entries as one JSON mapping; None as soon as it is too long."""
    parts, size = [], 2
    for name, entry in entries:
        part = f"{_json(name)}:{_json(entry)}"
        size += len(part) + 1
        if size > max_characters:
            return None
        parts.append(part)
    return f"{{{','.join(parts)}}}"


def _json(value: object) -> str:
    # In ASCII, no character is invisible or ends the line.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return COMMAND_IN_LINE.sub(r"\1\\u005b", text)


def _entries(
    rows: Iterable[GateRow], fields: Callable[[GateRow], Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the entry of each gate. If a secret was cut out of two names, the second has a number."""
    used: set[str] = set()
    for row in rows:
        name, number = row.name, 1
        while name in used:
            number += 1
            name = f"{row.name} ({number})"
        used.add(name)
        yield name, fields(row)


def _verdict(row: GateRow) -> Mapping[str, Any]:
    return {"status": str(row.status), "passed": row.passed}


def _details(row: GateRow) -> Mapping[str, Any]:
    return {**_verdict(row), "equivalent": row.equivalent, **_versions(row.report), **_comparison(row.report)}


def _versions(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the models and the numbers of the versions under the names of a single gate's outputs."""
    found = {VersionRole.MODEL_VERSION: report.get(VersionRole.MODEL_VERSION), **report.get("model_versions", {})}
    suffixes = {VersionRole.TRACKING_SERVER_1: "-1", VersionRole.TRACKING_SERVER_2: "-2"}
    values = {}
    for role, version in found.items():
        if version is not None and version["resolved"] is not None:
            suffix = suffixes.get(VersionRole(role), "")
            values[f"model{suffix}"] = version["resolved"]["name"]
            values[f"version{suffix}"] = version["resolved"]["version"]
    return values


def _comparison(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the digests of the first comparison, and the number of differences of all."""
    comparisons = [report[name] for name in ComparisonName if name in report]
    if not comparisons:
        return {}
    left, right = next((names for names in _MODELS if names[0] in comparisons[0]), _MODELS[0])
    return {
        "digest-1": _digest(comparisons[0].get(left, {})),
        "digest-2": _digest(comparisons[0].get(right, {})),
        "differences": sum(comparison["differences_count"] for comparison in comparisons),
        "same-location": _has_same_location(report),
    }


def _has_same_location(report: Mapping[str, Any]) -> bool:
    """Return whether any two models of a gate are one location, so that they were not compared."""
    return any(report[name]["same_location"] for name in ComparisonName if name in report)


def _digest(model: Mapping[str, Any]) -> str:
    return model.get("local_path", model).get("hash") or ""
