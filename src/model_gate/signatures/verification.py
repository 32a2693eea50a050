"""Checks the signature of a statement. The optional packages `sigstore` and `securesystemslib` do all cryptography.

A statement is signed in a DSSE envelope, which is either bare or in a Sigstore bundle. Its signer is known by a public
key, or by an identity that an OpenID Connect issuer vouches for.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_gate.domain.wording import printable, truncate_middle
from model_gate.errors import InputError, SignatureError, reading_error
from model_gate.formats.document_kinds import BUNDLE, SIGNED_FILE, document_kind
from model_gate.formats.model_signing import MAX_STATEMENT_BYTES, PAYLOAD_TYPE
from model_gate.formats.strict_json import JsonError, parse_json
from model_gate.signals import Interrupted
from model_gate.signatures.signers import IdentitySigner, KeySigner, Signer
from model_gate.symbolic_links import open_input

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

# Base64 makes a statement a third longer.
MAX_BUNDLE_BYTES = MAX_STATEMENT_BYTES * 4 // 3 + 1024 * 1024
# A bundle is one long string and a few values.
_MAX_COMMAS = 100_000
_MAX_KEY_BYTES = 64 * 1024
_MAX_TRUST_CONFIG_BYTES = 8 * 1024 * 1024
_MAX_REASON = 300
_BEGIN_PEM = b"-----BEGIN "
_OPENSSH_ED25519 = re.compile(rb"^(?:sk-)?ssh-ed25519", re.MULTILINE)
_KEY_TYPES = frozenset({"ecdsa", "ed25519"})
_TRUSTED_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot"
# securesystemslib finds a signature by its key ID. The ID in the envelope is only a hint, so it is replaced by this ID.
_KEY_ID = "signer"

_NAME_BUNDLE = (
    "Name the file that was written when the seal was signed, by model_signing sign, cosign attest-blob --statement or"
    " GitHub's attestation."
)
_NAME_KEY = "Name the signer's public key: an elliptic curve key (P-256, P-384, P-521) or an Ed25519 key."
_NEEDS_EXTRA = "Install the extra that checks signatures: pip install 'model-gate[signatures]'."
_SIGN_AGAIN = "Do not use the model: find out who made this bundle, or sign the seal again."


def read_bundle(path: Path) -> bytes:
    """Return the content of a bundle.

    Raises:
        StorageError: The bundle cannot be read.
        SignatureError: The bundle is too large.
    """
    return _read(path, "bundle", MAX_BUNDLE_BYTES)


def verified_statement(bundle: bytes, signer: Signer, name: str) -> bytes:
    """Return the signed statement of a bundle after a check that the signer signed it.

    Args:
        bundle: The JSON text of a Sigstore bundle, or of a DSSE envelope.
        signer: Who must have signed.
        name: The bundle's name in error messages.

    Returns:
        The text of the in-toto statement, exactly as it was signed.

    Raises:
        SignatureError: The bundle is malformed, has not exactly one signature, or its signature is not a valid one of
            this signer. Or the packages that check signatures are missing, or the trusted root is not available.
        StorageError: The public key or the trust configuration cannot be read.
        InputError: The public key or the trust configuration is malformed.
    """
    data = _parse(bundle, name)
    envelope = _envelope(data, name)
    if isinstance(signer, KeySigner):
        statement = _verify_with_key(envelope, signer, name)
    elif envelope is data:
        raise SignatureError(
            f"The bundle {name} is a DSSE envelope without a certificate, so it has no identity to check.",
            "Name the signer's --public-key, or sign the seal with Sigstore.",
        )
    else:
        statement = _verify_with_identity(bundle, signer, name)
    if not statement:
        raise SignatureError(f"The statement in the bundle {name} is empty.", _SIGN_AGAIN)
    return statement


def _parse(bundle: bytes, name: str) -> Any:
    try:
        return parse_json(bundle, max_bytes=MAX_BUNDLE_BYTES, max_commas=_MAX_COMMAS)
    except JsonError as error:
        raise SignatureError(f"The bundle {name} cannot be read: {_reason(error)}.", _NAME_BUNDLE) from error


def _envelope(data: Any, name: str) -> dict[str, Any]:
    """Return the DSSE envelope of a bundle after a check of its form.

    Raises:
        SignatureError: There is no envelope, its payload is no in-toto statement, or it has not exactly one signature.
    """
    envelope = data.get("dsseEnvelope", data) if isinstance(data, dict) else None
    if not isinstance(envelope, dict) or not {"payload", "payloadType", "signatures"} <= envelope.keys():
        kind = document_kind(data)
        if kind in {"", BUNDLE}:
            kind = "neither a Sigstore bundle of a statement nor a DSSE envelope"
        elif kind != SIGNED_FILE:
            kind = f"{kind}, not a bundle"
        raise SignatureError(f"{name} is {kind}.", _NAME_BUNDLE)
    _require_payload_type(envelope["payloadType"], name)
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        count = len(signatures) if isinstance(signatures, list) else "no list of"
        raise SignatureError(
            f"The bundle {name} has {count} signatures: it must have exactly one.",
            "Name a bundle with one signature. Verify several bundles one after the other.",
        )
    return envelope


def _require_payload_type(payload_type: object, name: str) -> None:
    if payload_type != PAYLOAD_TYPE:
        shown = truncate_middle(printable(str(payload_type)), _MAX_REASON)
        raise SignatureError(f"The bundle {name} signs {shown!r}, not an in-toto statement.", _SIGN_AGAIN)


def _verify_with_key(envelope: dict[str, Any], signer: KeySigner, name: str) -> bytes:
    with _optional_packages():
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.dsse import Envelope
        from securesystemslib.exceptions import VerificationError
        from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # public, but not exported
    file = printable(str(signer.public_key))
    pem = _read(signer.public_key, "public key", _MAX_KEY_BYTES)
    _require_public_key(pem, file)
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(pem), keyid=_KEY_ID)
    except Exception as error:
        raise InputError(f"{file} is not the PEM of a public key that can be used.", _NAME_KEY) from error
    if key.keytype not in _KEY_TYPES:
        raise InputError(f"{file} is a key of the type {key.keytype}, which is not supported.", _NAME_KEY)
    with _failures_of(name):
        signature = {"keyid": _KEY_ID, "sig": envelope["signatures"][0]["sig"]}
        signed = Envelope.from_dict({**envelope, "signatures": [signature]})
        try:
            signed.verify([key], threshold=1)
        except VerificationError as error:
            raise SignatureError(
                f"The bundle {name} has no valid signature of the key {file}: another key signed it, or it was changed"
                " after it was signed.",
                f"Check that {file} is the public key of the signer. If it is, do not use the model: find out who"
                " changed the bundle.",
            ) from error
    return signed.payload


def _require_public_key(pem: bytes, file: str) -> None:
    """Verify that a file is not another kind of key file. Its content is never shown.

    Raises:
        InputError: It is a private key, a certificate or a key of OpenSSH, or has several keys.
    """
    kinds = {
        b"PRIVATE KEY-----": ("a private key", f"openssl pkey -in {shlex.quote(file)} -pubout -out approver.pub"),
        b"BEGIN CERTIFICATE-----": ("a certificate", f"openssl x509 -in {shlex.quote(file)} -noout -pubkey"),
        b"ecdsa-sha2-": ("a key of OpenSSH", f"ssh-keygen -e -m PKCS8 -f {shlex.quote(file)}"),
    }
    for mark, (kind, command) in kinds.items():
        if mark in pem:
            raise InputError(
                f"{file} is {kind}, and --public-key takes the PEM of a public key.",
                f"This command writes the public key: {command}",
            )
    if _OPENSSH_ED25519.search(pem):
        raise InputError(
            f"{file} is a key of OpenSSH, and --public-key takes the PEM of a public key.",
            "ssh-keygen cannot convert an Ed25519 key. Make a key pair for signing: openssl genpkey -algorithm ed25519"
            " -out approver.pem",
        )
    if (keys := pem.count(_BEGIN_PEM)) > 1:
        raise InputError(
            f"{file} has {keys} keys, and only one can be the signer.", "Write each key to a file of its own."
        )


def _verify_with_identity(bundle: bytes, signer: IdentitySigner, name: str) -> bytes:
    with _optional_packages():
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    # Without a handler, Python writes the warnings of these packages to standard error.
    for package in ("sigstore", "tuf"):
        logging.getLogger(package).addHandler(logging.NullHandler())
    root = _public_trusted_root() if signer.trust_config is None else _trusted_root(signer.trust_config)
    with _failures_of(name):
        policy = Identity(identity=signer.identity, issuer=signer.issuer)
        payload_type, payload = Verifier(trusted_root=root).verify_dsse(Bundle.from_json(bundle), policy)
    # The package has parsed the bundle a second time.
    _require_payload_type(payload_type, name)
    return payload


def _public_trusted_root() -> TrustedRoot:
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.production().trusted_root
    except Interrupted as signal:
        signal.awaited = "the trusted root from https://tuf-repo-cdn.sigstore.dev"
        raise
    except Exception as error:
        raise SignatureError(
            f"The trusted root of the public Sigstore instance is not available: {_reason(error)}.",
            "Allow https://tuf-repo-cdn.sigstore.dev, or name a trusted root that you have: --trust-config.",
        ) from error


def _trusted_root(path: Path) -> TrustedRoot:
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootMessage

    text = _read(path, "trust configuration", _MAX_TRUST_CONFIG_BYTES)
    try:
        if str(json.loads(text)["mediaType"]).startswith(_TRUSTED_ROOT_TYPE):
            return TrustedRoot(TrustedRootMessage.from_json(text))
        return ClientTrustConfig.from_json(text.decode()).trusted_root
    except Exception as error:
        raise InputError(
            f"{printable(str(path))} is not a trust configuration of Sigstore: {_reason(error)}.",
            "Name a trusted_root.json, or the file that `sigstore --trust-config` takes.",
        ) from error


def _read(path: Path, what: str, max_bytes: int) -> bytes:
    try:
        with open(path, "rb", opener=open_input) as file:
            text = file.read(max_bytes + 1)
    except OSError as error:
        raise reading_error(error, f"{what} {printable(str(path))}") from error
    if len(text) > max_bytes:
        raise SignatureError(f"{printable(str(path))} has more than {max_bytes:,} bytes.", f"Check the {what}.")
    return text


@contextmanager
def _optional_packages() -> Iterator[None]:
    """Turn a failed import into an error with its remedy.

    Raises:
        SignatureError: A package is missing.
    """
    try:
        yield
    except ImportError as error:
        raise SignatureError(f"Signatures cannot be checked here: {_reason(error)}.", _NEEDS_EXTRA) from error


@contextmanager
def _failures_of(name: str) -> Iterator[None]:
    """Turn every failure of a package into an error. For a malformed bundle, they raise many kinds of exceptions.

    Raises:
        SignatureError: The signature is not valid.
    """
    try:
        yield
    except SignatureError:
        raise
    except Exception as error:
        raise SignatureError(
            f"The signature in the bundle {name} is not valid: {_reason(error)}.", _SIGN_AGAIN
        ) from error


def _reason(error: Exception) -> str:
    message = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    text = " ".join(printable(line) for line in message.splitlines()) or type(error).__name__
    return truncate_middle(text.rstrip(". "), _MAX_REASON)
