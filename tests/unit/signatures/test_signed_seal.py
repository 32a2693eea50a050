from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from model_gate.domain.seal import parse_seal
from model_gate.errors import SealError
from model_gate.formats.model_signing import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Resource,
    Statement,
    StatementError,
    make_statement,
    statement_bytes,
)
from model_gate.signatures.signed_seal import PROVENANCE_TYPE, require_statement_about, seal_in_statement

FILES = {"MLmodel": Resource("ab" * 32, 5), "model.pkl": Resource("cd" * 32, 7)}
ANNOTATIONS = {"model": "1.0"}
STATEMENT = make_statement("wine", FILES, ANNOTATIONS)
CONTENT = statement_bytes(STATEMENT)
SEAL = parse_seal(CONTENT, "wine.json")


def provenance(*digests: str, predicate_type: str = PROVENANCE_TYPE) -> bytes:
    subjects = [{"name": "wine.json", "digest": {"sha256": digest}} for digest in digests]
    return json.dumps(
        {"_type": STATEMENT_TYPE, "predicateType": predicate_type, "subject": subjects, "predicate": {}}
    ).encode()


def test_signed_seal_is_about_the_seal() -> None:
    require_statement_about(SEAL, CONTENT, CONTENT)
    require_statement_about(SEAL, CONTENT, json.dumps(json.loads(CONTENT)).encode())
    assert seal_in_statement(CONTENT, "wine.json") == SEAL


@pytest.mark.parametrize(
    "other, difference",
    [
        (make_statement("wine", {**FILES, "model.pkl": Resource("ce" * 32, 7)}, ANNOTATIONS), "root is"),
        (make_statement("wine", {"MLmodel": FILES["MLmodel"]}, ANNOTATIONS), "root is"),
        (make_statement("wine", {"MLmodel": FILES["MLmodel"], "n": FILES["model.pkl"]}, ANNOTATIONS), "the paths or"),
        (make_statement("wine", {**FILES, "model.pkl": Resource("cd" * 32, 8)}, ANNOTATIONS), "or the sizes differ"),
        (make_statement("wine", FILES, {**ANNOTATIONS, "mlflow": {"version": "13"}}), "annotations"),
        (make_statement("other", FILES, ANNOTATIONS), "subject is 'other', and that of the seal is 'wine'"),
        (make_statement("wine", FILES), "annotations"),
        (replace(STATEMENT, allow_symlinks=True), "or the settings differ"),
    ],
    ids=["digest", "file", "path", "size", "annotation", "name", "no annotations", "settings"],
)
def test_other_seal_is_not_about_the_seal(other: Statement, difference: str) -> None:
    with pytest.raises(StatementError, match=f"another statement than the seal: .*{difference}"):
        require_statement_about(SEAL, CONTENT, statement_bytes(other))


def test_provenance_of_the_seals_file_is_about_the_seal() -> None:
    signed = provenance(hashlib.sha256(CONTENT).hexdigest())
    require_statement_about(SEAL, CONTENT, signed)
    with pytest.raises(StatementError, match="provenance of another file"):
        require_statement_about(SEAL, CONTENT + b"\n", signed)


def test_provenance_is_not_itself_a_seal() -> None:
    with pytest.raises(StatementError, match="the provenance of a file and not the seal itself"):
        seal_in_statement(provenance(hashlib.sha256(CONTENT).hexdigest()), "bundle.json")


def test_provenance_of_several_files_or_of_none_is_not_about_the_seal() -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    for digests in ((), ("00" * 32, digest), (digest, "00" * 32), (digest, digest)):
        with pytest.raises(StatementError, match=f"provenance of {len(digests)} files, and not of exactly one"):
            require_statement_about(SEAL, CONTENT, provenance(*digests))
    data = json.loads(provenance(digest))
    data["subject"].append({"name": "other.json", "digest": {"sha512": "00" * 64}})
    with pytest.raises(StatementError, match="provenance of 2 files"):
        require_statement_about(SEAL, CONTENT, json.dumps(data).encode())


def test_other_predicate_about_the_seals_file_is_an_error() -> None:
    scan = provenance(hashlib.sha256(CONTENT).hexdigest(), predicate_type="https://example.com/failed-scan")
    with pytest.raises(StatementError, match=r"its predicate type is 'https://example\.com/failed-scan'"):
        require_statement_about(SEAL, CONTENT, scan)
    with pytest.raises(StatementError, match=r"its predicate type is 'https://example\.com/failed-scan'"):
        seal_in_statement(scan, "bundle.json")


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        json.dumps({"predicateType": PREDICATE_TYPE}).encode(),
        json.dumps({"predicateType": PROVENANCE_TYPE}).encode(),
        json.dumps({"_type": STATEMENT_TYPE, "predicateType": PROVENANCE_TYPE}).encode(),
        json.dumps(
            {"_type": STATEMENT_TYPE, "predicateType": PROVENANCE_TYPE, "subject": [5, {"digest": 5}, {}]}
        ).encode(),
    ],
)
def test_malformed_statement_is_an_error(signed: bytes) -> None:
    with pytest.raises(StatementError):
        require_statement_about(SEAL, CONTENT, signed)
    with pytest.raises(StatementError):
        seal_in_statement(signed, "bundle.json")


def test_invalid_seal_in_a_bundle_is_an_error_about_the_seal() -> None:
    data = json.loads(CONTENT)
    data["predicate"]["resources"].pop()
    with pytest.raises(SealError, match=r"^bundle\.json is not a valid seal: "):
        seal_in_statement(json.dumps(data).encode(), "bundle.json")


def test_provenance_with_duplicate_keys_or_of_another_type_is_an_error() -> None:
    good = provenance(hashlib.sha256(CONTENT).hexdigest())
    twice = good.replace(b'"subject":', b'"subject": [], "subject":')
    with pytest.raises(StatementError, match="'subject' appears twice"):
        require_statement_about(SEAL, CONTENT, twice)
    for other in (b"https://in-toto.io/Statement/v0.1", b"https://example.com"):
        with pytest.raises(StatementError, match="its type is not"):
            require_statement_about(SEAL, CONTENT, good.replace(STATEMENT_TYPE.encode(), other))
