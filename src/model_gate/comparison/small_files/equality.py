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
# Larger files are not concatenated: reading them takes longer than calling `filecmp`.
_CONCATENATED_BYTES = 16 * 1024


def digests_if_equal(pairs: Sequence[SmallPair | None]) -> list[str | None]:
    """Return the result of `digest_if_equal` for each pair, and None for each None.

    If all pairs are equal, one call of `filecmp` compares all files of up to 16 KiB.
    """
    if (digests := _digests_if_all_equal(pairs)) is not None:
        return digests
    return [pair and digest_if_equal(*pair) for pair in pairs]


def digest_if_equal(left: str, right: str, size: int) -> str | None:
    """Return the SHA-256 of two files in hex if their bytes are equal, None otherwise.

    None can also mean that a file cannot be read or does not have `size` bytes. The caller must find out which case
    applies. The whole left file is held in memory.
    """
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(left, _FLAGS))
        descriptors.append(os.open(right, _FLAGS))
        content = os.pread(descriptors[0], size + 1, 0)
        # `filecmp` opens and closes only files of the same size. So descriptors of other files stay with this function.
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
    """Return whether two open files of the same size have the same bytes. `filecmp` closes both descriptors."""
    # The cache of `filecmp` has an old result for a file that was overwritten with the same size and modification time.
    filecmp.clear_cache()
    # `filecmp` accepts descriptors as well as paths, and descriptors are faster.
    return filecmp.cmp(left, right, shallow=False)  # type: ignore[arg-type]  # open() and stat() accept both


def _is_regular_file(descriptor: int, size: int) -> bool:
    status = os.fstat(descriptor)
    return status.st_size == size and stat.S_ISREG(status.st_mode)


def _digests_if_all_equal(pairs: Sequence[SmallPair | None]) -> list[str | None] | None:
    """Return the result of `digest_if_equal` for each pair, or None if the pairs must be compared one at a time.

    A call of `filecmp` takes longer than reading a small file. So the contents of all left files are concatenated, the
    contents of all right files too, and `filecmp` compares the two results once. Every file has its listed size, so the
    results are equal exactly if the files of each pair are equal. Pairs of more than 16 KiB are compared separately.
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
    """Return at most `size` + 1 bytes of a file. The additional byte shows that the file is longer than listed."""
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
