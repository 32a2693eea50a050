"""Makes the standard streams usable, even if the caller closed them or nothing can be written to them."""

from __future__ import annotations

import contextlib
import os
import sys


def open_standard_streams() -> None:
    """Open `/dev/null` in place of each closed standard stream.

    Otherwise the next file or pipe would get the closed descriptor 0, 1 or 2, and output would go to that file. Call
    this function before anything is opened.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # POSIX returns the lowest free descriptor, which is this one: the lower ones are open.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def flush_standard_streams() -> None:
    """Flush standard output and standard error, and ignore errors such as a full disk or a closed pipe."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
