"""Builds the report of an outcome as JSON. `schemas/report.schema.json` describes its fields."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from model_gate.access.redaction import Redactor
from model_gate.comparison.digest import tree_digest
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.paths import path_key
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.roles import CommandName, ComparisonName, VersionRole
from model_gate.domain.seal import Seal
from model_gate.domain.version import Hop, ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError
from model_gate.formats.json_schema import first_violation, load_schema
from model_gate.formats.model_signing import OWN_ANNOTATION
from model_gate.reporting.phrases import MAX_REPORTED
from model_gate.reporting.system import SystemFacts

SCHEMA_VERSION = "1.0"
SCHEMA_FILE = "report.schema.json"
# Maximum length of each list of paths in the report. `differences_count` also counts the paths beyond this limit.

Json = dict[str, Any]


def build_report(
    command: CommandName, outcome: Outcome, options: Mapping[str, object], redactor: Redactor, system: SystemFacts
) -> Json:
    """Return the report of an outcome, without secrets."""
    report: Json = {
        "schema_version": SCHEMA_VERSION,
        "command": str(command),
        "status": str(outcome.status),
        "equals": outcome.equals,
        "equivalent": outcome.equivalent,
        "require": str(outcome.require),
        "passed": outcome.passed,
        "system": asdict(system),
        "options": {name: _option(value) for name, value in options.items()},
        **_versions(outcome),
    }
    if outcome.seal is not None:
        report["seal"] = _seal(outcome.seal)
    for name, comparison in outcome.comparisons.items():
        build = _sealed if name == ComparisonName.SEAL else _COMPARISONS[command]
        report[name] = build(comparison, outcome)
    if command is CommandName.COMPARE and outcome.comparisons:
        report["comparison_summary"] = {
            name.removesuffix("_comparison"): comparison.equals for name, comparison in outcome.comparisons.items()
        }
    if outcome.error is not None:
        error = outcome.error
        report["error"] = {"type": error.type, "message": error.message, "remedy": error.remedy}
    redacted: Json = redactor.data(report)
    return redacted


def validate_report(report: Json) -> None:
    """Validate a report against its schema.

    Raises:
        InternalError: The report breaks the schema, so it must not be published.
    """
    violation = first_violation(report, load_schema(SCHEMA_FILE))
    if violation is not None:
        where = ".".join(violation.path) or "the report"
        raise InternalError(
            f"The report does not fit its own schema: {where}: {violation.message}.", "Please report it."
        )


def _option(value: object) -> object:
    return value if value is None or isinstance(value, bool | int) else str(value)


def _versions(outcome: Outcome) -> Json:
    versions = {
        str(role): _version(request, outcome.versions.get(role)) for role, request in outcome.requested_versions.items()
    }
    is_compare = not versions.keys() <= {str(VersionRole.MODEL_VERSION)}
    return {"model_versions": versions} if is_compare else versions


def _version(request: VersionRequest, version: ModelVersion | None) -> Json:
    return {
        "host": request.host.address,
        **({"server": request.host.server} if request.host.server else {}),
        "requested": {"model": request.model, "version_or_stage": request.version_or_stage},
        "resolved": None if version is None else _resolved_version(version),
    }


def _resolved_version(version: ModelVersion) -> Json:
    data = asdict(version)
    lineage = data.pop("lineage")
    return {
        **{name: value for name, value in data.items() if not name.endswith(("_reason", "_remedy"))},
        "aliases": list(version.aliases),
        "run_model_hops": [_hop(hop) for hop in version.run_model_hops],
        "reg_model_hops": [_hop(hop) for hop in version.reg_model_hops],
        "run": {name: value for name, value in lineage.items() if value not in ("", None)},
    }


def _hop(hop: Hop) -> Json:
    return {name: value for name, value in asdict(hop).items() if value}


def _check(comparison: Comparison, outcome: Outcome) -> Json:
    version = outcome.versions[VersionRole.MODEL_VERSION]
    return {
        **_verdict(comparison),
        "run_model": {"download_uri": version.source, **_model_with_local_path(comparison.left)},
        "reg_model": {"download_uri": version.download_uri, **_model_with_local_path(comparison.right)},
        **_evidence(comparison),
    }


def _compare(comparison: Comparison, _: Outcome) -> Json:
    return {
        **_verdict(comparison),
        "tracking_server_1": _model(comparison.left),
        "tracking_server_2": _model(comparison.right),
        **_evidence(comparison),
    }


def _sealed(comparison: Comparison, _: Outcome) -> Json:
    return {
        **_verdict(comparison),
        "seal": _model(comparison.left),
        "model": _model(comparison.right),
        **_evidence(comparison),
    }


def _seal(seal: Seal) -> Json:
    return {
        "file": printable(seal.file),
        "name": printable(seal.statement.name),
        "root": seal.statement.root,
        "hash": tree_digest({path: resource.digest for path, resource in seal.files.items()}),
        "files": len(seal.files),
        "size": seal.size,
        "signer": printable(seal.signer) or None,
        "facts": None if seal.facts is None else seal.facts.annotations[OWN_ANNOTATION],
    }


def _diff(comparison: Comparison, outcome: Outcome) -> Json:
    return {
        **_verdict(comparison),
        "left": _located_model(comparison.left, outcome.hops.get("left", ())),
        "right": _located_model(comparison.right, outcome.hops.get("right", ())),
        **_evidence(comparison),
    }


def _located_model(model: ComparedModel, hops: Sequence[Hop]) -> Json:
    return {
        "download_uri": model.location.uri,
        **_model_with_local_path(model),
        "hops": [_hop(hop) for hop in hops],
    }


_COMPARISONS: Mapping[CommandName, Callable[[Comparison, Outcome], Json]] = {
    CommandName.CHECK: _check,
    CommandName.COMPARE: _compare,
    CommandName.DIFF: _diff,
}


def _verdict(comparison: Comparison) -> Json:
    result: Json = {
        "equals": comparison.equals,
        "equivalent": comparison.equivalent,
        "same_location": comparison.same_location,
        "native_model": comparison.native_model or None,
    }
    if comparison.is_by_digest:
        result["decided_by"] = "sha256"
    if len(comparison.native_models) > 1:
        result["right_native_model"] = comparison.right_native_model
    return result


def _model_with_local_path(model: ComparedModel) -> Json:
    fields = _model(model)
    return {
        "uri": fields.pop("uri"),
        "local_path": {name: fields.pop(name) for name in ("path", "hash", "kept")},
        **fields,
    }


def _model(model: ComparedModel) -> Json:
    return {
        "path": printable(str(model.path)),
        "hash": model.digest,
        "kept": model.kept,
        "uri": printable(model.location.uri),
        "files": model.files,
        "size": model.size,
    }


def _evidence(comparison: Comparison) -> Json:
    result: Json = {
        "compared": comparison.compared,
        **_not_compared(comparison.not_compared),
        **_differences(comparison.differences),
    }
    if comparison.ignore:
        result["ignored"] = _ignored(comparison)
    if comparison.rest is not None:
        rest = comparison.rest
        result["rest_of_model"] = {
            "equals": rest.equals,
            **_not_compared(rest.not_compared),
            **_differences(rest.differences),
        }
    return result


def _not_compared(paths: Sequence[str]) -> Json:
    return {
        "not_compared": len(paths),
        "not_compared_paths": [printable(path) for path in paths[:MAX_REPORTED]],
    }


def _ignored(comparison: Comparison) -> Json:
    return {
        "patterns": list(comparison.ignore),
        "count": len(comparison.ignored),
        "differing": sum(ignored.equals is False for ignored in comparison.ignored),
        "paths": [
            {"path": printable(ignored.path), "pattern": ignored.pattern, "equals": ignored.equals}
            for ignored in comparison.ignored[:MAX_REPORTED]
        ],
    }


def _differences(differences: Sequence[Difference]) -> Json:
    return {
        "differences_count": len(differences),
        "differences": [_difference(difference) for difference in differences[:MAX_REPORTED]],
    }


def _difference(difference: Difference) -> Json:
    result: Json = {
        "path": printable(difference.path),
        "kind": str(difference.kind),
        "left_size": difference.left_size,
        "right_size": difference.right_size,
    }
    if printable(difference.path) != difference.path:
        # Escapes are ambiguous, so the report also has the exact bytes.
        result["path_base64"] = base64.b64encode(path_key(difference.path)).decode()
    if difference.left_type is not None:
        result |= {"left_type": str(difference.left_type), "right_type": str(difference.right_type)}
    if difference.kind is DifferenceKind.CONTENT:
        result["offset"] = difference.offset
    if difference.rewrite_reason:
        result["identity"] = difference.rewrite_reason
    if difference.explanation is not None:
        result["explanation"] = _explanation(difference.explanation)
    return result


def _explanation(explanation: Explanation) -> Json:
    result: Json = {"kind": explanation.kind, "summary": explanation.summary, "is_cut": explanation.is_cut}
    if explanation.note:
        result["note"] = explanation.note
    if explanation.unmet_condition:
        result["unmet_condition"] = printable(explanation.unmet_condition)
    if explanation.advice:
        result["advice"] = explanation.advice
    if explanation.fields:
        result["fields"] = [_field_change(change) for change in explanation.fields]
    if explanation.lines:
        result["lines"] = list(explanation.lines)
    return result


def _field_change(change: FieldChange) -> Json:
    return {
        "field": change.field,
        "left": change.left,
        "right": change.right,
        "identity": change.rewrite_reason or None,
        "meaning": change.meaning or None,
    }
