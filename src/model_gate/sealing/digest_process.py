"""Computes the SHA-256 of many small files of this machine, in several processes if that saves time.

This module is also the program of these processes. It imports little, because each process imports it at its start.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence

from model_gate.comparison.small_files.__main__ import main
from model_gate.comparison.small_files.equality import SmallPair
from model_gate.regular_files import open_regular

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "model_gate.sealing.digest_process")


def digest_of(path: str, _: str, size: int) -> str | None:
    """Return the SHA-256 of a file in hex; None if it cannot be read or does not have `size` bytes.

    The whole file is held in memory. The second argument is not used: the processes that compare small files take pairs
    of files.
    """
    try:
        descriptor = open_regular(path)
    except OSError:
        return None
    try:
        # The additional byte shows that the file is longer than listed.
        content = os.pread(descriptor, size + 1, 0)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return hashlib.sha256(content).hexdigest() if len(content) == size else None


def _digests_of(files: Sequence[SmallPair]) -> list[str | None]:
    return [digest_of(*file) for file in files]


if __name__ == "__main__":
    main(_digests_of)
