"""Two files are equal exactly if their bytes are equal. A difference has the offset of the first differing byte."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path

import pytest

from model_gate.comparison.file_comparison import compare_pair, first_difference
from model_gate.domain.pairing import Pair
from model_gate.errors import StorageError, TransferError
from tests.support.twins import two_files

CHUNKS = (8 * 1024, 64 * 1024, 1024 * 1024)


def pair_of(left: bytes, right: bytes) -> Pair:
    return Pair("f", "f", "f", len(left), len(right))


@pytest.mark.parametrize("size", [0, 1, *CHUNKS, 1024 * 1024 + 1])
def test_files_with_equal_bytes_have_no_difference(size: int, tmp_path: Path) -> None:
    content = bytes(size)
    comparison = compare_pair(pair_of(content, content), *two_files(tmp_path, content, content))
    assert comparison.difference is None
    assert comparison.left_digest == comparison.right_digest


@pytest.mark.parametrize("offset", [0, 1, *(chunk + shift for chunk in CHUNKS for shift in (-1, 0, 1)), 2_000_000])
def test_difference_has_the_offset_of_the_first_differing_byte(offset: int, tmp_path: Path) -> None:
    left = bytes(2_000_002)
    right = left[:offset] + b"1" + left[offset + 1 : -1] + b"1"
    paths = two_files(tmp_path, left, right)
    assert first_difference(*paths) == offset
    comparison = compare_pair(pair_of(left, right), *paths)
    assert comparison.difference is not None
    assert comparison.difference.offset == offset
    assert comparison.left_digest != comparison.right_digest


@pytest.mark.parametrize("size", [0, 1, *CHUNKS])
@pytest.mark.parametrize("more", [1, 1024 * 1024])
def test_file_and_its_prefix_differ_at_the_end_of_the_prefix(size: int, more: int, tmp_path: Path) -> None:
    assert first_difference(*two_files(tmp_path, bytes(size), bytes(size + more))) == size


def test_equal_files_have_no_first_differing_byte(tmp_path: Path) -> None:
    assert first_difference(*two_files(tmp_path, b"12", b"12")) is None


def test_outdated_result_in_the_filecmp_cache_does_not_make_files_equal(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"1", b"1")
    assert filecmp.cmp(left, right, shallow=False)
    Path(right).write_bytes(b"2")
    os.utime(right, ns=(1, 1))
    assert filecmp.cmp(left, right, shallow=False), "filecmp has no cache any more, so this test proves nothing"
    assert compare_pair(pair_of(b"1", b"2"), left, right).difference is not None


def test_file_that_changes_during_the_comparison_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = two_files(tmp_path, b"1", b"1")
    monkeypatch.setattr(filecmp, "cmp", lambda *_, **__: False)
    with pytest.raises(TransferError, match="changed while it was compared"):
        compare_pair(pair_of(b"1", b"1"), *paths)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"1", b"1")
    Path(right).unlink()
    with pytest.raises(StorageError, match=f"Cannot read {right}: No such file"):
        compare_pair(pair_of(b"1", b"1"), left, right)
