from __future__ import annotations

import hashlib
import json

import pytest

from model_gate.formats.attestation import PROVENANCE_TYPE, vouched_seal
from model_gate.formats.model_signing import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Resource,
    StatementError,
    make_statement,
    statement_bytes,
)

FILES = {"MLmodel": Resource("ab" * 32, 5), "model.pkl": Resource("cd" * 32, 7)}
SEAL = statement_bytes(make_statement("wine", FILES, {"model_gate": "1.0"}))


def provenance(*digests: str, predicate_type: str = PROVENANCE_TYPE) -> bytes:
    subjects = [{"name": "wine.json", "digest": {"sha256": digest}} for digest in digests]
    return json.dumps(
        {"_type": STATEMENT_TYPE, "predicateType": predicate_type, "subject": subjects, "predicate": {}}
    ).encode()


def test_signed_seal_is_the_seal() -> None:
    assert vouched_seal(SEAL, None) == SEAL
    assert vouched_seal(json.dumps(json.loads(SEAL)).encode(), SEAL) == SEAL


@pytest.mark.parametrize(
    "other, difference",
    [
        (make_statement("wine", {**FILES, "model.pkl": Resource("ce" * 32, 7)}, {"model_gate": "1.0"}), "root is"),
        (make_statement("wine", {"MLmodel": FILES["MLmodel"]}, {"model_gate": "1.0"}), "root is"),
        (make_statement("wine", FILES, {"model_gate": "1.0", "mlflow": {"version": "13"}}), "annotations"),
        (make_statement("other", FILES, {"model_gate": "1.0"}), "subject is 'other', and that of the seal is 'wine'"),
        (make_statement("wine", FILES), "annotations"),
    ],
    ids=["digest", "file", "annotation", "name", "no annotations"],
)
def test_signature_of_another_seal_does_not_vouch(other: object, difference: str) -> None:
    with pytest.raises(StatementError, match=f"another statement than the seal: .*{difference}"):
        vouched_seal(statement_bytes(other), SEAL)  # type: ignore[arg-type]


def test_provenance_of_the_seals_file_vouches() -> None:
    digest = hashlib.sha256(SEAL).hexdigest()
    assert vouched_seal(provenance("00" * 32, digest), SEAL) == SEAL
    with pytest.raises(StatementError, match="another file"):
        vouched_seal(provenance(digest), SEAL + b"\n")
    with pytest.raises(StatementError, match="name the seal too"):
        vouched_seal(provenance(digest), None)


def test_other_predicates_about_the_seals_file_do_not_vouch() -> None:
    scan = provenance(hashlib.sha256(SEAL).hexdigest(), predicate_type="https://example.com/failed-scan")
    with pytest.raises(StatementError, match="vouches for no seal"):
        vouched_seal(scan, SEAL)


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        json.dumps({"predicateType": PREDICATE_TYPE}).encode(),
        json.dumps({"predicateType": PROVENANCE_TYPE}).encode(),
        json.dumps({"predicateType": PROVENANCE_TYPE, "subject": [5, {"digest": 5}, {}]}).encode(),
    ],
)
def test_malformed_statement_does_not_vouch(signed: bytes) -> None:
    with pytest.raises(StatementError):
        vouched_seal(signed, SEAL)


def test_provenance_with_duplicate_keys_or_of_another_type_does_not_vouch() -> None:
    good = provenance(hashlib.sha256(SEAL).hexdigest())
    twice = good.replace(b'"subject":', b'"subject": [], "subject":')
    with pytest.raises(StatementError, match="twice"):
        vouched_seal(twice, SEAL)
    for other in (b"https://in-toto.io/Statement/v0.1", b"https://example.com"):
        with pytest.raises(StatementError, match="its type is not"):
            vouched_seal(good.replace(STATEMENT_TYPE.encode(), other), SEAL)
