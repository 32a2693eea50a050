"""Small files: the one place that says of them that they are equal, in this process and in those beside it.

It imports little, since those processes do.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import stat
import sys
from collections.abc import Sequence

# Paths of the left and the right file, and the size of both; None if that pair needs a closer look anyway.
SmallPair = tuple[str, str, int] | None

_FLAGS = os.O_RDONLY | os.O_CLOEXEC
# A larger file takes longer to read than `filecmp` takes to be called for it.
_TOGETHER_BYTES = 16 * 1024


def digests_if_equal(questions: Sequence[SmallPair]) -> list[str | None]:
    """What `digest_if_equal` says of each, found out for all of them at once where they are all equal."""
    if (digests := _digests_if_all_equal(questions)) is not None:
        return digests
    return [question and digest_if_equal(*question) for question in questions]


def digest_if_equal(left: str, right: str, size: int) -> str | None:
    """SHA-256, in hex, of two files that have `size` bytes and the same ones; None if they need a closer look.

    The left file is held in memory.
    """
    opened: list[int] = []
    try:
        opened.append(os.open(left, _FLAGS))
        opened.append(os.open(right, _FLAGS))
        content = os.pread(opened[0], size + 1, 0)
        # `filecmp` opens, and so closes, files of one size only.
        if len(content) != size or not _is_file_of(size, opened[1]):
            return None
        left_file, right_file, opened = *opened, []
        if _are_equal(left_file, right_file):
            return hashlib.sha256(content).hexdigest()
    except OSError:
        pass
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def _are_equal(left: int, right: int) -> bool:
    """What `filecmp` says of two open files of one size, which it closes."""
    # The cache would answer for a file that was rewritten with the same size and time.
    filecmp.clear_cache()
    # It takes a file that is open as it takes a path, in less time.
    return filecmp.cmp(left, right, shallow=False)  # type: ignore[arg-type]  # open() and stat() take both


def _is_file_of(size: int, descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return status.st_size == size and stat.S_ISREG(status.st_mode)


def _digests_if_all_equal(questions: Sequence[SmallPair]) -> list[str | None] | None:
    """The digest of each small file, None where there is none or it is larger; None in all if any needs a closer look.

    What is said of a pair takes `filecmp` longer than to read it. So the left files are laid end to end, and so are the
    right ones: since each has the size that it is said to have, these two are equal exactly if each pair is.
    """
    if sys.platform != "linux":
        return None
    digests: list[str | None] = []
    lefts: list[bytes] = []
    rights: list[bytes] = []
    try:
        for question in questions:
            if question is None or question[2] > _TOGETHER_BYTES:
                digests.append(question and digest_if_equal(*question))
                continue
            left, right, size = question
            lefts.append(_content(left, size))
            rights.append(_content(right, size))
            if not len(lefts[-1]) == len(rights[-1]) == size:
                return None
            digests.append(hashlib.sha256(lefts[-1]).hexdigest())
        return digests if _are_equal(_in_memory(lefts), _in_memory(rights)) else None
    except OSError:
        return None


def _content(path: str, size: int) -> bytes:
    """The bytes of a file, one more than `size` at the most."""
    descriptor = os.open(path, _FLAGS)
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def _in_memory(contents: Sequence[bytes]) -> int:
    """An open file without a name that holds these, end to end."""
    content = b"".join(contents)
    descriptor = os.memfd_create("model-gate")
    if os.write(descriptor, content) != len(content):
        os.close(descriptor)
        raise OSError("The system does not take all of it at once.")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
