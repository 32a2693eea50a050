"""Signs seals as `model_signing sign key` does, and verifies models with the tool `model_signing`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.sigstore_instance import envelope, key_bundle

Json = dict[str, Any]


@dataclass(frozen=True)
class KeyFiles:
    """A key of an approver, and its two PEM files."""

    key: ec.EllipticCurvePrivateKey
    private: Path
    public: Path

    @classmethod
    def make(cls, directory: Path) -> KeyFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        files = cls(key, directory / "key.pem", directory / "key.pub")
        files.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return files

    def sign(self, statement: bytes) -> Json:
        """Return the bundle of a statement."""
        return key_bundle(envelope(self.key, statement), hashlib.sha256(self.public.read_bytes()).hexdigest())

    def sign_file(self, statement: Path) -> Path:
        """Write the bundle of a statement beside it."""
        bundle = statement.with_suffix(".sigstore.json")
        bundle.write_text(json.dumps(self.sign(statement.read_bytes())), "utf-8")
        return bundle

    def sign_model(self, model: Path, bundle: Path) -> None:
        """Sign a directory with the tool `model_signing`."""
        import model_signing

        config = model_signing.signing.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_signer(private_key=self.private).sign(model, bundle)

    def verify_model(self, model: Path, bundle: Path) -> None:
        """Verify a directory with the tool `model_signing`. A difference is a ValueError."""
        import model_signing

        config = model_signing.verifying.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_verifier(public_key=self.public).verify(model, bundle)
