"""Decides whether a signed statement vouches for a seal.

>>> vouched_seal(b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://example.com/scan"}', b"{}")
Traceback (most recent call last):
model_gate.formats.model_signing.StatementError: its predicate type 'https://example.com/scan' vouches for no seal
"""

from __future__ import annotations

import hashlib
from typing import Any

from model_gate.formats.model_signing import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    StatementError,
    parse_json,
    read_statement,
)

# GitHub's attestation of a file says which workflow made it. Other predicates may say anything, such as a failed scan.
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"


def vouched_seal(signed: bytes, seal: bytes | None) -> bytes:
    """Return the text of the seal for which a signed statement vouches.

    The signed statement is either the seal itself or the provenance of the seal's file.

    Args:
        signed: The text of the statement, whose signature holds.
        seal: The content of the seal's file; None if the signed statement must be the seal itself.

    Raises:
        StatementError: The signed statement is malformed, is another seal, or is about another file.
    """
    data = _parse(signed)
    predicate_type = data.get("predicateType")
    if predicate_type == PREDICATE_TYPE:
        if seal is not None:
            _require_same(read_statement(signed), read_statement(seal))
        return signed if seal is None else seal
    if predicate_type != PROVENANCE_TYPE:
        raise StatementError(f"its predicate type {str(predicate_type)[:200]!r} vouches for no seal")
    if seal is None:
        raise StatementError("it is the provenance of a file and not the seal itself: name the seal too")
    if hashlib.sha256(seal).hexdigest() not in _subject_digests(data):
        raise StatementError("it is the provenance of another file than the seal")
    return seal


def _require_same(signed: Statement, seal: Statement) -> None:
    """Verify that a signed seal and the seal in a file are one statement.

    Raises:
        StatementError: They differ. The message says in what.
    """
    if signed == seal:
        return
    if signed.name != seal.name:
        what = f"its subject is {signed.name[:200]!r}, and that of the seal is {seal.name[:200]!r}"
    elif signed.resources != seal.resources:
        what = f"its root is {signed.root}, and that of the seal is {seal.root}"
    else:
        what = "their files are the same, but the annotations or the settings differ"
    raise StatementError(f"it is another statement than the seal: {what}")


def _parse(signed: bytes) -> dict[str, Any]:
    data = parse_json(signed)
    if not isinstance(data, dict):
        raise StatementError("it is not an object")
    if data.get("_type") != STATEMENT_TYPE:
        raise StatementError(f"its type is not {STATEMENT_TYPE!r}")
    return data


def _subject_digests(data: dict[str, Any]) -> list[object]:
    subjects = data.get("subject")
    if not isinstance(subjects, list):
        return []
    digests = [subject.get("digest") for subject in subjects if isinstance(subject, dict)]
    return [digest.get("sha256") for digest in digests if isinstance(digest, dict)]
