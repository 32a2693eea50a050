"""Compares small files with `filecmp`, in the gate's process and in the comparison processes.

This module imports little, because each comparison process imports it when it starts.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import sys
from collections.abc import Sequence

from model_gate.regular_files import READ_FLAGS, open_regular

# `filecmp` reads 8 KiB at a time by default. 64 KiB halve its processor time. The result is the same, because it
# compares until both files end. This applies to all comparisons of this process.
filecmp.BUFSIZE = 64 * 1024  # type: ignore[misc]  # the type stub says that it is final

# Left path, right path, and the size in bytes that both files have in the listings. A named tuple would need
# `typing`, whose import delays the start of a comparison process.
SmallPair = tuple[str, str, int]

# Larger files are not concatenated: reading them takes longer than calling `filecmp`.
_CONCATENATED_BYTES = 16 * 1024


def digests_if_equal(pairs: Sequence[SmallPair]) -> list[str | None]:
    """Return the result of `digest_if_equal` for each pair.

    If all pairs are equal, one call of `filecmp` compares all files of up to 16 KiB.
    """
    if (digests := _digests_if_all_equal(pairs)) is not None:
        return digests
    return [digest_if_equal(*pair) for pair in pairs]


def digest_if_equal(left: str, right: str, size: int) -> str | None:
    """Return the SHA-256 of two files in hex if their bytes are equal, None otherwise.

    None can also mean that a file cannot be read or does not have `size` bytes. The caller must find out which case
    applies. The whole left file is held in memory.
    """
    descriptors: list[int] = []
    try:
        descriptors.append(open_regular(left))
        descriptors.append(open_regular(right))
        content = os.pread(descriptors[0], size + 1, 0)
        if len(content) != size:
            return None
        left_descriptor, right_descriptor, descriptors = *descriptors, []
        if have_same_bytes(left_descriptor, right_descriptor):
            return hashlib.sha256(content).hexdigest()
    except OSError:
        pass
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return None


class _CacheKey(int):
    """A descriptor that is equal only to itself.

    `filecmp` caches results by its arguments, and adds the result after it has closed the files. Another thread can
    already have opened other files under the same numbers, with the same sizes and times.
    """

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def have_same_bytes(left: int, right: int) -> bool:
    """Return whether two open regular files have the same bytes, and close both descriptors.

    Raises:
        OSError: A file cannot be read.
    """
    # `filecmp` opens and closes only files of the same size.
    if os.fstat(left).st_size != os.fstat(right).st_size:
        os.close(left)
        os.close(right)
        return False
    # The cache of `filecmp` is never used, so it only takes memory.
    filecmp.clear_cache()
    # `filecmp` accepts descriptors as well as paths, and a descriptor stays the file that was checked.
    return filecmp.cmp(_CacheKey(left), _CacheKey(right), shallow=False)  # type: ignore[arg-type]  # as open() does


def _digests_if_all_equal(pairs: Sequence[SmallPair]) -> list[str | None] | None:
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
            left, right, size = pair
            if size > _CONCATENATED_BYTES:
                digests.append(digest_if_equal(*pair))
                continue
            left_contents.append(_content(left, size))
            right_contents.append(_content(right, size))
            if not len(left_contents[-1]) == len(right_contents[-1]) == size:
                return None
            digests.append(hashlib.sha256(left_contents[-1]).hexdigest())
        return digests if have_same_bytes(_memory_file(left_contents), _memory_file(right_contents)) else None
    except OSError:
        return None


def _content(path: str, size: int) -> bytes:
    """Return at most `size` + 1 bytes of a file. The additional byte shows that the file is longer than listed.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    # The status of a file takes as long as its content. Only an empty file needs it: `pread` fails for a directory, a
    # FIFO or a terminal, and other devices are empty, as /dev/null is, or longer than any file, as /dev/zero is.
    descriptor = os.open(path, READ_FLAGS) if size else open_regular(path)
    try:
        return os.pread(descriptor, size + 1, 0)
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
