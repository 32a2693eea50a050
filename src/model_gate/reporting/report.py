"""The report: an outcome as JSON, checked against `schemas/report.schema.json` before it is published."""

from __future__ import annotations

import base64
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model_gate import __version__
from model_gate.access.redaction import Redactor
from model_gate.domain.difference import Difference, Explanation
from model_gate.domain.paths import path_key
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.roles import CommandName, VersionRole
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, StorageError, storage_error
from model_gate.formats.json_schema import first_violation, load_schema

SCHEMA_VERSION = "1.0"
SCHEMA_FILE = "report.schema.json"
# Enough to see what happened; `differences_count` is always the whole number.
MAX_DIFFERENCES = 1_000

Json = dict[str, Any]


def build_report(command: CommandName, outcome: Outcome, options: Json, redactor: Redactor) -> Json:
    """The report of an outcome, without any credential."""
    report: Json = {
        "schema_version": SCHEMA_VERSION,
        "command": str(command),
        "status": str(outcome.status),
        "equals": outcome.equals,
        "equivalent": outcome.equivalent,
        "require": str(outcome.require),
        "passed": outcome.passed,
        "system": _system(),
        "options": {name: _plain(value) for name, value in options.items()},
        **_versions(outcome),
    }
    for name, comparison in outcome.comparisons.items():
        report[name] = _COMPARISONS[command](comparison, outcome)
    if command == CommandName.COMPARE and outcome.comparisons:
        report["comparison_summary"] = {
            name.removesuffix("_comparison"): each.equals for name, each in outcome.comparisons.items()
        }
    if outcome.error is not None:
        error = outcome.error
        report["error"] = {"type": error.type, "message": error.message, "remedy": error.remedy}
    redacted: Json = redactor.data(report)
    return redacted


def validate_report(report: Json) -> None:
    """Hold a report against its schema.

    Raises:
        InternalError: It does not fit; it must not be published.
    """
    violation = first_violation(report, load_schema(SCHEMA_FILE))
    if violation is not None:
        where = ".".join(violation.path) or "the report"
        raise InternalError(
            f"The report does not fit its own schema: {where}: {violation.message}.", "Please report it."
        )


def prepare_report(path: Path, inputs: Sequence[Path] = ()) -> None:
    """Make sure, before any work, that a report can be written; remove an old one, which would be taken for this one's.

    `inputs` are the files that it must not overwrite and the directories that it must not lie in.

    Raises:
        StorageError: It cannot.
    """
    try:
        if path.exists() and not path.is_file():
            # Not only for a directory: writing means replacing, and root can replace /dev/null.
            what = "a directory" if path.is_dir() else "not a regular file"
            raise StorageError(f"The report file {path} is {what}.", "Name a file.")
        path = _real(path)
        if any(path.is_relative_to(_real(each)) for each in inputs):
            raise StorageError(f"The report {path} would change what is to be read.", "Name another --report-file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        os.unlink(probe)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, f"write the report {path}") from error


def write_report(report: Json, path: Path) -> None:
    """Write a report whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    path = _real(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise storage_error(error, f"write the report {path}") from error


def _real(path: Path) -> Path:
    # Path.resolve raises for a loop of links, before Python 3.13.
    return Path(os.path.realpath(path))


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _system() -> Json:
    return {
        "model_gate_version": __version__,
        "mlflow_version": _mlflow_version(),
        "python_version": platform.python_version(),
        "utc_time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _mlflow_version() -> str | None:
    # From the installation's metadata: importing mlflow costs more than most gates.
    try:
        return version("mlflow-skinny")
    except PackageNotFoundError:
        return None


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int) else str(value)


def _versions(outcome: Outcome) -> Json:
    versions = {
        str(role): _version(request, outcome.versions.get(role)) for role, request in outcome.requested_versions.items()
    }
    return {"model_versions": versions} if len(versions) > 1 else versions


def _version(asked: VersionRequest, found: ModelVersion | None) -> Json:
    result: Json = {
        "host": asked.host.address,
        "requested": {"model": asked.model, "version_or_stage": asked.version_or_stage},
        "resolved": None,
    }
    if found is not None:
        data = asdict(found)
        lineage = data.pop("lineage")
        result["resolved"] = {
            **{name: value for name, value in data.items() if not name.endswith("_reason")},
            "aliases": list(found.aliases),
            "run": {name: value for name, value in lineage.items() if value not in ("", None)},
        }
    return result


def _check(comparison: Comparison, outcome: Outcome) -> Json:
    version = outcome.versions[VersionRole.MODEL_VERSION]
    return {
        **_judged(comparison),
        "run_model": {"download_uri": version.source, **_located(comparison.left)},
        "reg_model": {"download_uri": version.download_uri, **_located(comparison.right)},
        **_found(comparison),
    }


def _diff(comparison: Comparison, _: Outcome) -> Json:
    return {
        **_judged(comparison),
        "left": {"download_uri": comparison.left.location.uri, **_located(comparison.left)},
        "right": {"download_uri": comparison.right.location.uri, **_located(comparison.right)},
        **_found(comparison),
    }


def _compare(comparison: Comparison, _: Outcome) -> Json:
    return {
        **_judged(comparison),
        "tracking_server_1": _compared(comparison.left),
        "tracking_server_2": _compared(comparison.right),
        **_found(comparison),
    }


_COMPARISONS = {CommandName.CHECK: _check, CommandName.COMPARE: _compare, CommandName.DIFF: _diff}


def _judged(comparison: Comparison) -> Json:
    return {
        "equals": comparison.equals,
        "equivalent": comparison.equivalent,
        "same_location": comparison.same_location,
        "native_model": comparison.native_model or None,
    }


def _located(model: ComparedModel) -> Json:
    compared = _compared(model)
    return {
        "uri": compared.pop("uri"),
        "local_path": {name: compared.pop(name) for name in ("path", "hash", "kept")},
        **compared,
    }


def _compared(model: ComparedModel) -> Json:
    return {
        "path": printable(str(model.path)),
        "hash": model.digest,
        "kept": model.kept,
        "uri": printable(model.location.uri),
        "files": model.files,
        "size": model.size,
    }


def _found(comparison: Comparison) -> Json:
    result: Json = {
        "compared": comparison.compared,
        "not_compared": comparison.not_compared,
        **_differences(comparison.differences),
    }
    if comparison.ignore:
        result["ignored"] = _ignored(comparison)
    if comparison.rest is not None:
        result["rest_of_model"] = {"equals": comparison.rest.equals, **_differences(comparison.rest.differences)}
    return result


def _ignored(comparison: Comparison) -> Json:
    return {
        "patterns": list(comparison.ignore),
        "count": len(comparison.ignored),
        "differing": sum(each.equals is False for each in comparison.ignored),
        "paths": [
            {"path": printable(each.path), "pattern": each.pattern, "equals": each.equals}
            for each in comparison.ignored[:MAX_DIFFERENCES]
        ],
    }


def _differences(differences: Sequence[Difference]) -> Json:
    return {
        "differences_count": len(differences),
        "differences": [_difference(each) for each in differences[:MAX_DIFFERENCES]],
    }


def _difference(difference: Difference) -> Json:
    result: Json = {
        "path": printable(difference.path),
        "kind": str(difference.kind),
        "left_size": difference.left_size,
        "right_size": difference.right_size,
    }
    if printable(difference.path) != difference.path:
        # The text cannot say it exactly: here are the bytes.
        result["path_base64"] = base64.b64encode(path_key(difference.path)).decode()
    if difference.left_type is not None:
        result |= {"left_type": str(difference.left_type), "right_type": str(difference.right_type)}
    if difference.kind == "content":
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
    if explanation.fields:
        result["fields"] = [
            {
                "field": each.field,
                "left": each.left,
                "right": each.right,
                "identity": each.rewrite_reason or None,
                "meaning": each.meaning or None,
            }
            for each in explanation.fields
        ]
    if explanation.lines:
        result["lines"] = list(explanation.lines)
    return result
