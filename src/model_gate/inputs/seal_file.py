"""Reads the file of a seal, and the bundle that has its signature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model_gate.domain.seal import Seal, parse_seal
from model_gate.domain.wording import printable
from model_gate.errors import SealError, SignatureError, reading_error
from model_gate.formats.attestation import vouched_seal
from model_gate.formats.model_signing import MAX_BYTES, StatementError
from model_gate.signatures.signers import Signer
from model_gate.signatures.verification import read_bundle, verified_statement
from model_gate.symbolic_links import open_input


def read_seal(path: Path) -> Seal:
    """Return the seal in a file. Beneath the working directory, no part of the path may be a symbolic link.

    Raises:
        SealError: The file cannot be read, is not a seal, or was edited.
    """
    return parse_seal(_content(path), str(path))


def read_signed_seal(path: Path | None, bundle: Path, signer: Signer) -> Seal:
    """Return a seal after a check that the signer signed it.

    Args:
        path: The file of the seal; None if the bundle itself has the seal.
        bundle: The Sigstore bundle or DSSE envelope.
        signer: Who must have signed.

    Raises:
        SealError: The seal cannot be read, is not a seal, or was edited.
        SignatureError: The signature does not hold, cannot be checked, or is not a signature of this seal.
        StorageError: The bundle, the public key or the trust configuration cannot be read.
        InputError: The public key or the trust configuration is malformed.
    """
    content = None if path is None else _content(path)
    # A file that is no seal is an error about this file, and not about the bundle.
    seal = None if content is None else parse_seal(content, str(path))
    statement = verified_statement(read_bundle(bundle), signer, printable(str(bundle)))
    try:
        signed = vouched_seal(statement, content)
    except StatementError as error:
        subject = "has no seal" if path is None else f"does not vouch for the seal {printable(str(path))}"
        raise SignatureError(
            f"The bundle {printable(str(bundle))} {subject}: {printable(str(error))}.",
            "Name the bundle that was made for this seal, and the seal as it was signed. If the bundle has a seal"
            " itself, leave out --seal to use this one."
            if path is not None
            else "Name the bundle of a seal, or name the seal too: --seal.",
        ) from error
    return replace(seal or parse_seal(signed, str(bundle)), signer=str(signer))


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=open_input) as file:
            # The file may be larger than this machine's memory.
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        failure = reading_error(error, f"seal {printable(str(path))}")
        raise SealError(failure.message, failure.remedy) from error
