"""A Sigstore instance for tests, without servers: an authority for certificates and two logs, as keys in memory.

It makes bundles as Fulcio, Rekor and their clients do, which `sigstore-python` verifies with its trusted root.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_LIST_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ORIGIN = "rekor.example.com - 1"
_HOUR = timedelta(hours=1)
Json = dict[str, Any]


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return what a DSSE envelope signs."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def envelope(key: ec.EllipticCurvePrivateKey, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> Json:
    """Return a DSSE envelope with one signature."""
    signature = {"sig": base64_text(sign(key, pae(payload, payload_type))), "keyid": ""}
    return {"payload": base64_text(payload), "payloadType": payload_type, "signatures": [signature]}


@dataclass(frozen=True)
class Identity:
    """Who signs, and when.

    Attributes:
        uri: The subject of the certificate.
        issuer: The OpenID Connect issuer.
        certified: How long before now the certificate was issued. It is valid for ten minutes.
        signed: How long before now the log got the signature.
    """

    uri: str
    issuer: str
    certified: timedelta = _HOUR
    signed: timedelta = _HOUR


# The workflow that signs seals in tests.
WORKFLOW = Identity(
    "https://github.com/example/models/.github/workflows/approve.yml@refs/heads/main",
    "https://token.actions.githubusercontent.com",
)


def key_bundle(signed: Json, hint: str) -> Json:
    """Return a Sigstore bundle of an envelope that a key signed."""
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": signed,
    }


class SigstoreInstance:
    """Keys of a certificate authority, a log of certificates and a log of signatures."""

    def __init__(self) -> None:
        self._authority_key, self._certificates_key, self._log_key = (_new_key() for _ in range(3))
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._authority = self._make_authority()

    def trusted_root(self) -> Json:
        """Return the trusted root, which verifiers need."""
        start = {"start": _timestamp(self._now - 48 * _HOUR)}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log("https://rekor.example.com", self._log_key, start)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example.com", "commonName": "fulcio"},
                    "uri": "https://fulcio.example.com",
                    "certChain": {"certificates": [{"rawBytes": base64_text(_der(self._authority))}]},
                    "validFor": start,
                }
            ],
            "ctlogs": [_log("https://ctfe.example.com", self._certificates_key, start)],
            "timestampAuthorities": [],
        }

    def trust_config(self) -> Json:
        """Return the trust configuration of a client: the trusted root, and where to sign."""
        service = {
            "majorApiVersion": 1,
            "validFor": {"start": _timestamp(self._now - 48 * _HOUR)},
            "operator": "example.com",
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [{"url": "https://fulcio.example.com", **service}],
                "oidcUrls": [{"url": "https://oidc.example.com", **service}],
                "rekorTlogUrls": [{"url": "https://rekor.example.com", **service}],
                "tsaUrls": [],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaConfig": {"selector": "ANY"},
            },
        }

    def bundle(self, payload: bytes, identity: Identity, payload_type: str = PAYLOAD_TYPE) -> Json:
        """Return a Sigstore bundle of a statement."""
        key = _new_key()
        certificate = self._certificate(key, identity)
        signed = envelope(key, payload, payload_type)
        entry = self._log_entry(payload, signed, certificate, self._now - identity.signed)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64_text(_der(certificate))},
                "tlogEntries": [entry],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": signed,
        }

    def _make_authority(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fulcio.example.com")])
        public_key = self._authority_key.public_key()
        return (
            x509.CertificateBuilder(name, name, public_key, x509.random_serial_number())
            .not_valid_before(self._now - 48 * _HOUR)
            .not_valid_after(self._now + 48 * _HOUR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: Identity) -> x509.Certificate:
        start = self._now - identity.certified
        builder = (
            x509.CertificateBuilder(
                self._authority.subject, x509.Name([]), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(start - timedelta(minutes=1))
            .not_valid_after(start + timedelta(minutes=10))
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, identity.issuer.encode()), critical=False)
        )
        unlogged = builder.sign(self._authority_key, hashes.SHA256())
        logged = x509.UnrecognizedExtension(_SCT_LIST_OID, self._certificate_timestamp(unlogged, start))
        return builder.add_extension(logged, critical=False).sign(self._authority_key, hashes.SHA256())

    def _certificate_timestamp(self, certificate: x509.Certificate, time: datetime) -> bytes:
        """Return the extension by which the log of certificates confirms an entry (RFC 6962)."""
        milliseconds = int(time.timestamp() * 1000)
        content = certificate.tbs_certificate_bytes
        issuer = hashlib.sha256(_der(self._authority_key.public_key())).digest()
        length = len(content).to_bytes(3, "big")
        signature = sign(
            self._certificates_key,
            struct.pack("!BBQH", 0, 0, milliseconds, 1) + issuer + length + content + b"\0\0",
        )
        log_id = hashlib.sha256(_der(self._certificates_key.public_key())).digest()
        entry = b"\0" + log_id + struct.pack("!QHBBH", milliseconds, 0, 4, 3, len(signature)) + signature
        entries = struct.pack("!HH", len(entry) + 2, len(entry)) + entry
        return b"\x04" + (b"\x81" if len(entries) > 127 else b"") + bytes([len(entries)]) + entries

    def _log_entry(self, payload: bytes, signed: Json, certificate: x509.Certificate, time: datetime) -> Json:
        verifier = base64_text(certificate.public_bytes(Encoding.PEM))
        body = rfc8785.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(json.dumps(signed).encode()),
                    "payloadHash": _hash(payload),
                    "signatures": [{"signature": signed["signatures"][0]["sig"], "verifier": verifier}],
                },
            }
        )
        key_id = hashlib.sha256(_der(self._log_key.public_key())).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        seconds = int(time.timestamp())
        promise = rfc8785.dumps(
            {"body": base64_text(body), "integratedTime": seconds, "logID": key_id.hex(), "logIndex": 0}
        )
        note = f"{_ORIGIN}\n1\n{base64_text(root)}\n"
        note_signature = base64_text(key_id[:4] + sign(self._log_key, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": base64_text(key_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": base64_text(sign(self._log_key, promise))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": base64_text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 {_ORIGIN.split(maxsplit=1)[0]} {note_signature}\n"},
            },
            "canonicalizedBody": base64_text(body),
        }


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _der(item: x509.Certificate | ec.EllipticCurvePublicKey) -> bytes:
    if isinstance(item, x509.Certificate):
        return item.public_bytes(Encoding.DER)
    return item.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _usage(**usages: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**none, **usages})


def _log(url: str, key: ec.EllipticCurvePrivateKey, valid_for: Json) -> Json:
    public_key = _der(key.public_key())
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_text(public_key),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": valid_for,
        },
        "logId": {"keyId": base64_text(hashlib.sha256(public_key).digest())},
    }


def _hash(data: bytes) -> Json:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _timestamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
