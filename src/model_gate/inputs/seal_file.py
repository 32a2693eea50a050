"""Reads the file of a seal, and the bundle that has its signature."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

from model_gate.domain.seal import Seal, parse_seal
from model_gate.domain.wording import printable
from model_gate.errors import SealError, SignatureError, reading_error
from model_gate.formats.model_signing import MAX_STATEMENT_BYTES, StatementError
from model_gate.inputs.similar_file import neighbours, similar_file
from model_gate.signatures.signed_seal import require_statement_about, seal_in_statement
from model_gate.signatures.signers import Signer
from model_gate.signatures.verification import read_bundle, verified_statement
from model_gate.symbolic_links import open_input


def read_seal(path: Path) -> Seal:
    """Return the seal in a file. Beneath the working directory, no part of the path may be a symbolic link.

    Raises:
        SealError: The file cannot be read, is not a seal, or was edited.
    """
    return parse_seal(_content(path), str(path))


def read_signed_seal(path: Path, bundle: Path, signer: Signer) -> Seal:
    """Return the seal in a file after a check that the signer signed it.

    Args:
        path: The file of the seal.
        bundle: The Sigstore bundle or DSSE envelope.
        signer: Who must have signed.

    Raises:
        SealError: The seal cannot be read, is not a seal, or was edited.
        SignatureError: The signature is not valid, cannot be checked, or is not about this seal.
        StorageError: The bundle, the public key or the trust configuration cannot be read.
        InputError: The public key or the trust configuration is malformed.
    """
    content = _content(path)
    # A file that is no seal is an error about this file, and not about the bundle.
    seal = parse_seal(content, str(path))
    signed = verified_statement(read_bundle(bundle), signer, printable(str(bundle)))
    try:
        require_statement_about(seal, content, signed)
    except StatementError as error:
        raise SignatureError(
            f"The bundle {printable(str(bundle))} is not about the seal {printable(str(path))}:"
            f" {printable(str(error))}.",
            "Name the bundle that was made for this seal, and the seal as it was signed. If the bundle has a seal"
            " itself, leave out --seal to use this one.",
        ) from error
    return replace(seal, signer=str(signer))


def read_bundled_seal(bundle: Path, signer: Signer) -> Seal:
    """Return the seal that a bundle has, after a check that the signer signed it.

    Args:
        bundle: The Sigstore bundle or DSSE envelope.
        signer: Who must have signed.

    Raises:
        SealError: The signed statement is an invalid seal.
        SignatureError: The signature is not valid or cannot be checked, or the signed statement is not a seal.
        StorageError: The bundle, the public key or the trust configuration cannot be read.
        InputError: The public key or the trust configuration is malformed.
    """
    signed = verified_statement(read_bundle(bundle), signer, printable(str(bundle)))
    try:
        return replace(seal_in_statement(signed, str(bundle)), signer=str(signer))
    except StatementError as error:
        raise SignatureError(
            f"The bundle {printable(str(bundle))} has no seal: {printable(str(error))}.",
            "Name the bundle of a seal, or name the seal too: --seal.",
        ) from error


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=open_input) as file:
            # The file may be larger than this machine's memory.
            return file.read(MAX_STATEMENT_BYTES + 1)
    except OSError as error:
        failure = reading_error(error, f"seal {printable(str(path))}")
        near = _similar_seal(path) if error.errno == errno.ENOENT else None
        remedy = f"Did you mean {printable(str(near))}?" if near else failure.remedy
        raise SealError(failure.message, remedy) from error


def _similar_seal(path: Path) -> Path | None:
    try:
        return similar_file(path, neighbours(path))
    except OSError:
        return None
