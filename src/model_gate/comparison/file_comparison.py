"""Compares pairs of files. This module reads the files, and `filecmp.cmp` decides whether their bytes are equal."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from model_gate.comparison.digest import file_digest
from model_gate.comparison.small_files.equality import digest_if_equal, have_same_bytes
from model_gate.domain.difference import Difference, DifferenceKind, Explanation
from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import may_be_rewritten
from model_gate.domain.wording import printable
from model_gate.errors import ModelGateError, TransferError, storage_error
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content
from model_gate.explanation.one_sided import explain_one_sided
from model_gate.explanation.raw_bytes import first_differing_byte
from model_gate.explanation.rewritten_file import rewrite_reason_of
from model_gate.regular_files import open_regular

# A left file that is smaller is read only once, for both the comparison and its digest.
_SMALL_BYTES = 64 * 1024
# A thread computes the digest of a larger file during the comparison.
_LARGE_BYTES = 8 * 1024 * 1024


class FileComparison(NamedTuple):
    """The result of one pair of files.

    Attributes:
        pair: The pair of files.
        difference: None if both files exist with the same bytes, or if `is_compared` is false.
        left_digest: SHA-256 of the left file in hex, if the file was fetched or a seal has it; otherwise None.
        right_digest: SHA-256 of the right file in hex, if the file was fetched or a seal has it; otherwise None.
        is_compared: Whether the result is known: from the bytes of both files, from different sizes, or because one
            file is missing.
    """

    pair: Pair
    difference: Difference | None
    left_digest: str | None = None
    right_digest: str | None = None
    is_compared: bool = True


def compare_pair(pair: Pair, left: str | None, right: str | None, explainer: Explainer | None = None) -> FileComparison:
    """Read both files of a pair and compare their bytes.

    Args:
        pair: The pair of files.
        left: The left file on this machine, None if the left model does not have it.
        right: The right file on this machine, None if the right model does not have it.
        explainer: Explains a difference in content; None for no explanation.

    Raises:
        StorageError: A file cannot be read.
        TransferError: A file changed during the comparison.
    """
    try:
        if left is None or right is None:
            return _compare_one_sided(pair, left, right)
        is_equal, left_digest = _are_equal(left, right, pair.left_size or 0)
        if is_equal:
            return FileComparison(pair, None, left_digest, left_digest)
        difference = _content_difference(pair, left, right, explainer or Explainer())
        return FileComparison(pair, difference, left_digest, file_digest(right))
    except ModelGateError:
        raise
    except OSError as error:
        # `pair.path` does not show which model has the file, so the message names the file on this machine.
        raise storage_error(error, f"read {printable(str(error.filename or pair.path))}") from error


def compare_sizes(pair: Pair) -> FileComparison:
    """Compare two files only by their listed sizes. If the sizes are equal, `is_compared` of the result is false."""
    if pair.left is None or pair.right is None:
        return _compare_one_sided(pair, None, None)
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


def _are_equal(left: str, right: str, size: int) -> tuple[bool, str]:
    """Return whether the bytes are equal, and the SHA-256 of the left file."""
    if size < _SMALL_BYTES and (digest := digest_if_equal(left, right, size)):
        return True, digest
    if size < _LARGE_BYTES:
        return have_same_content(left, right), file_digest(left)
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(file_digest, left)
        return have_same_content(left, right), hashing.result()


def have_same_content(left: str, right: str) -> bool:
    """Return whether two regular files on this machine have the same bytes. `filecmp` decides.

    Raises:
        OSError: A file cannot be read, or is not a regular file.
    """
    left_descriptor = open_regular(left)
    try:
        right_descriptor = open_regular(right)
    except OSError:
        os.close(left_descriptor)
        raise
    return have_same_bytes(left_descriptor, right_descriptor)


def _compare_one_sided(pair: Pair, left: str | None, right: str | None) -> FileComparison:
    difference = one_sided_difference(pair, rewrite_reason_of(pair, left, right))
    left_digest, right_digest = (None if file is None else file_digest(file) for file in (left, right))
    return FileComparison(pair, difference, left_digest, right_digest)


def one_sided_difference(pair: Pair, rewrite_reason: str = "") -> Difference:
    """Return the difference of a file that only one model has.

    Args:
        pair: The pair of files, one of which is None.
        rewrite_reason: Why MLflow itself adds this file, "" if it does not.
    """
    return Difference(
        pair.path,
        DifferenceKind.ONLY_RIGHT if pair.left is None else DifferenceKind.ONLY_LEFT,
        pair.left_size,
        pair.right_size,
        rewrite_reason=rewrite_reason,
        explanation=explain_one_sided(pair.path),
        is_native=pair.is_native,
        ignored_by=pair.ignored_by,
    )


def _content_difference(pair: Pair, left: str, right: str, explainer: Explainer) -> Difference:
    offset = first_difference(left, right)
    if offset is None:
        raise TransferError(
            f"{printable(pair.path)} changed while it was compared.",
            "Run the gate again when nothing writes to the model.",
        )
    explanation = explainer.explain(pair.path, left, right)
    return content_difference(pair, offset, explanation, rewrite_reason_of(pair, left, right))


def content_difference(pair: Pair, offset: int, explanation: Explanation, rewrite_reason: str = "") -> Difference:
    """Return the difference of a pair of files with different bytes.

    Args:
        pair: The pair of files.
        offset: Offset of the first differing byte.
        explanation: The explanation of the difference.
        rewrite_reason: Why MLflow itself changes this file, "" if it does not.
    """
    if not may_be_rewritten(pair.left or pair.path, pair.right or pair.path):
        # The explanation is based on only one of the two names, which may stand for different formats.
        summary = explanation.summary
        if explanation.rewrite_reason:
            summary = f"{summary}; not equivalent, because the two names stand for different formats"
        explanation = replace(explanation, summary=summary, rewrite_reason="")
    return Difference(
        pair.path,
        DifferenceKind.CONTENT,
        pair.left_size,
        pair.right_size,
        offset=offset,
        rewrite_reason=rewrite_reason or explanation.rewrite_reason,
        explanation=explanation,
        is_native=pair.is_native,
        ignored_by=pair.ignored_by,
    )


def first_difference(left: str, right: str) -> int | None:
    """Return the offset of the first differing byte, or the size of the shorter file; None if there is no difference.

    Raises:
        OSError: A file cannot be read.
    """
    return first_differing_byte(Content.of_file(left), Content.of_file(right))
