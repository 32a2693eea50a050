"""Decides which seal a signed statement is, or whether it is about a seal.

A signed statement is about a seal if it is the seal itself, or the provenance of the seal's file.
"""

from __future__ import annotations

import hashlib
from typing import Any

from model_gate.domain.seal import Seal, seal_of_document
from model_gate.domain.wording import truncate
from model_gate.formats.model_signing import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    StatementError,
    parse_document,
    statement_of,
)

# GitHub's attestation of a file says which workflow made it. Other predicates may say anything, such as a failed scan.
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"


def seal_in_statement(signed: bytes, file: str) -> Seal:
    """Return the seal that a signed statement is.

    Args:
        signed: The JSON text of the statement, whose signature is valid.
        file: Path of the file that has the statement, as the user named it.

    Raises:
        StatementError: The statement is malformed, or is not a seal.
        SealError: The statement is an invalid seal.
    """
    data = _parse(signed)
    predicate_type = data.get("predicateType")
    if predicate_type == PROVENANCE_TYPE:
        raise StatementError("it has the provenance of a file and not the seal itself")
    if predicate_type != PREDICATE_TYPE:
        raise StatementError(f"its predicate type is {truncate(str(predicate_type), 200)!r}, not {PREDICATE_TYPE!r}")
    return seal_of_document(data, file)


def require_statement_about(seal: Seal, content: bytes, signed: bytes) -> None:
    """Verify that a signed statement is about a seal.

    Args:
        seal: The seal.
        content: The content of the seal's file.
        signed: The JSON text of the statement, whose signature is valid.

    Raises:
        StatementError: The statement is malformed, is another seal, or is about another file.
    """
    data = _parse(signed)
    predicate_type = data.get("predicateType")
    if predicate_type == PREDICATE_TYPE:
        _require_same(statement_of(data), seal.statement)
        return
    if predicate_type != PROVENANCE_TYPE:
        raise StatementError(
            f"its predicate type is {truncate(str(predicate_type), 200)!r}, not {PREDICATE_TYPE!r} or"
            f" {PROVENANCE_TYPE!r}"
        )
    digests = _subject_digests(data)
    if len(digests) != 1:
        raise StatementError(f"it is the provenance of {len(digests)} files, and not of exactly one")
    if digests != [hashlib.sha256(content).hexdigest()]:
        raise StatementError("it is the provenance of another file")


def _require_same(signed: Statement, seal: Statement) -> None:
    """Verify that a signed seal and the seal in a file are one statement.

    Raises:
        StatementError: They differ. The message says in what.
    """
    if signed == seal:
        return
    if signed.name != seal.name:
        what = f"its subject is {truncate(signed.name, 200)!r}, and that of the seal is {truncate(seal.name, 200)!r}"
    elif signed.root != seal.root:
        what = f"its root is {signed.root}, and that of the seal is {seal.root}"
    elif signed.resources != seal.resources:
        what = "the digests of their files are the same, but the paths or the sizes differ"
    else:
        what = "their files are the same, but the annotations or the settings differ"
    raise StatementError(f"it is another statement than the seal: {what}")


def _parse(signed: bytes) -> dict[str, Any]:
    data = parse_document(signed)
    if not isinstance(data, dict):
        raise StatementError("it is not an object")
    if data.get("_type") != STATEMENT_TYPE:
        raise StatementError(f"its type is not {STATEMENT_TYPE!r}")
    return data


def _subject_digests(data: dict[str, Any]) -> list[object]:
    """Return the SHA-256 of each subject, None for a subject without one."""
    subjects = data.get("subject")
    if not isinstance(subjects, list):
        return []
    digests = [subject.get("digest") if isinstance(subject, dict) else None for subject in subjects]
    return [digest.get("sha256") if isinstance(digest, dict) else None for digest in digests]
