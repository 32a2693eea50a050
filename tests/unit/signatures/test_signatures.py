"""Signatures are checked by the real packages, against keys and a Sigstore instance of the tests' own."""

from __future__ import annotations

import copy
import json
import re
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from model_gate.errors import InputError, ModelGateError, SignatureError
from model_gate.formats.document_kinds import PROMOTION_TYPE
from model_gate.formats.model_signing import PREDICATE_TYPE
from model_gate.signatures.signers import IdentitySigner, KeySigner, Signer
from model_gate.signatures.verification import MAX_BUNDLE_BYTES, read_bundle, verified_statement
from tests.support.sigstore_instance import WORKFLOW, Identity, SigstoreInstance, base64_text, envelope, key_bundle, pae

STATEMENT = b'{"_type": "https://in-toto.io/Statement/v1"}'
MINUTE = timedelta(minutes=1)
# The words of the package for a time outside of the validity period.
EXPIRED = "cert is not valid at validation time"


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    return SigstoreInstance()


@pytest.fixture(scope="module")
def by_key(key: ec.EllipticCurvePrivateKey, tmp_path_factory: pytest.TempPathFactory) -> KeySigner:
    return KeySigner(public_key_file(key, tmp_path_factory.mktemp("key")))


@pytest.fixture(scope="module")
def by_identity(instance: SigstoreInstance, tmp_path_factory: pytest.TempPathFactory) -> IdentitySigner:
    file = tmp_path_factory.mktemp("root") / "trusted_root.json"
    file.write_text(json.dumps(instance.trusted_root()), "utf-8")
    return IdentitySigner(WORKFLOW.uri, WORKFLOW.issuer, file)


def public_key_file(key: Any, directory: Path) -> Path:
    file = directory / "key.pub"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def verify(bundle: Any, signer: Signer) -> bytes:
    text = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    return verified_statement(text, signer, "wine.sigstore.json")


def require_error(bundle: Any, signer: Signer, message: str, kind: type[ModelGateError] = SignatureError) -> None:
    with pytest.raises(kind) as caught:
        verify(bundle, signer)
    assert type(caught.value) is kind
    assert re.search(message, caught.value.message), caught.value.message
    assert caught.value.remedy


def test_bare_envelope_and_bundles_with_any_hint_verify_with_a_key(
    key: ec.EllipticCurvePrivateKey, by_key: KeySigner
) -> None:
    signed = envelope(key, STATEMENT)
    assert verify(signed, by_key) == STATEMENT
    assert verify(key_bundle(signed, "a hint of another tool"), by_key) == STATEMENT
    del signed["signatures"][0]["keyid"]
    assert verify(signed, by_key) == STATEMENT


def test_ed25519_key_verifies(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    signature = {"sig": base64_text(key.sign(pae(STATEMENT)))}
    signed = {
        "payload": base64_text(STATEMENT),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [signature],
    }
    assert verify(signed, KeySigner(public_key_file(key, tmp_path))) == STATEMENT


def test_foreign_key_is_an_error(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    foreign = KeySigner(public_key_file(ec.generate_private_key(ec.SECP256R1()), tmp_path))
    require_error(envelope(key, STATEMENT), foreign, "no valid signature of the key")


def _edit_payload(bundle: dict[str, Any]) -> None:
    bundle["payload"] = base64_text(STATEMENT.replace(b"v1", b"v2"))


def _empty_payload(bundle: dict[str, Any]) -> None:
    bundle["payload"] = ""


def _sign_twice(bundle: dict[str, Any]) -> None:
    bundle["signatures"].append(copy.deepcopy(bundle["signatures"][0]))


def _remove_signature(bundle: dict[str, Any]) -> None:
    bundle["signatures"] = []


def _change_type(bundle: dict[str, Any]) -> None:
    bundle["payloadType"] = "text/plain"


def _garble_signature(bundle: dict[str, Any]) -> None:
    bundle["signatures"][0]["sig"] = "%%%"


def _name_no_signature(bundle: dict[str, Any]) -> None:
    del bundle["signatures"][0]["sig"]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "edited payload": (_edit_payload, "is not valid|no valid signature"),
    "empty payload": (_empty_payload, "is not valid|no valid signature"),
    "two signatures": (_sign_twice, "has 2 signatures"),
    "no signature": (_remove_signature, "has 0 signatures"),
    "payload type": (_change_type, "'text/plain', not an in-toto statement"),
    "no base64": (_garble_signature, "is not valid"),
    "no sig": (_name_no_signature, "is not valid"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_envelope_is_an_error_with_a_key(key: ec.EllipticCurvePrivateKey, by_key: KeySigner, name: str) -> None:
    edit, message = EDITS[name]
    signed = envelope(key, STATEMENT)
    edit(signed)
    require_error(signed, by_key, message)
    require_error(key_bundle(signed, "hint"), by_key, message)


@pytest.mark.parametrize("name", EDITS)
def test_edited_envelope_is_an_error_with_an_identity(
    instance: SigstoreInstance, by_identity: IdentitySigner, name: str
) -> None:
    edit, message = EDITS[name]
    bundle = instance.bundle(STATEMENT, WORKFLOW)
    edit(bundle["dsseEnvelope"])
    require_error(bundle, by_identity, message)


def test_empty_statement_is_an_error_although_it_is_signed(key: ec.EllipticCurvePrivateKey, by_key: KeySigner) -> None:
    require_error(envelope(key, b""), by_key, "is empty")


def test_other_payload_type_is_an_error_although_it_is_signed(
    key: ec.EllipticCurvePrivateKey, by_key: KeySigner
) -> None:
    require_error(envelope(key, STATEMENT, "text/plain"), by_key, "not an in-toto statement")


@pytest.mark.parametrize("is_signed_first", [True, False])
def test_bundle_with_two_envelopes_is_an_error(
    instance: SigstoreInstance, by_identity: IdentitySigner, is_signed_first: bool
) -> None:
    # The package reads the fields of a bundle by two names.
    bundle = instance.bundle(STATEMENT, WORKFLOW)
    envelopes = {"dsseEnvelope": bundle.pop("dsseEnvelope"), "dsse_envelope": instance.bundle(b"{}", WORKFLOW)}
    names = list(envelopes) if is_signed_first else list(envelopes)[::-1]
    require_error({**bundle, **{name: envelopes[name] for name in names}}, by_identity, "is not valid")


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "cannot be read: it is not JSON"),
        (b"[" * 100_000, "cannot be read: it is nested too deeply"),
        (b'{"payload": "", "signatures": [], "payloadType": %s}' % (b"[" * 300 + b"]" * 300), "nested too deeply"),
        (b"\xff", "cannot be read: it is not UTF-8"),
        (b"[]", "neither a Sigstore bundle"),
        (b'{"dsseEnvelope": []}', "neither a Sigstore bundle"),
        (b'{"messageSignature": {}}', "a bundle with a signature of a file, not of a statement"),
        (b"[" + b"0," * 200_000 + b"0]", "cannot be read: it has too many values"),
        (b'{"payload": "", "payload": "", "signatures": [], "payloadType": ""}', "the key 'payload' appears twice"),
    ],
    ids=["empty", "deep", "nested", "bytes", "list", "no envelope", "blob", "values", "duplicate key"],
)
def test_text_that_is_no_bundle_is_an_error(by_key: KeySigner, text: bytes, message: str) -> None:
    require_error(text, by_key, message)


def test_large_bundle_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "bundle"
    with file.open("wb") as stream:
        stream.truncate(MAX_BUNDLE_BYTES + 1)
    with pytest.raises(SignatureError, match="has more than"):
        read_bundle(file)


def test_keys_that_are_not_supported_are_errors(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    signed = envelope(key, STATEMENT)
    rsa_key = public_key_file(rsa.generate_private_key(65537, 2048), tmp_path)
    require_error(signed, KeySigner(rsa_key), "type rsa, which is not supported", InputError)
    curve = public_key_file(ec.generate_private_key(ec.SECP256K1()), tmp_path)
    require_error(signed, KeySigner(curve), "not the PEM of a public key", InputError)
    text = tmp_path / "text"
    text.write_text("no key")
    require_error(signed, KeySigner(text), "not the PEM of a public key", InputError)


def private_key_file(file: Path, key: Any, password: bytes = b"") -> Path:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return file


@pytest.mark.parametrize("password", [b"", b"pass-phrase-of-the-key"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate])
def test_private_key_in_the_place_of_a_public_key_is_an_error_that_shows_nothing_of_it(
    key: ec.EllipticCurvePrivateKey, make: Callable[[], Any], password: bytes, tmp_path: Path
) -> None:
    file = private_key_file(tmp_path / "approver's.pem", make(), password)
    with pytest.raises(InputError, match="is a private key, and --public-key takes") as caught:
        verify(envelope(key, STATEMENT), KeySigner(file))
    assert f"openssl pkey -in {shlex.quote(str(file))} -pubout" in caught.value.remedy
    shown = caught.value.message + caught.value.remedy + caught.value.detail
    assert not any(line in shown for line in file.read_text().splitlines())


def test_certificate_in_the_place_of_a_public_key_is_an_error(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "certificate.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    require_error(envelope(key, STATEMENT), KeySigner(file), "is a certificate, and --public-key takes", InputError)


def test_elliptic_curve_key_of_openssh_is_an_error(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "id_ecdsa.pub"
    file.write_text("ecdsa-sha2-nistp256 AAAA approver@example.com\n")
    require_error(envelope(key, STATEMENT), KeySigner(file), "is a key of OpenSSH, and --public-key takes", InputError)


@pytest.mark.parametrize("name", ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"])
def test_ed25519_key_of_openssh_is_an_error_without_a_command_that_fails(
    name: str, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    file = tmp_path / "id_ed25519.pub"
    file.write_text(f"{name} AAAA approver@example.com\n")
    with pytest.raises(InputError, match="is a key of OpenSSH, and --public-key takes") as caught:
        verify(envelope(key, STATEMENT), KeySigner(file))
    assert "openssl genpkey -algorithm ed25519" in caught.value.remedy


@pytest.mark.parametrize("is_signer_first", [True, False])
def test_file_with_two_public_keys_is_an_error(
    key: ec.EllipticCurvePrivateKey, tmp_path: Path, is_signer_first: bool
) -> None:
    keys = [public_key_file(each, tmp_path).read_bytes() for each in (key, ec.generate_private_key(ec.SECP256R1()))]
    file = tmp_path / "keys.pub"
    file.write_bytes(b"".join(keys if is_signer_first else keys[::-1]))
    require_error(envelope(key, STATEMENT), KeySigner(file), "has 2 keys, and only one can be the signer", InputError)


@pytest.mark.parametrize(
    "document, kind",
    [
        ({"schema_version": "1.0", "command": "seal", "status": "sealed"}, "a report of Model Gate, not a bundle"),
        ({"predicateType": PREDICATE_TYPE}, "a seal without a signature, not a bundle"),
        ({"predicateType": PROMOTION_TYPE}, "a promotion statement, not a bundle"),
    ],
    ids=["report", "seal", "promotion"],
)
def test_document_in_the_place_of_a_bundle_is_named(by_key: KeySigner, document: dict[str, str], kind: str) -> None:
    require_error(document, by_key, f"wine.sigstore.json is {kind}")


def test_bundle_verifies_with_a_trusted_root_and_with_a_trust_configuration(
    instance: SigstoreInstance, by_identity: IdentitySigner, tmp_path: Path
) -> None:
    bundle = instance.bundle(STATEMENT, WORKFLOW)
    assert verify(bundle, by_identity) == STATEMENT
    file = tmp_path / "trust_config.json"
    file.write_text(json.dumps(instance.trust_config()), "utf-8")
    assert verify(bundle, IdentitySigner(WORKFLOW.uri, WORKFLOW.issuer, file)) == STATEMENT


@pytest.mark.parametrize(
    "identity, message",
    [
        (Identity(WORKFLOW.uri.replace("approve", "other"), WORKFLOW.issuer), "SANs do not match"),
        (Identity(WORKFLOW.uri, "https://accounts.example.com"), "OIDCIssuer does not match"),
        (
            Identity(WORKFLOW.uri, WORKFLOW.issuer, certified=60 * MINUTE, signed=30 * MINUTE),
            EXPIRED,
        ),
        (
            Identity(WORKFLOW.uri, WORKFLOW.issuer, certified=30 * MINUTE, signed=60 * MINUTE),
            EXPIRED,
        ),
    ],
    ids=["identity", "issuer", "expired", "not yet valid"],
)
def test_another_signer_is_an_error(
    instance: SigstoreInstance, by_identity: IdentitySigner, identity: Identity, message: str
) -> None:
    require_error(instance.bundle(STATEMENT, identity), by_identity, message)


def test_another_sigstore_instance_is_an_error(by_identity: IdentitySigner) -> None:
    require_error(SigstoreInstance().bundle(STATEMENT, WORKFLOW), by_identity, "is not valid")


def test_log_entry_of_another_statement_is_an_error(instance: SigstoreInstance, by_identity: IdentitySigner) -> None:
    bundle, other = (instance.bundle(text, WORKFLOW) for text in (STATEMENT, b"{}"))
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    require_error(bundle, by_identity, "log entry")
    bundle["verificationMaterial"]["tlogEntries"] = []
    require_error(bundle, by_identity, "exactly one log entry")


def test_envelope_without_a_certificate_has_no_identity(
    key: ec.EllipticCurvePrivateKey, by_identity: IdentitySigner
) -> None:
    require_error(envelope(key, STATEMENT), by_identity, "without a certificate")
    require_error(key_bundle(envelope(key, STATEMENT), "hint"), by_identity, "expected certificate in bundle")


def test_bundle_of_an_identity_does_not_verify_with_a_key(instance: SigstoreInstance, by_key: KeySigner) -> None:
    require_error(instance.bundle(STATEMENT, WORKFLOW), by_key, "no valid signature of the key")


@pytest.mark.parametrize("text", ["", "{}", '{"mediaType": 5}', '{"mediaType": "text/plain"}'])
def test_malformed_trust_configuration_is_an_error(instance: SigstoreInstance, tmp_path: Path, text: str) -> None:
    file = tmp_path / "trust_config.json"
    file.write_text(text)
    signer = IdentitySigner(WORKFLOW.uri, WORKFLOW.issuer, file)
    require_error(instance.bundle(STATEMENT, WORKFLOW), signer, "not a trust configuration", InputError)


def test_missing_packages_are_an_error_that_names_the_extra(
    key: ec.EllipticCurvePrivateKey, by_key: KeySigner, by_identity: IdentitySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python refuses to import a module whose entry is None, as if it were not installed.
    for name in ("securesystemslib.dsse", "sigstore.verify"):
        monkeypatch.setitem(sys.modules, name, None)
    for signer in (by_key, by_identity):
        with pytest.raises(SignatureError, match="cannot be checked here") as caught:
            verify(key_bundle(envelope(key, STATEMENT), "hint"), signer)
        assert "model-gate[signatures]" in caught.value.remedy


def test_hostile_text_of_a_certificate_is_escaped(instance: SigstoreInstance, by_identity: IdentitySigner) -> None:
    hostile = Identity("https://example.com/\x1b[31m\n::error::x", WORKFLOW.issuer)
    with pytest.raises(SignatureError) as caught:
        verify(instance.bundle(STATEMENT, hostile), by_identity)
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


def test_url_safe_base64_of_a_payload_verifies(key: ec.EllipticCurvePrivateKey, by_key: KeySigner) -> None:
    statement = b'{"_type": "???~~~"}'
    signed = envelope(key, statement)
    url_safe = signed["payload"].replace("+", "-").replace("/", "_")
    assert url_safe != signed["payload"]
    assert verify({**signed, "payload": url_safe}, by_key) == statement
