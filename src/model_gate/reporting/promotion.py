"""Builds the promotion statement of a gate that passed. `schemas/promotion.schema.json` describes its fields.

The statement is an in-toto Statement v1 without a signature. Its subject is the second model: the registry model if
registry models were compared, otherwise the run model or the right model of a diff.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from model_gate.access.redaction import Redactor
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.seal import Seal
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, ModelError
from model_gate.formats.document_kinds import PROMOTION_TYPE
from model_gate.formats.json_schema import first_violation, load_schema
from model_gate.formats.model_signing import STATEMENT_TYPE
from model_gate.reporting.report import Json

SCHEMA_FILE = "promotion.schema.json"
IMAGE_DIGEST = "MODEL_GATE_IMAGE_DIGEST"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RUN_VARIABLES = {
    "repository": "GITHUB_REPOSITORY",
    "commit": "GITHUB_SHA",
    "ref": "GITHUB_REF",
    "workflow": "GITHUB_WORKFLOW_REF",
}


def build_statement(
    outcome: Outcome, report: Json, report_digest: str, redactor: Redactor, environment: Mapping[str, str]
) -> Json:
    """Return the promotion statement of an outcome that passed, without secrets.

    Args:
        outcome: The outcome.
        report: The report of the outcome.
        report_digest: SHA-256 in hex of the report's file.
        redactor: Removes secrets.
        environment: Variables that name the workflow run and the image.

    Raises:
        ModelError: Nothing was compared. Or a model has no root: a file was not read, its path is not UTF-8, or the
            other model has a directory at its path.
        InternalError: The statement breaks its schema, so it must not be published.
    """
    if not outcome.passed or outcome.request is None:
        raise AssertionError("only a gate that passed has a promotion statement")
    compared = {name: comparison for name, comparison in outcome.comparisons.items() if not comparison.same_location}
    if not compared:
        raise ModelError(
            "The models are one and the same location: nothing was compared, so there is nothing to state.",
            "Compare models that are stored apart, or leave out --statement.",
        )
    last = list(compared.values())[-1]
    config = outcome.request.config
    statement: Json = redactor.data(
        {
            "predicateType": PROMOTION_TYPE,
            "_type": STATEMENT_TYPE,
            # Workflows pass the name to other programs line by line, so it must not have a line break.
            "subject": [{"name": printable(_subject_name(outcome, last)), "digest": {"sha256": _root(last.right)}}],
            "predicate": {
                **{name: report[name] for name in ("command", "status", "equals", "equivalent", "require", "passed")},
                "model_versions": [
                    _version(version, request.host.address)
                    for version, request in zip(
                        outcome.versions.values(), outcome.requested_versions.values(), strict=True
                    )
                ],
                "comparisons": {name: _comparison(comparison) for name, comparison in compared.items()},
                "same_location": [str(name) for name in outcome.comparisons if name not in compared],
                "config": None if config is None else {"name": config.name, "digest": {"sha256": config.digest}},
                "report": {"digest": {"sha256": report_digest}},
                "tool": {
                    "version": report["system"]["model_gate_version"],
                    "image_digest": _image_digest(environment),
                },
                "run": _run(environment),
                "time": report["system"]["utc_time"],
            },
        }
    )
    _validate(statement)
    return statement


def subject_digest(statement: Json) -> str:
    """Return the digest of the statement's subject, as in `sha256:…`."""
    return f"sha256:{statement['subject'][0]['digest']['sha256']}"


def _validate(statement: Json) -> None:
    violation = first_violation(statement, load_schema(SCHEMA_FILE))
    if violation is not None:
        where = ".".join(violation.path) or "the statement"
        raise InternalError(
            f"The promotion statement does not fit its own schema: {where}: {violation.message}.", "Please report it."
        )


def _subject_name(outcome: Outcome, comparison: Comparison) -> str:
    versions = list(outcome.versions.values())
    if comparison.right.seal is not None:
        # The name of the seal's subject is a free text, which can imitate another version. The file is the user's.
        return f"seal:{comparison.right.seal.file}"
    if not versions:
        location = comparison.right.location
        # A statement is published, and the path of a directory says how a machine is arranged.
        return location.local_path.name or "model" if location.local_path is not None else location.uri
    return f"models:/{versions[-1].name}/{versions[-1].version}"


def _version(version: ModelVersion, address: str) -> Json:
    return {
        "host": address,
        "name": printable(version.name),
        "version": printable(version.version),
        "stage": printable(version.stage),
        "aliases": list(map(printable, version.aliases)),
        "source": printable(version.source),
        "run_id": printable(version.lineage.run_id),
        "git_commit": printable(version.lineage.git_commit),
    }


def _comparison(comparison: Comparison) -> Json:
    is_whole = not comparison.native_models and not comparison.ignore
    return {
        "equals": comparison.equals,
        "equivalent": comparison.equivalent,
        "decided_by": "sha256" if comparison.is_by_digest else "filecmp",
        "differences": len(comparison.differences),
        "left": _model(comparison.left),
        "right": _model(comparison.right),
        "is_whole_model": is_whole,
        "not_decided": None if is_whole else _not_decided(comparison),
    }


def _model(model: ComparedModel) -> Json:
    return {
        "uri": printable(model.location.uri),
        "root": {"sha256": _root(model)},
        "seal": None if model.seal is None else _seal(model.seal),
        "files": model.files,
    }


def _seal(seal: Seal) -> Json:
    """Return what the seal says about itself, and who signed it."""
    return {
        "file": printable(seal.file),
        "root": {"sha256": seal.statement.root},
        "model": printable(seal.model_name),
        "version": "" if seal.facts is None else printable(seal.facts.model_version),
        "sealed_at": "" if seal.facts is None else seal.facts.sealed_at,
        "signer": printable(seal.signer) or None,
    }


def _not_decided(comparison: Comparison) -> Json:
    """Return what the verdict does not cover: the files outside the native model, and the ignored paths."""
    rest = comparison.rest
    return {
        "native_model": comparison.native_model or None,
        "right_native_model": comparison.right_native_model or None,
        "rest_of_model_equals": None if rest is None else rest.equals,
        "ignore": list(comparison.ignore),
        "ignored_paths": len(comparison.ignored),
        "ignored_paths_that_differ": sum(ignored.equals is False for ignored in comparison.ignored),
    }


def _root(model: ComparedModel) -> str:
    if model.root is None:
        raise ModelError(
            f"The promotion statement needs the digest of every file of {printable(model.location.uri)}, but a file was"
            " not read, its name is not UTF-8, or one model has a directory at its path.",
            "Name every file in UTF-8. A path must not be a file in one model and a directory in the other. Or leave"
            " out --statement.",
        )
    return model.root


def _image_digest(environment: Mapping[str, str]) -> str | None:
    digest = environment.get(IMAGE_DIGEST, "")
    return digest if _DIGEST.fullmatch(digest) else None


def _run(environment: Mapping[str, str]) -> Json | None:
    """Return the run of the GitHub workflow, None outside a workflow."""
    facts = {field: environment.get(name, "") for field, name in _RUN_VARIABLES.items()}
    server, run_id = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_RUN_ID", "")
    if not server or not run_id or not facts["repository"]:
        return None
    attempt = environment.get("GITHUB_RUN_ATTEMPT", "")
    url = f"{server}/{facts['repository']}/actions/runs/{run_id}" + (f"/attempts/{attempt}" if attempt else "")
    return {"url": url, **facts}
