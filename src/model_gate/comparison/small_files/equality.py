"""Compares small files with `filecmp`, in the gate's process and in the comparison processes.

This module imports little, because each comparison process imports it when it starts.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import stat
import sys
from collections.abc import Sequence

# Left path, right path, and the size in bytes that both files have in the listings. A named tuple would need
# `typing`, whose import delays the start of a comparison process.
SmallPair = tuple[str, str, int]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC
# Reading a larger file takes longer than calling `filecmp` for it.
_CONCATENATED_BYTES = 16 * 1024


def digests_if_equal(pairs: Sequence[SmallPair | None]) -> list[str | None]:
    """Return what `digest_if_equal` returns for each pair, with one call of `filecmp` if all pairs are equal."""
    if (digests := _digests_if_all_equal(pairs)) is not None:
        return digests
    return [pair and digest_if_equal(*pair) for pair in pairs]


def digest_if_equal(left: str, right: str, size: int) -> str | None:
    """Return the SHA-256, in hex, of two files with the same bytes.

    Returns None if the files differ, do not have `size` bytes or cannot be read: another comparison must tell these
    cases apart. The left file is held in memory.
    """
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(left, _FLAGS))
        descriptors.append(os.open(right, _FLAGS))
        content = os.pread(descriptors[0], size + 1, 0)
        # `filecmp` opens, and so closes, files of the same size only.
        if len(content) != size or not _is_regular_file(descriptors[1], size):
            return None
        left_descriptor, right_descriptor, descriptors = *descriptors, []
        if _are_equal(left_descriptor, right_descriptor):
            return hashlib.sha256(content).hexdigest()
    except OSError:
        pass
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return None


def _are_equal(left: int, right: int) -> bool:
    """Compare two open files of the same size with `filecmp`, which closes them."""
    # The cache holds stale results for a file that was rewritten with the same size and time.
    filecmp.clear_cache()
    # `filecmp` accepts descriptors as well as paths, and descriptors are faster.
    return filecmp.cmp(left, right, shallow=False)  # type: ignore[arg-type]  # open() and stat() accept both


def _is_regular_file(descriptor: int, size: int) -> bool:
    status = os.fstat(descriptor)
    return status.st_size == size and stat.S_ISREG(status.st_mode)


def _digests_if_all_equal(pairs: Sequence[SmallPair | None]) -> list[str | None] | None:
    """Return the digest of each pair, or None if a pair needs another comparison.

    The overhead of `filecmp` exceeds the time to read a small file. So all left files are concatenated, and all right
    files, and `filecmp` compares the two results. Each file has its listed size, so these are equal exactly if each
    pair is. Larger files are compared by themselves; the digest of a missing or unequal one is None.
    """
    if sys.platform != "linux":
        return None
    digests: list[str | None] = []
    left_contents: list[bytes] = []
    right_contents: list[bytes] = []
    try:
        for pair in pairs:
            if pair is None or pair[2] > _CONCATENATED_BYTES:
                digests.append(pair and digest_if_equal(*pair))
                continue
            left, right, size = pair
            left_contents.append(_content(left, size))
            right_contents.append(_content(right, size))
            if not len(left_contents[-1]) == len(right_contents[-1]) == size:
                return None
            digests.append(hashlib.sha256(left_contents[-1]).hexdigest())
        return digests if _are_equal(_memory_file(left_contents), _memory_file(right_contents)) else None
    except OSError:
        return None


def _content(path: str, size: int) -> bytes:
    """Return the first `size` bytes of a file, and one more if there is one."""
    descriptor = os.open(path, _FLAGS)
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def _memory_file(contents: Sequence[bytes]) -> int:
    """Return the descriptor of a new anonymous file with the concatenated contents."""
    content = b"".join(contents)
    descriptor = os.memfd_create("model-gate")
    if os.write(descriptor, content) != len(content):
        os.close(descriptor)
        raise OSError("The memory file was written in part only.")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
