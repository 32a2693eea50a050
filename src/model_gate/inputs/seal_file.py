"""Reads the file of a seal."""

from __future__ import annotations

from pathlib import Path

from model_gate.domain.seal import Seal, parse_seal
from model_gate.domain.wording import printable
from model_gate.errors import SealError, storage_error
from model_gate.formats.model_signing import MAX_BYTES
from model_gate.symbolic_links import open_input


def read_seal(path: Path) -> Seal:
    """Return the seal in a file. Beneath the working directory, no part of the path may be a symbolic link.

    Raises:
        SealError: The file cannot be read, is not a seal, or was edited.
    """
    try:
        with open(path, "rb", opener=open_input) as file:
            # The file may be larger than this machine's memory.
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        remedy = storage_error(error, "").remedy or "Check the path and its permissions."
        raise SealError(f"The seal {printable(str(path))} cannot be read: {error.strerror}.", remedy) from error
    return parse_seal(content, str(path))
