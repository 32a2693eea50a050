"""Who must have signed a statement: a public key, or an identity that an OpenID Connect issuer vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeySigner:
    """A signer that is known by its public key: an elliptic curve key (P-256, P-384, P-521) or an Ed25519 key.

    Attributes:
        public_key: Path of the PEM file.
    """

    public_key: Path

    def __str__(self) -> str:
        return f"the key {self.public_key}"


@dataclass(frozen=True)
class IdentitySigner:
    """A signer that is known by the certificate that a Sigstore instance issued.

    Attributes:
        identity: The certificate's subject: an e-mail address, or the URI of a workflow at a ref.
        issuer: The OpenID Connect issuer that vouches for the identity.
        trust_config: Path of the Sigstore client's trust configuration, or of its trusted root; None for the public
            instance of Sigstore, whose trusted root comes from the network.
    """

    identity: str
    issuer: str
    trust_config: Path | None = None

    def __str__(self) -> str:
        return f"{self.identity} ({self.issuer})"


Signer = KeySigner | IdentitySigner
