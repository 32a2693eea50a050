"""Whether two files, and so two models, are the same: `filecmp` decides, with its traps closed."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass
from pathlib import Path

from model_gate.difference import Difference, DifferenceKind
from model_gate.digest import file_digest
from model_gate.errors import ModelGateError, TransferError, storage_error
from model_gate.explanation import explain, identity_reason
from model_gate.identity import IDENTITY_FILES
from model_gate.model import shown_path
from model_gate.pairing import Pair

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Judgement:
    """What one pair of files turned out to be.

    Attributes:
        pair: The pair.
        difference: None if both are there with the same bytes, or if it was not compared.
        left_digest: SHA-256 in hex, None if the file is not there or was not fetched.
        right_digest: The same of the right file.
        is_compared: Whether its bytes were looked at; one-sided pairs count as compared.
    """

    pair: Pair
    difference: Difference | None
    left_digest: str | None = None
    right_digest: str | None = None
    is_compared: bool = True


def judge(pair: Pair, left: str | None, right: str | None) -> Judgement:
    """Compare the bytes of a pair; a half that does not exist is None.

    Raises:
        StorageError: A file cannot be read.
        TransferError: A file changed while it was compared.
    """
    try:
        if left is None or right is None:
            return _one_sided(pair, left, right)
        left_digest = file_digest(left)
        if _same_bytes(left, right):
            return Judgement(pair, None, left_digest, left_digest)
        return Judgement(pair, _content_difference(pair, left, right), left_digest, file_digest(right))
    except ModelGateError:
        raise
    except OSError as error:
        raise storage_error(error, f"read {shown_path(pair.path)}") from error


def judge_unfetched(pair: Pair) -> Judgement:
    """What the listings alone say of a pair whose bytes are not needed any more."""
    if pair.left is None or pair.right is None:
        return _one_sided(pair, None, None)
    if pair.left_size == pair.right_size:
        return Judgement(pair, None, is_compared=False)
    difference = Difference(
        pair.path, DifferenceKind.CONTENT, pair.left_size, pair.right_size, is_native=pair.is_native
    )
    return Judgement(pair, difference)


def _same_bytes(left: str, right: str) -> bool:
    # The cache would answer for a file that was rewritten with the same size and time.
    filecmp.clear_cache()
    return filecmp.cmp(left, right, shallow=False)


def _one_sided(pair: Pair, left: str | None, right: str | None) -> Judgement:
    kind = DifferenceKind.ONLY_RIGHT if pair.left is None else DifferenceKind.ONLY_LEFT
    difference = Difference(
        pair.path,
        kind,
        pair.left_size,
        pair.right_size,
        identity=IDENTITY_FILES.get(pair.path, ""),
        is_native=pair.is_native,
    )
    digests = [None if file is None else file_digest(file) for file in (left, right)]
    return Judgement(pair, difference, digests[0], digests[1])


def _content_difference(pair: Pair, left: str, right: str) -> Difference:
    offset = first_difference(left, right)
    if offset is None:
        raise TransferError(
            f"{shown_path(pair.path)} changed while it was compared.",
            "Run the gate again when nothing writes to the model.",
        )
    return Difference(
        pair.path,
        DifferenceKind.CONTENT,
        pair.left_size,
        pair.right_size,
        offset=offset,
        identity=IDENTITY_FILES.get(pair.path, "") or identity_reason(pair.path, Path(left), Path(right)),
        explanation=explain(pair.path, Path(left), Path(right)),
        is_native=pair.is_native,
    )


def first_difference(left: str, right: str) -> int | None:
    """The offset of the first byte that differs, or where the shorter file ends; None if there is none.

    Raises:
        OSError: A file cannot be read.
    """
    offset = 0
    with open(left, "rb") as left_file, open(right, "rb") as right_file:
        while True:
            left_chunk, right_chunk = left_file.read(_CHUNK_BYTES), right_file.read(_CHUNK_BYTES)
            if left_chunk != right_chunk:
                return offset + _first_in(left_chunk, right_chunk)
            if not left_chunk:
                return None
            offset += len(left_chunk)


def _first_in(left: bytes, right: bytes) -> int:
    """The length of the common prefix of two chunks that differ."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
