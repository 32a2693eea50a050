"""Whether two files, and so two models, are the same: `filecmp` decides, with its traps closed."""

from __future__ import annotations

import filecmp
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from model_gate.comparison.digest import file_digest
from model_gate.comparison.small_files.equality import digest_if_equal
from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import may_be_rewritten
from model_gate.domain.wording import printable
from model_gate.errors import ModelGateError, TransferError, storage_error
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content
from model_gate.explanation.raw_bytes import first_differing_byte
from model_gate.explanation.rewritten_file import rewrite_reason_of

# Smaller ones are read once, for both.
_SMALL_BYTES = 64 * 1024
_LARGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class FileComparison:
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


def compare_pair(
    pair: Pair, left: str | None, right: str | None, explaining: Explainer | None = None
) -> FileComparison:
    """Compare the bytes of a pair; a half that does not exist is None. `explaining` says what differs.

    Raises:
        StorageError: A file cannot be read.
        TransferError: A file changed while it was compared.
    """
    try:
        if left is None or right is None:
            return _one_sided(pair, left, right)
        is_same, left_digest = _compare(left, right, pair.left_size or 0)
        if is_same:
            return FileComparison(pair, None, left_digest, left_digest)
        return FileComparison(
            pair, _content_difference(pair, left, right, explaining or Explainer()), left_digest, file_digest(right)
        )
    except ModelGateError:
        raise
    except OSError as error:
        raise storage_error(error, f"read {printable(pair.path)}") from error


def compare_sizes(pair: Pair) -> FileComparison:
    """What the listings alone say of a pair whose bytes are not needed any more."""
    if pair.left is None or pair.right is None:
        return _one_sided(pair, None, None)
    if pair.left_size == pair.right_size:
        return FileComparison(pair, None, is_compared=False)
    difference = Difference(
        pair.path,
        DifferenceKind.CONTENT,
        pair.left_size,
        pair.right_size,
        is_native=pair.is_native,
        ignored_by=pair.ignored_by,
    )
    return FileComparison(pair, difference)


def _compare(left: str, right: str, size: int) -> tuple[bool, str]:
    """Whether the bytes are the same, and the left file's SHA-256: at the same time where a thread is worth it."""
    if size < _SMALL_BYTES and (digest := digest_if_equal(left, right, size)):
        return True, digest
    if size < _LARGE_BYTES:
        return _same_bytes(left, right), file_digest(left)
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(file_digest, left)
        return _same_bytes(left, right), hashing.result()


def _same_bytes(left: str, right: str) -> bool:
    # The cache would answer for a file that was rewritten with the same size and time.
    filecmp.clear_cache()
    return filecmp.cmp(left, right, shallow=False)


def _one_sided(pair: Pair, left: str | None, right: str | None) -> FileComparison:
    kind = DifferenceKind.ONLY_RIGHT if pair.left is None else DifferenceKind.ONLY_LEFT
    difference = Difference(
        pair.path,
        kind,
        pair.left_size,
        pair.right_size,
        rewrite_reason=rewrite_reason_of(pair, left, right),
        is_native=pair.is_native,
        ignored_by=pair.ignored_by,
    )
    digests = [None if file is None else file_digest(file) for file in (left, right)]
    return FileComparison(pair, difference, digests[0], digests[1])


def _content_difference(pair: Pair, left: str, right: str, explaining: Explainer) -> Difference:
    offset = first_difference(left, right)
    if offset is None:
        raise TransferError(
            f"{printable(pair.path)} changed while it was compared.",
            "Run the gate again when nothing writes to the model.",
        )
    explanation = explaining.explain(pair.path, left, right)
    if not may_be_rewritten(pair.left or pair.path, pair.right or pair.path):
        # The explanation knows only one of the names.
        explanation = replace(explanation, rewrite_reason="")
    return Difference(
        pair.path,
        DifferenceKind.CONTENT,
        pair.left_size,
        pair.right_size,
        offset=offset,
        rewrite_reason=rewrite_reason_of(pair, left, right) or explanation.rewrite_reason,
        explanation=explanation,
        is_native=pair.is_native,
        ignored_by=pair.ignored_by,
    )


def first_difference(left: str, right: str) -> int | None:
    """The offset of the first byte that differs, or where the shorter file ends; None if there is none.

    Raises:
        OSError: A file cannot be read.
    """
    return first_differing_byte(Content.of_file(left), Content.of_file(right))
